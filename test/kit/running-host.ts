import { readFileSync } from 'node:fs';
import type { ExplainedFault } from '../../vmm/bus/iommu.ts';
import { VirtualClock } from '../../vmm/core/clock.ts';
import * as iommufd from '../../vmm/host/iommufd/abi.ts';
import type { UapiFields, UapiStruct, UapiValues } from '../../vmm/host/kernel/struct.ts';
import { createHost, type Host } from '../../vmm/host/model/create.ts';
import * as vfio from '../../vmm/host/vfio/abi.ts';
import { GuestRam } from '../../vmm/mem/ram.ts';
import { Tracer } from '../../vmm/trace/tracer.ts';
import { BUFFER_BYTES, Caller, errno } from './host-caller.ts';
import { hostKinds, hostOf } from './host-file.ts';
import { withUncountedMemory } from './uncounted-memory.ts';

const MIB = 1 << 20;
const PIECE = 0x4000n;
const COMMAND = 4;
const MEMORY_AND_MASTER = 6;

export const shippedHost = (name: string): unknown =>
  JSON.parse(readFileSync(`vmm/host/hosts/${name}.json`, 'utf8'));

/** A host that runs, and a process of it that uses VFIO: its memory is the linear memory behind which the host's is. */
export class RunningHost {
  readonly ram = withUncountedMemory(() => new GuestRam(0, 16 * MIB, 0, false, 16 * MIB));
  readonly clock = new VirtualClock();
  readonly faults: ExplainedFault[] = [];
  readonly host: Host;
  readonly caller: Caller;

  constructor(json: unknown) {
    this.host = createHost(hostOf(json), {
      kinds: hostKinds,
      ram: this.ram,
      clock: this.clock,
      tracer: new Tracer(() => this.clock.now),
      onFault: (fault) => this.faults.push(fault),
    });
    this.caller = new Caller({ kernel: this.host.kernel, buffer: this.ram.memory.buffer });
  }

  /** Opens a device's file. */
  open(address: string): number {
    const path = this.host.pathOf(address);
    if (path === undefined) throw new Error(`the host has no ${address}`);
    return this.caller.calls.open(path);
  }

  /** An ioctl of VFIO on a device's file. */
  vfio<F extends UapiFields>(
    fd: number,
    word: number,
    struct: UapiStruct<F>,
    values: Partial<UapiValues<F>>,
    tail: Uint8Array = new Uint8Array(0),
  ): { readonly result: string; readonly out: UapiValues<F> } {
    const { result, out } = this.caller.vfio(fd, word, struct, values, tail);
    return { result: errno(result), out };
  }

  /** A device that is open and bound to the process' iommufd, with Memory and Bus Master on. */
  bound(address: string): { readonly fd: number; readonly id: number } {
    const fd = this.open(address);
    const id = this.caller.bindDevice(fd);
    this.write(fd, vfio.REGION.CONFIG, COMMAND, MEMORY_AND_MASTER, 2);
    return { fd, id };
  }

  ioas(): number {
    return this.caller.newIoas();
  }

  /** Attaches the device, or one of its PASIDs. */
  attach(fd: number, target: number, pasid?: number): string {
    const more = pasid === undefined ? {} : { flags: vfio.ATTACH_PASID, pasid };
    return this.vfio(fd, vfio.VFIO.ATTACH_IOMMUFD_PT, vfio.ATTACH, { pt_id: target, ...more }).result;
  }

  /** A page table of the host that goes with PASIDs. */
  pasidTable(device: number, ioas: number): number {
    return this.caller.hwpt(device, ioas, iommufd.HWPT_FLAGS.PASID);
  }

  /** Maps `length` bytes of the process' buffer. */
  map(ioas: number, iova: bigint, length = Number(BUFFER_BYTES)): void {
    this.caller.map(ioas, iova, length);
  }

  unmapAll(ioas: number): void {
    this.caller.unmap(ioas, 0n, (1n << 64n) - 1n);
  }

  /** Writes a register of a region, up to 4 bytes. */
  write(fd: number, region: number, offset: number, value: number, size = 4): number {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    this.caller.put(bytes.subarray(0, size), PIECE);
    return this.caller.calls.pwrite(fd, PIECE, size, (BigInt(region) << vfio.REGION_SHIFT) + BigInt(offset));
  }

  read(fd: number, region: number, offset: number): number {
    const at = (BigInt(region) << vfio.REGION_SHIFT) + BigInt(offset);
    this.caller.calls.pread(fd, PIECE, 4, at);
    const bytes = this.caller.bytes(PIECE, 4);
    return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  }

  /** Virtual time goes on. */
  later(ns: number): void {
    this.clock.advanceTo(this.clock.now + ns);
  }
}
