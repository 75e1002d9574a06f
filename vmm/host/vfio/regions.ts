import { demand, refuse } from '../kernel/errno.ts';
import { MAP, type MapRequest } from '../kernel/files.ts';
import { PAGE_SIZE } from '../kernel/host-memory.ts';
import type { DeviceWindow, Process } from '../kernel/process.ts';
import { REGION, REGION_SHIFT, REGIONS } from './abi.ts';
import { romBytes, type VirtualConfig } from './config-space.ts';
import type { LowPower } from './low-power.ts';
import type { PhysicalFunction } from './physical.ts';

const OFFSET_MASK = (1n << REGION_SHIFT) - 1n;
const REGION_BYTES = 2 ** Number(REGION_SHIFT);
const BAR_REGISTERS = 0x10;
/** Bytes of the largest piece that is copied at once. */
const WORD = 8;

/** Where the MSI-X table is: user space neither sees nor sets it. */
export interface MsixPlace {
  readonly bar: number;
  readonly start: number;
  readonly end: number;
}

/** Bytes of each region, as GET_REGION_INFO tells them. */
export function regionSize(fn: PhysicalFunction, index: number): number {
  if (index < REGION.ROM) return fn.bars[index]?.size ?? 0;
  if (index === REGION.ROM) return fn.rom === undefined ? 0 : romBytes(fn.rom);
  return index === REGION.CONFIG ? fn.configBytes : 0;
}

/** A BAR's pages belong to it alone: pages of its own, or the beginning of one where the host placed it there. */
export function isMappable(fn: PhysicalFunction, bar: number): boolean {
  const spec = fn.bars[bar];
  if (spec === undefined || spec.kind === 'io') return false;
  return spec.size >= PAGE_SIZE || (fn.configRead(BAR_REGISTERS + 4 * bar, 4) & (PAGE_SIZE - 1) & ~0xf) === 0;
}

/** The regions of an open device: reads, writes and mappings, by offset in its file. */
export class Regions implements DeviceRegions {
  readonly #fn: PhysicalFunction;
  readonly #config: VirtualConfig;
  readonly #msix: MsixPlace | undefined;
  readonly #power: LowPower;

  constructor(fn: PhysicalFunction, config: VirtualConfig, msix: MsixPlace | undefined, power: LowPower) {
    this.#fn = fn;
    this.#config = config;
    this.#msix = msix;
    this.#power = power;
  }

  /** Registers decode: the user enabled them, and the device has power. Low power ends for a call, so it does not matter to one. */
  get #decodes(): boolean {
    return this.#config.memoryEnabled && this.#power.state < 3;
  }

  get mapped(): boolean {
    return this.#decodes && !this.#power.engaged;
  }

  /** Moves up to `length` bytes; returns how many. Throws EINVAL, EFAULT, EIO. */
  move(caller: Process, address: bigint, length: number, offset: bigint, write: boolean): number {
    if (length === 0) return 0;
    const place = Number(offset);
    const index = Math.floor(place / REGION_BYTES);
    const at = place - index * REGION_BYTES;
    demand(index < REGIONS, 'EINVAL', `there is no region ${index}`);
    if (index === REGION.CONFIG)
      return write
        ? this.#config.write(caller, address, length, at)
        : this.#config.read(caller, address, length, at);
    if (index === REGION.ROM) return this.#readRom(caller, address, length, at, write);
    if (index === REGION.VGA) return refuse('EINVAL', 'the device has no VGA registers');
    return this.#moveBar(caller, address, length, index, at, write);
  }

  #readRom(caller: Process, address: bigint, length: number, at: number, write: boolean): number {
    demand(!write, 'EINVAL', 'the ROM cannot be written');
    const { rom } = this.#fn;
    const size = regionSize(this.#fn, REGION.ROM);
    if (rom === undefined || at >= size) refuse('EINVAL', 'the place is outside of the ROM');
    const count = Math.min(length, size - at);
    const bytes = caller.bytes(address, count, true).fill(0xff);
    bytes.set(rom.subarray(Math.min(at, rom.length), Math.min(at + count, rom.length)));
    return count;
  }

  #moveBar(
    caller: Process,
    address: bigint,
    length: number,
    bar: number,
    at: number,
    write: boolean,
  ): number {
    const spec = this.#fn.bars[bar];
    if (spec === undefined || at >= spec.size) refuse('EINVAL', `the place is outside of BAR ${bar}`);
    const count = Math.min(length, spec.size - at);
    const memory = spec.kind !== 'io';
    for (let done = 0; done < count; ) {
      const hidden = this.#inTable(bar, at + done);
      const end = hidden ? this.#msix!.end : this.#untilTable(bar, at + done, spec.size);
      const size = hidden
        ? Math.min(count - done, end - at - done)
        : width(at + done, Math.min(count - done, end - at - done));
      const bytes = caller.bytes(address + BigInt(done), size, !write);
      if (!hidden) {
        demand(!memory || this.#decodes, 'EIO', 'the device does not decode memory');
        this.#piece(bar, at + done, bytes, write);
      } else if (!write) bytes.fill(0xff);
      done += size;
    }
    return count;
  }

  #inTable(bar: number, at: number): boolean {
    const table = this.#msix;
    return table !== undefined && table.bar === bar && at >= table.start && at < table.end;
  }

  #untilTable(bar: number, at: number, size: number): number {
    const table = this.#msix;
    return table !== undefined && table.bar === bar && at < table.start ? table.start : size;
  }

  #piece(bar: number, at: number, bytes: Uint8Array, write: boolean): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const size = bytes.length;
    if (write) {
      const lo =
        size === 1 ? view.getUint8(0) : size === 2 ? view.getUint16(0, true) : view.getUint32(0, true);
      this.#fn.barWrite(bar, at, size, lo, size === 8 ? view.getUint32(4, true) : 0);
      return;
    }
    const lo = this.#fn.barRead(bar, at, size);
    if (size === 1) view.setUint8(0, lo);
    else if (size === 2) view.setUint16(0, lo, true);
    else view.setUint32(0, lo, true);
    if (size === 8) view.setUint32(4, this.#fn.hi, true);
  }

  /** Maps part of a BAR. `unmapped` is called when it goes. Throws EINVAL. */
  map(caller: Process, { address, length, flags, offset }: MapRequest, unmapped: () => void): void {
    const index = Number(offset >> REGION_SHIFT);
    const at = offset & OFFSET_MASK;
    const page = BigInt(PAGE_SIZE);
    demand(index < REGIONS && (flags & MAP.SHARED) !== 0, 'EINVAL', 'no region, or not a shared mapping');
    demand(address % page === 0n && at % page === 0n && length > 0n, 'EINVAL', 'not whole pages');
    demand(index < REGION.ROM && isMappable(this.#fn, index), 'EINVAL', `region ${index} cannot be mapped`);
    const whole = BigInt(Math.ceil((this.#fn.bars[index]?.size ?? 0) / PAGE_SIZE)) * page;
    const bytes = ((length + page - 1n) / page) * page;
    demand(at + bytes <= whole, 'EINVAL', 'the mapping ends outside of the region');
    caller.mapWindow(address, bytes, new BarWindow(this.#fn, this, index, Number(at)), unmapped);
  }
}

interface DeviceRegions {
  /** Loads and stores of mappings reach the device. */
  readonly mapped: boolean;
}

/** Registers of a BAR at addresses of a process. Where the device does not decode, loads give ones and stores go nowhere. */
class BarWindow implements DeviceWindow {
  hi = 0;
  readonly #fn: PhysicalFunction;
  readonly #regions: DeviceRegions;
  readonly #bar: number;
  readonly #start: number;

  constructor(fn: PhysicalFunction, regions: DeviceRegions, bar: number, start: number) {
    this.#fn = fn;
    this.#regions = regions;
    this.#bar = bar;
    this.#start = start;
  }

  load(offset: number, size: number): number {
    this.hi = 0xffff_ffff;
    if (!this.#inside(offset, size)) return size === 4 || size === 8 ? 0xffff_ffff : 2 ** (8 * size) - 1;
    const value = this.#fn.barRead(this.#bar, this.#start + offset, size);
    this.hi = size === 8 ? this.#fn.hi : 0;
    return value;
  }

  store(offset: number, size: number, lo: number, hi: number): void {
    if (this.#inside(offset, size)) this.#fn.barWrite(this.#bar, this.#start + offset, size, lo, hi);
  }

  line(offset: number, words: Uint32Array, deferrable: boolean): number {
    const REFUSED = 2;
    if (!this.#inside(offset, 64) || this.#fn.barLine === undefined) return REFUSED;
    return this.#fn.barLine(this.#bar, this.#start + offset, words, deferrable);
  }

  /** A sub-page BAR has nothing behind its end. */
  #inside(offset: number, size: number): boolean {
    return this.#regions.mapped && this.#start + offset + size <= (this.#fn.bars[this.#bar]?.size ?? 0);
  }
}

/** The largest aligned access at a place. */
function width(at: number, left: number): number {
  let size = WORD;
  while (size > left || at % size !== 0) size /= 2;
  return size;
}
