import { demand, refuse } from '../kernel/errno.ts';
import { PAGE_SIZE } from '../kernel/host-memory.ts';
import type { Process } from '../kernel/process.ts';
import { decode, encode, type UapiFields, type UapiStruct, u32, u64, uapi } from '../kernel/struct.ts';
import { IOMMU_VFIO_IOAS, NR, VFIO_IOAS_OPS } from './abi.ts';
import type { IommufdContext } from './context.ts';
import { Ioas } from './ioas.ts';
import { newPages } from './ioas-ioctls.ts';
import { type Ioctl, ioctl } from './ioctl.ts';
import { userPages } from './pages.ts';

const PAGE = BigInt(PAGE_SIZE);

/** Numbers and structures of VFIO's container (Linux, include/uapi/linux/vfio.h: "API for Type1 VFIO IOMMU"). */
export const VFIO_NR = {
  GET_API_VERSION: 0x64,
  CHECK_EXTENSION: 0x65,
  SET_IOMMU: 0x66,
  IOMMU_GET_INFO: 0x70,
  IOMMU_MAP_DMA: 0x71,
  IOMMU_UNMAP_DMA: 0x72,
} as const;
export const MAP_DMA = uapi('struct vfio_iommu_type1_dma_map', 32, 32, {
  argsz: u32(0),
  flags: u32(4),
  vaddr: u64(8),
  iova: u64(16),
  size: u64(24),
});
const UNMAP_DMA = uapi('struct vfio_iommu_type1_dma_unmap', 24, 24, {
  argsz: u32(0),
  flags: u32(4),
  iova: u64(8),
  size: u64(16),
});
const GET_INFO = uapi('struct vfio_iommu_type1_info', 24, 16, {
  argsz: u32(0),
  flags: u32(4),
  iova_pgsizes: u64(8),
  cap_offset: u32(16),
});
const CAP_HEADER_BYTES = 8;
const CAP_IOVA_RANGE = 1;
const CAP_DMA_AVAIL = 3;
/** `dma_entry_limit` of Linux: how many mappings may still be made. */
const DMA_AVAILABLE = 0xffff;

const VFIO_API_VERSION = 0;
export const VFIO_EXTENSIONS = {
  TYPE1_IOMMU: 1,
  TYPE1v2_IOMMU: 3,
  DMA_CC_IOMMU: 4,
  TYPE1_NESTING_IOMMU: 6,
  NOIOMMU_IOMMU: 8,
  UNMAP_ALL: 9,
  UPDATE_VADDR: 10,
} as const;

const vfioIoas = ioctl(NR.VFIO_IOAS, IOMMU_VFIO_IOAS, ({ context, values, respond }) => {
  demand(values.reserved === 0, 'EOPNOTSUPP', 'the reserved field is not zero');
  switch (values.op) {
    case VFIO_IOAS_OPS.GET:
      respond({ ioas_id: compat(context).id });
      return;
    case VFIO_IOAS_OPS.SET: {
      const ioas = context.ioas(values.ioas_id);
      setCompat(context, ioas);
      return;
    }
    case VFIO_IOAS_OPS.CLEAR:
      setCompat(context, undefined);
      return;
    default:
      refuse('EOPNOTSUPP', `there is no operation ${values.op}`);
  }
});

export const VFIO_IOAS_IOCTLS: readonly Ioctl[] = [vfioIoas];

function compat(context: IommufdContext): Ioas {
  const ioas = context.vfioIoas;
  return ioas !== undefined && context.objects.find(ioas.id) === ioas
    ? ioas
    : refuse('ENODEV', 'no IOAS was chosen for VFIO');
}

/** The IOAS that VFIO's container is made of; made where none was chosen. Throws ENOMEM. */
export function compatIoas(context: IommufdContext): Ioas {
  const { vfioIoas } = context;
  if (vfioIoas !== undefined && context.objects.find(vfioIoas.id) === vfioIoas) return vfioIoas;
  const made = context.create((id) => new Ioas(id, context));
  context.vfioIoas = made;
  return made;
}

function setCompat(context: IommufdContext, ioas: Ioas | undefined): void {
  context.vfioIoas = ioas;
}

/** VFIO's container ioctls on an iommufd. `argument` is a number for the first three, else a pointer. Throws ENOTTY. */
export function vfioCompat(context: IommufdContext, caller: Process, nr: number, argument: bigint): number {
  switch (nr) {
    case VFIO_NR.GET_API_VERSION:
      return VFIO_API_VERSION;
    case VFIO_NR.CHECK_EXTENSION:
      return extension(context, Number(argument));
    case VFIO_NR.SET_IOMMU:
      return setIommu(context, Number(argument));
    case VFIO_NR.IOMMU_GET_INFO:
      return getInfo(context, caller, argument);
    case VFIO_NR.IOMMU_MAP_DMA:
      return mapDma(context, caller, argument);
    case VFIO_NR.IOMMU_UNMAP_DMA:
      return unmapDma(context, caller, argument);
    default:
      return refuse('ENOTTY', `there is no ioctl 0x${nr.toString(16)}`);
  }
}

function extension(context: IommufdContext, which: number): number {
  switch (which) {
    case VFIO_EXTENSIONS.TYPE1_IOMMU:
    case VFIO_EXTENSIONS.TYPE1v2_IOMMU:
    case VFIO_EXTENSIONS.UNMAP_ALL:
      return 1;
    case VFIO_EXTENSIONS.DMA_CC_IOMMU:
      compat(context);
      return 1;
    default:
      return 0;
  }
}

function setIommu(context: IommufdContext, type: number): number {
  const { table } = compat(context);
  demand(
    type === VFIO_EXTENSIONS.TYPE1_IOMMU || type === VFIO_EXTENSIONS.TYPE1v2_IOMMU,
    'EINVAL',
    `${type} is no type 1`,
  );
  // The first version may unmap parts of a mapping: no large page may span the cut.
  if (type === VFIO_EXTENSIONS.TYPE1_IOMMU) table.setHugePages(false);
  return 0;
}

function mapDma(context: IommufdContext, caller: Process, address: bigint): number {
  const { argsz, flags, vaddr, iova, size } = read(caller, address, MAP_DMA);
  const unknown = flags & ~(FLAG_READ | FLAG_WRITE);
  demand(argsz >= MAP_DMA.least && unknown === 0, 'EINVAL', 'argsz is too small, or a flag is unknown');
  const { table } = compat(context);
  const protection = { read: (flags & FLAG_READ) !== 0, write: (flags & FLAG_WRITE) !== 0 };
  demand(size > 0n, 'EINVAL', 'nothing is to be mapped');
  const fits = iova + size - 1n <= context.wordMax && vaddr + size <= context.wordMax;
  demand(fits, 'EOVERFLOW', 'a range passes the last address');
  const pages = newPages(context, userPages(caller, vaddr), protection);
  table.map([{ pages, offset: vaddr % PAGE, length: size }], iova, protection);
  return 0;
}

function unmapDma(context: IommufdContext, caller: Process, address: bigint): number {
  const values = read(caller, address, UNMAP_DMA);
  const { argsz, flags, iova, size } = values;
  const unknown = flags & ~FLAG_UNMAP_ALL;
  demand(argsz >= UNMAP_DMA.least && unknown === 0, 'EINVAL', 'argsz is too small, or a flag is unknown');
  const { table } = compat(context);
  let done: bigint;
  if ((flags & FLAG_UNMAP_ALL) !== 0) {
    demand(iova === 0n && size === 0n, 'EINVAL', 'unmapping everything has no range');
    done = table.unmapAll();
  } else {
    demand(size > 0n, 'EINVAL', 'nothing is to be unmapped');
    demand(iova + size - 1n <= context.wordMax, 'EOVERFLOW', 'the range passes the last address');
    if (!table.hugePages) {
      table.cut(iova);
      table.cut(iova + size);
    }
    done = table.unmap(iova, iova + size - 1n);
  }
  encode(UNMAP_DMA, { ...values, size: done }, caller.bytes(address, UNMAP_DMA.bytes, true));
  return 0;
}

function getInfo(context: IommufdContext, caller: Process, address: bigint): number {
  const { argsz } = read(caller, address, GET_INFO, GET_INFO.least);
  demand(argsz >= GET_INFO.least, 'EINVAL', 'argsz is too small');
  const { table } = compat(context);
  const room = Math.min(argsz, GET_INFO.bytes);
  const caps = capabilities(table.usable());
  const total = GET_INFO.bytes + caps.length;
  const fits = argsz >= total;
  const pageSizes = table.alignment > PAGE ? table.alignment : PAGE;
  const info = encode(GET_INFO, {
    argsz: total,
    flags: FLAG_INFO_PGSIZES | FLAG_INFO_CAPS,
    iova_pgsizes: ((1n << 64n) - 1n) & ~(pageSizes - 1n),
    cap_offset: fits ? GET_INFO.bytes : 0,
  });
  caller.bytes(address, room, true).set(info.subarray(0, room));
  if (fits) caller.bytes(address + BigInt(GET_INFO.bytes), caps.length, true).set(caps);
  return 0;
}

/** The chain of capabilities behind the information: usable ranges, and how many mappings are left. */
function capabilities(ranges: readonly { start: bigint; last: bigint }[]): Uint8Array {
  const first = CAP_HEADER_BYTES + 8 + ranges.length * 16;
  const bytes = new Uint8Array(first + CAP_HEADER_BYTES + 8);
  const view = new DataView(bytes.buffer);
  header(view, 0, CAP_IOVA_RANGE, GET_INFO.bytes + first);
  view.setUint32(CAP_HEADER_BYTES, ranges.length, true);
  ranges.forEach(({ start, last }, index) => {
    view.setBigUint64(CAP_HEADER_BYTES + 8 + index * 16, start, true);
    view.setBigUint64(CAP_HEADER_BYTES + 16 + index * 16, last, true);
  });
  header(view, first, CAP_DMA_AVAIL, 0);
  view.setUint32(first + CAP_HEADER_BYTES, DMA_AVAILABLE, true);
  return bytes;
}

function header(view: DataView, at: number, id: number, next: number): void {
  view.setUint16(at, id, true);
  view.setUint16(at + 2, 1, true);
  view.setUint32(at + 4, next, true);
}

function read<F extends UapiFields>(
  caller: Process,
  address: bigint,
  struct: UapiStruct<F>,
  least = struct.bytes,
) {
  const bytes = new Uint8Array(struct.bytes);
  bytes.set(caller.bytes(address, least, false));
  return decode(struct, bytes);
}

const FLAG_READ = 1;
const FLAG_WRITE = 2;
const FLAG_UNMAP_ALL = 2;
const FLAG_INFO_PGSIZES = 1;
const FLAG_INFO_CAPS = 2;
