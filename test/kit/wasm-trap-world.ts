import type { HiddenLayout } from '../../vmm/mem/layout.ts';
import {
  type AccessFault,
  RamSlowPath,
  type RewriteResult,
  type SlowPathOwner,
  slowPathImports,
} from '../../vmm/vcpu/rewrite/index.ts';

/** What the guest did that a device or a watch would see. */
export type TrapEvent = string;

export class GuestFault extends Error {
  readonly reason: string;
  constructor(reason: string) {
    super(reason);
    this.reason = reason;
  }
}

/** A register file that answers in [base, base + size): reads depend on address, width and how many there were. */
export class TestDevice {
  readonly base: number;
  readonly size: number;
  readonly events: TrapEvent[] = [];
  private reads = 0;

  constructor(base: number, size: number) {
    this.base = base;
    this.size = size;
  }

  /** undefined: nothing answers. */
  read(address: number, width: number): bigint | undefined {
    if (address < this.base || address + width > this.base + this.size) return undefined;
    const mixed = (BigInt(address) * 0x9e3779b97f4a7c15n + BigInt(++this.reads) * 0xd1342543de82ef95n) >> 3n;
    const value = BigInt.asUintN(width * 8, mixed);
    this.events.push(`read ${address.toString(16)} ${width}`);
    return value;
  }

  write(address: number, width: number, value: bigint): boolean {
    if (address < this.base || address + width > this.base + this.size) return false;
    this.events.push(`write ${address.toString(16)} ${width} ${value.toString(16)}`);
    return true;
  }
}

/** The host side of a rewritten module: RAM with dirty and watched pages, one device, fuel. */
export class TrapWorld implements SlowPathOwner {
  readonly layout: HiddenLayout;
  readonly memory: WebAssembly.Memory;
  readonly ram: Uint8Array;
  readonly device: TestDevice;
  readonly watched = new Set<number>();
  readonly dirty = new Set<number>();
  onSafepoint: () => void = () => {
    throw new GuestFault('out of fuel');
  };
  onMmio: () => void = () => {};
  private readonly flags: Uint8Array;

  constructor(layout: HiddenLayout, device: TestDevice) {
    this.layout = layout;
    this.device = device;
    this.memory = new WebAssembly.Memory({ initial: layout.wasmPages, maximum: layout.wasmPages });
    this.ram = new Uint8Array(this.memory.buffer, 0, layout.ramEnd);
    this.flags = new Uint8Array(this.memory.buffer, layout.flags, 1 << 20);
  }

  instantiate(result: RewriteResult, imports: WebAssembly.Imports = {}): WebAssembly.Exports {
    const path = new RamSlowPath(this, this.layout, this.memory);
    const module = new WebAssembly.Module(result.wasm);
    return new WebAssembly.Instance(module, { ...imports, tsvmm_vm: slowPathImports(path, this.memory) })
      .exports;
  }

  private isRamPage(page: number): boolean {
    return page >= this.layout.ramBase >>> 12 && page < this.layout.ramEnd >>> 12;
  }

  /** Clears the dirty mark of a page, as a round of migration does. */
  clean(page: number): void {
    this.dirty.delete(page);
    this.flags[page] = 0;
    if (page > 0) this.flags[page - 1] = 0;
  }

  watch(page: number): void {
    this.watched.add(page);
    this.flags[page] = 0;
    if (page > 0) this.flags[page - 1] = 0;
  }

  isFast(page: number): boolean {
    return this.flags[page] !== 0;
  }

  beforeWrite(page: number): boolean {
    this.dirty.add(page);
    if (this.watched.has(page)) return true;
    if (this.isRamPage(page + 1) && !this.watched.has(page + 1)) {
      this.dirty.add(page + 1);
      this.flags[page] = 1;
    }
    return false;
  }

  written(address: number, length: number): void {
    this.device.events.push(`written ${address.toString(16)} ${length}`);
  }

  mmioRead(address: number, width: number): number {
    const value = this.device.read(address >>> 0, width);
    if (value === undefined) throw new GuestFault('unmapped');
    this.onMmio();
    return Number(value & 0xffff_ffffn);
  }

  mmioRead64(address: number): number {
    const value = this.device.read(address >>> 0, 8);
    if (value === undefined) throw new GuestFault('unmapped');
    this.onMmio();
    new DataView(this.memory.buffer).setUint32(this.layout.hiWord, Number(value >> 32n), true);
    return Number(value & 0xffff_ffffn);
  }

  mmioWrite(address: number, width: number, lo: number, hi: number): void {
    this.onMmio();
    if (!this.device.write(address >>> 0, width, (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0)))
      throw new GuestFault('unmapped');
  }

  fault(_address: number, _width: number, reason: AccessFault): never {
    throw new GuestFault(reason);
  }

  safepoint(): void {
    this.onSafepoint();
  }
}
