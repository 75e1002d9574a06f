import * as abi from '../../vmm/host/iommufd/abi.ts';
import { HostKernel, type HostKernelOptions } from '../../vmm/host/iommufd/host-kernel.ts';
import * as test from '../../vmm/host/iommufd/selftest-abi.ts';
import { ERRNO, type ErrnoName } from '../../vmm/host/kernel/errno.ts';
import type { Capability } from '../../vmm/host/kernel/process.ts';
import {
  decode,
  encode,
  type UapiFields,
  type UapiStruct,
  type UapiValues,
} from '../../vmm/host/kernel/struct.ts';
import { BIND, VFIO } from '../../vmm/host/vfio/abi.ts';

const ARGUMENT = 0x1000n;
const SCRATCH = 0x2000n;
/** Page-aligned memory that tests map. */
export const BUFFER = 0x10_0000n;
export const BUFFER_BYTES = 0x20_0000n;

/** A process with memory that calls the modelled kernel, as a test program would. */
export class Caller {
  readonly kernel: HostKernel;
  readonly buffer: ArrayBufferLike;
  readonly calls;
  readonly fd: number;

  constructor(
    options: HostKernelOptions & {
      capabilities?: readonly Capability[];
      memlock?: bigint;
      kernel?: HostKernel;
      buffer?: ArrayBufferLike;
    } = {},
  ) {
    this.kernel = options.kernel ?? new HostKernel({ selftest: true, ...options });
    this.buffer = options.buffer ?? new ArrayBuffer(0x40_0000);
    this.calls = this.kernel.process({
      backing: { buffer: () => this.buffer },
      ranges: [
        { start: 0x1000n, last: 0xffffn, writable: true },
        { start: BUFFER, last: BUFFER + BUFFER_BYTES - 1n, writable: true },
      ],
      capabilities: options.capabilities ?? [],
      ...(options.memlock === undefined ? {} : { memlock: options.memlock }),
    });
    this.fd = this.calls.open('/dev/iommu');
  }

  bytes(address: bigint, length: number): Uint8Array {
    return new Uint8Array(this.buffer, Number(address), length);
  }

  /** Puts bytes into scratch memory; returns their address. */
  put(bytes: Uint8Array, at = SCRATCH): bigint {
    this.bytes(at, bytes.length).set(bytes);
    return at;
  }

  /** One ioctl; `size` defaults to the structure's. Returns the result and the structure as it is afterwards. */
  ioctl<F extends UapiFields>(
    nr: number,
    struct: UapiStruct<F>,
    values: Partial<UapiValues<F>>,
    size = struct.bytes,
  ): { readonly result: number; readonly out: UapiValues<F> } {
    const bytes = new Uint8Array(Math.max(struct.bytes, size));
    encode(struct, { ...values, size } as Partial<UapiValues<F>>, bytes);
    this.put(bytes, ARGUMENT);
    const result = this.calls.ioctl(this.fd, 0x3b00 | nr, ARGUMENT);
    return { result, out: decode(struct, this.bytes(ARGUMENT, struct.bytes)) };
  }

  /** A call that must succeed; its structure. */
  ok<F extends UapiFields>(nr: number, struct: UapiStruct<F>, values: Partial<UapiValues<F>>): UapiValues<F> {
    const { result, out } = this.ioctl(nr, struct, values);
    if (result < 0)
      throw new Error(`${struct.name}: ${errno(result)}: ${this.calls.lastRefusal?.refusal.why}`);
    return out;
  }

  /** A call that must be refused: the name of its error. */
  refused<F extends UapiFields>(
    nr: number,
    struct: UapiStruct<F>,
    values: Partial<UapiValues<F>>,
    size?: number,
  ): string {
    return errno(this.ioctl(nr, struct, values, size).result);
  }

  /** An ioctl of VFIO: its structure begins with its size (`argsz`), and something may follow it. */
  vfio<F extends UapiFields>(
    fd: number,
    word: number,
    struct: UapiStruct<F>,
    values: Partial<UapiValues<F>> = {},
    tail: Uint8Array = new Uint8Array(0),
  ): { readonly result: number; readonly out: UapiValues<F>; readonly tail: Uint8Array } {
    const bytes = new Uint8Array(struct.bytes + tail.length);
    encode(struct, { argsz: bytes.length, ...values } as Partial<UapiValues<F>>, bytes);
    bytes.set(tail, struct.bytes);
    this.put(bytes, ARGUMENT);
    const result = this.calls.ioctl(fd, word, ARGUMENT);
    return {
      result,
      out: decode(struct, this.bytes(ARGUMENT, struct.bytes)),
      tail: this.bytes(ARGUMENT + BigInt(struct.bytes), tail.length).slice(),
    };
  }

  /** Binds a device's open file to the caller's iommufd; what iommufd calls the device. */
  bindDevice(fd: number): number {
    const { result, out } = this.vfio(fd, VFIO.BIND_IOMMUFD, BIND, { iommufd: this.fd });
    if (result < 0) throw new Error(`bind: ${errno(result)}: ${this.calls.lastRefusal?.refusal.why}`);
    return out.out_devid;
  }

  newIoas(): number {
    return this.ok(abi.NR.IOAS_ALLOC, abi.IOMMU_IOAS_ALLOC, {}).out_ioas_id;
  }

  /** Maps memory of the caller at a fixed address. */
  map(ioas: number, iova: bigint, length: number, from = BUFFER, writable = true): void {
    const { FIXED_IOVA, READABLE, WRITEABLE } = abi.MAP_FLAGS;
    this.ok(abi.NR.IOAS_MAP, abi.IOMMU_IOAS_MAP, {
      flags: FIXED_IOVA | READABLE | (writable ? WRITEABLE : 0),
      ioas_id: ioas,
      user_va: from,
      length: BigInt(length),
      iova,
    });
  }

  unmap(ioas: number, iova: bigint, length: bigint): void {
    this.ok(abi.NR.IOAS_UNMAP, abi.IOMMU_IOAS_UNMAP, { ioas_id: ioas, iova, length });
  }

  /** A page table of the host. */
  hwpt(device: number, ioas: number, flags = 0): number {
    return this.ok(abi.NR.HWPT_ALLOC, abi.IOMMU_HWPT_ALLOC, { flags, dev_id: device, pt_id: ioas })
      .out_hwpt_id;
  }

  /** An operation of IOMMU_TEST_CMD. */
  test<F extends UapiFields>(
    op: number,
    id: number,
    struct: UapiStruct<F>,
    values: Partial<UapiValues<F>> = {},
  ) {
    const bytes = new Uint8Array(test.TEST_CMD_BYTES);
    encode(test.TEST_CMD, { size: test.TEST_CMD_BYTES, op, id, reserved: 0 }, bytes);
    encode(struct, values, bytes);
    this.put(bytes, ARGUMENT);
    const result = this.calls.ioctl(this.fd, 0x3ba0, ARGUMENT);
    return {
      result: result < 0 ? errno(result) : result,
      out: decode(struct, this.bytes(ARGUMENT, struct.bytes)),
    };
  }

  /** A mock device, attached to an IOAS or page table. */
  plug(target: number, dev_flags = 0) {
    const { result, out } = this.test(test.OP.MOCK_DOMAIN_FLAGS, target, test.MOCK_DOMAIN, { dev_flags });
    if (result !== 0) throw new Error(`plug: ${result}: ${this.calls.lastRefusal?.refusal.why}`);
    return { stdev: out.out_stdev_id, hwpt: out.out_hwpt_id, device: out.out_idev_id };
  }
}

/** `EINVAL` for -22; `ok` for what is no error. */
export function errno(result: number): string {
  if (result >= 0) return 'ok';
  const name = (Object.keys(ERRNO) as ErrnoName[]).find((one) => ERRNO[one] === -result);
  return name ?? String(result);
}
