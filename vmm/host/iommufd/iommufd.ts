import { demand, refuse } from '../kernel/errno.ts';
import { type HostFile, MAP, type MapRequest, PROT } from '../kernel/files.ts';
import { PAGE_SIZE } from '../kernel/host-memory.ts';
import type { Process } from '../kernel/process.ts';
import { IOCTL_TYPE, NR } from './abi.ts';
import { IommufdContext, type IommufdHost } from './context.ts';
import { HWPT_IOCTLS } from './hwpt-ioctls.ts';
import { IOAS_IOCTLS } from './ioas-ioctls.ts';
import { dispatch, type Ioctl } from './ioctl.ts';
import { OBJECT_IOCTLS } from './option-ioctls.ts';
import { VFIO_IOAS_IOCTLS, vfioCompat } from './vfio-compat.ts';
import { VIOMMU_IOCTLS } from './viommu-ioctls.ts';

/** Every ioctl of a production kernel. */
const IOCTLS: readonly Ioctl[] = [
  ...OBJECT_IOCTLS,
  ...IOAS_IOCTLS,
  ...VFIO_IOAS_IOCTLS,
  ...HWPT_IOCTLS,
  ...VIOMMU_IOCTLS,
];

/** An open `/dev/iommu`. */
export class Iommufd implements HostFile {
  readonly name = 'iommufd';
  readonly context: IommufdContext;
  readonly #rows: ReadonlyMap<number, Ioctl>;

  /** `extra`: ioctls that only some kernels have, as those for the selftest. */
  constructor(host: IommufdHost, opener: Process, extra: readonly Ioctl[] = []) {
    this.context = new IommufdContext(host, opener);
    this.#rows = new Map([...IOCTLS, ...extra].map((row) => [row.nr, row]));
  }

  ioctl(caller: Process, word: number, argument: bigint): number {
    const row = this.#rows.get(word & 0xff);
    if (row !== undefined) return dispatch(row, this.context, caller, word, argument);
    demand(
      word >>> 8 === IOCTL_TYPE && (word & 0xff) < NR.DESTROY,
      'ENOTTY',
      `there is no ioctl 0x${word.toString(16)}`,
    );
    return vfioCompat(this.context, caller, word & 0xff, argument);
  }

  /** Maps what an object published, whole: the bytes are copied to the caller's addresses, which it may read from now on. */
  mmap(caller: Process, { address, length, prot, flags, offset }: MapRequest): void {
    const pages = length > 0n && length % BigInt(PAGE_SIZE) === 0n;
    demand(pages && (flags & MAP.SHARED) !== 0, 'EINVAL', 'the mapping is private, or has no whole pages');
    demand((prot & PROT.EXEC) === 0, 'EPERM', 'the mapping is executable');
    const region = this.context.regions.find(
      (one) => one.offset === offset && BigInt(one.bytes.length) === length,
    );
    if (region === undefined) refuse('ENXIO', 'nothing is published at this offset with this length');
    const { owner, bytes } = region;
    caller.mmap(address, bytes, (prot & PROT.WRITE) !== 0, () => {
      owner.users--;
      this.context.drop();
    });
    owner.users++;
    this.context.hold();
  }

  release(): void {
    this.context.close();
  }
}
