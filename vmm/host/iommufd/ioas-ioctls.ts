import { demand, refuse } from '../kernel/errno.ts';
import { PAGE_SIZE } from '../kernel/host-memory.ts';
import { MemoryFile } from '../kernel/memory-file.ts';
import { decode, encode } from '../kernel/struct.ts';
import {
  IOMMU_IOAS_ALLOC,
  IOMMU_IOAS_ALLOW_IOVAS,
  IOMMU_IOAS_CHANGE_PROCESS,
  IOMMU_IOAS_COPY,
  IOMMU_IOAS_IOVA_RANGES,
  IOMMU_IOAS_MAP,
  IOMMU_IOAS_MAP_FILE,
  IOMMU_IOAS_UNMAP,
  IOVA_RANGE,
  MAP_FLAGS,
  NR,
} from './abi.ts';
import { IommufdContext } from './context.ts';
import type { Protection } from './driver.ts';
import type { Piece } from './io-pagetable.ts';
import { Ioas } from './ioas.ts';
import { type Ioctl, ioctl } from './ioctl.ts';
import { type PageSource, Pages, userPages } from './pages.ts';

const PAGE = BigInt(PAGE_SIZE);
const U64_MAX = (1n << 64n) - 1n;
const ALL_MAP_FLAGS = MAP_FLAGS.FIXED_IOVA | MAP_FLAGS.WRITEABLE | MAP_FLAGS.READABLE;

const alloc = ioctl(NR.IOAS_ALLOC, IOMMU_IOAS_ALLOC, ({ context, values, respond }) => {
  demand(values.flags === 0, 'EOPNOTSUPP', 'IOAS_ALLOC knows no flags');
  context.create(
    (id) => new Ioas(id, context),
    ({ id }) => respond({ out_ioas_id: id }),
  );
});

const ranges = ioctl(NR.IOAS_IOVA_RANGES, IOMMU_IOAS_IOVA_RANGES, ({ context, caller, values, respond }) => {
  demand(values.reserved === 0, 'EOPNOTSUPP', 'the reserved field is not zero');
  const { table } = context.ioas(values.ioas_id);
  const usable = table.usable();
  usable.slice(0, values.num_iovas).forEach((range, index) => {
    encode(
      IOVA_RANGE,
      range,
      caller.bytes(values.allowed_iovas + BigInt(index * IOVA_RANGE.bytes), 16, true),
    );
  });
  respond({ num_iovas: usable.length, out_iova_alignment: table.alignment });
  demand(usable.length <= values.num_iovas, 'EMSGSIZE', `there are ${usable.length} ranges`);
});

const allow = ioctl(NR.IOAS_ALLOW_IOVAS, IOMMU_IOAS_ALLOW_IOVAS, ({ context, caller, values }) => {
  demand(values.reserved === 0, 'EOPNOTSUPP', 'the reserved field is not zero');
  const { table } = context.ioas(values.ioas_id);
  const list = Array.from({ length: checkedCount(values.num_iovas) }, (_, index) =>
    decode(IOVA_RANGE, caller.bytes(values.allowed_iovas + BigInt(index * IOVA_RANGE.bytes), 16, false)),
  );
  table.allow(list);
});

/** The list is read entry by entry; a count that no memory can hold ends at the first bad address instead of in an array. */
function checkedCount(count: number): number {
  return count <= 1 << 24 ? count : refuse('EFAULT', `${count} ranges cannot be in the caller's memory`);
}

const map = ioctl(NR.IOAS_MAP, IOMMU_IOAS_MAP, ({ context, caller, values, respond }) => {
  checkMapFlags(values.flags, values.reserved);
  checkMapSizes(context, values.iova, values.length);
  const protection = protectionOf(values.flags);
  const ioas = context.ioas(values.ioas_id);
  checkLength(context, values.length);
  demand(
    values.user_va + values.length <= context.wordMax,
    'EOVERFLOW',
    'the source passes the last address',
  );
  const pages = newPages(context, userPages(caller, values.user_va), protection);
  mapPieces(ioas, [{ pages, offset: values.user_va % PAGE, length: values.length }], values, respond);
});

const mapFile = ioctl(NR.IOAS_MAP_FILE, IOMMU_IOAS_MAP_FILE, ({ context, caller, values, respond }) => {
  checkMapFlags(values.flags, 0);
  checkMapSizes(context, values.iova, values.length);
  const protection = protectionOf(values.flags);
  const ioas = context.ioas(values.ioas_id);
  const file = caller.files.get(values.fd);
  demand(file instanceof MemoryFile, 'EINVAL', `${file.name} is no file in memory`);
  checkLength(context, values.length);
  demand(values.start + values.length <= context.wordMax, 'EOVERFLOW', 'the source passes the last address');
  demand(values.start + values.length <= file.size, 'EINVAL', 'the range ends behind the file');
  demand(!file.revoked, 'ENODEV', 'the dma-buf was revoked');
  const origin = values.start - (values.start % PAGE);
  const source: PageSource = { kind: 'file', origin, frame: (index) => file.frame(origin / PAGE + index) };
  const pages = newPages(context, source, protection);
  mapPieces(ioas, [{ pages, offset: values.start % PAGE, length: values.length }], values, respond);
});

const copy = ioctl(NR.IOAS_COPY, IOMMU_IOAS_COPY, ({ context, values, respond }) => {
  checkMapFlags(values.flags, 0);
  checkMapSizes(context, values.dst_iova, values.length);
  protectionOf(values.flags);
  const source = context.ioas(values.src_ioas_id);
  demand(values.length > 0n, 'EINVAL', 'nothing is to be copied');
  demand(
    values.src_iova + values.length - 1n <= context.wordMax,
    'EOVERFLOW',
    'the source passes the last address',
  );
  const pieces = source.table.pieces(values.src_iova, values.length);
  const target = context.ioas(values.dst_ioas_id);
  mapPieces(target, pieces, { flags: values.flags, iova: values.dst_iova }, ({ iova }) =>
    respond({ dst_iova: iova }),
  );
});

const unmap = ioctl(NR.IOAS_UNMAP, IOMMU_IOAS_UNMAP, ({ context, values, respond }) => {
  const { table } = context.ioas(values.ioas_id);
  if (values.iova === 0n && values.length === U64_MAX) {
    respond({ length: table.unmapAll() });
    return;
  }
  checkMapSizes(context, values.iova, values.length);
  demand(values.length > 0n, 'EINVAL', 'nothing is to be unmapped');
  const last = values.iova + values.length - 1n;
  demand(last <= context.wordMax, 'EOVERFLOW', 'the range passes the last address');
  const length = table.unmap(values.iova, last);
  demand(length > 0n, 'ENOENT', 'nothing is mapped in the range');
  respond({ length });
});

/** What is mapped from files goes to the account of the caller: a new process took over the virtual machine. */
const changeProcess = ioctl(
  NR.IOAS_CHANGE_PROCESS,
  IOMMU_IOAS_CHANGE_PROCESS,
  ({ context, caller, values }) => {
    demand(values.reserved === 0, 'EOPNOTSUPP', 'the reserved field is not zero');
    const all = new Set<Pages>();
    for (const { id, kind } of context.objects.list()) {
      if (kind === 'ioas') for (const area of context.ioas(id).table.areas) all.add(area.pages);
    }
    demand(
      [...all].every(({ source }) => source.kind === 'file'),
      'EINVAL',
      'memory of the old process is mapped',
    );
    const account = context.accountOf(caller);
    for (const pages of all) pages.moveTo(account);
    context.payer = caller;
  },
);

export const IOAS_IOCTLS: readonly Ioctl[] = [alloc, ranges, allow, map, mapFile, copy, unmap, changeProcess];

function checkMapFlags(flags: number, reserved: number): void {
  IommufdContext.checkFlags(flags, ALL_MAP_FLAGS, 'the mapping');
  demand(reserved === 0, 'EOPNOTSUPP', 'the reserved field is not zero');
}

function checkMapSizes(context: IommufdContext, iova: bigint, length: bigint): void {
  demand(
    iova < context.wordMax && length < context.wordMax,
    'EOVERFLOW',
    "IOVA or length passes the kernel's word",
  );
}

function checkLength(context: IommufdContext, length: bigint): void {
  demand(length > 0n && length <= context.wordMax - PAGE, 'EINVAL', `${length} bytes cannot be mapped`);
}

function protectionOf(flags: number): Protection {
  const protection = {
    read: (flags & MAP_FLAGS.READABLE) !== 0,
    write: (flags & MAP_FLAGS.WRITEABLE) !== 0,
  };
  demand(protection.read || protection.write, 'EINVAL', 'the mapping is neither readable nor writable');
  return protection;
}

export function newPages(context: IommufdContext, source: PageSource, protection: Protection): Pages {
  return new Pages({
    memory: context.host.memory,
    allocations: context.allocations,
    source,
    writable: protection.write,
    account: context.accountOf(context.payer),
  });
}

function mapPieces(
  ioas: Ioas,
  pieces: readonly Piece[],
  values: { readonly flags: number; readonly iova: bigint },
  respond: (values: { iova: bigint }) => void,
): void {
  const fixed = (values.flags & MAP_FLAGS.FIXED_IOVA) !== 0 ? values.iova : undefined;
  const iova = ioas.table.map(pieces, fixed, protectionOf(values.flags));
  try {
    respond({ iova });
  } catch (cause) {
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0n);
    ioas.table.unmap(iova, iova + length - 1n);
    throw cause;
  }
}
