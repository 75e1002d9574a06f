/** A machine under qtest commands: what a CPU at its bus would see. */

import { loOf, numberOf } from '../core/u64.ts';
import type { Machine } from '../machine/machine.ts';
import { type AccessSize, FILL_LIMIT, type InterceptAnswer, type QtestTarget } from './protocol.ts';

/** Above this nothing answers: physical addresses have at most 52 bits. */
const ADDRESS_END = 2 ** 52;
/** Whom reports name as the writer. */
const WRITER = 'qtest';

export class MachineTarget implements QtestTarget {
  hi = 0;
  readonly #machine: Machine;
  readonly #onIrq: (pin: number, raised: boolean) => void;
  #levels = 0;

  constructor(machine: Machine, onIrq: (pin: number, raised: boolean) => void) {
    this.#machine = machine;
    this.#onIrq = onIrq;
  }

  load(lo: number, hi: number, size: AccessSize): number {
    const { memory, mmio } = this.#machine;
    const at = memory.ram.locate(lo, hi, size);
    if (at >= 0) return this.#loadRam(at, size);
    const address = numberOf(lo, hi);
    if (address % size !== 0) return this.#loadPieces(lo, hi, size);
    this.hi = 0;
    if (address >= ADDRESS_END) return 0;
    const value = mmio.read(address, size);
    if (!mmio.claimed) return 0;
    this.hi = mmio.hi >>> 0;
    return value >>> 0;
  }

  #loadRam(at: number, size: AccessSize): number {
    const { u8 } = this.#machine.ram;
    if (size === 1) return u8[at]!;
    if (size === 2) return u8[at]! | (u8[at + 1]! << 8);
    this.hi = size === 8 ? word(u8, at + 4) : 0;
    return word(u8, at);
  }

  #loadPieces(lo: number, hi: number, size: AccessSize): number {
    const bytes = this.read(lo, hi, size);
    this.hi = size === 8 ? bytes.readUInt32LE(4) : 0;
    return size === 2 ? bytes.readUInt16LE(0) : bytes.readUInt32LE(0);
  }

  store(lo: number, hi: number, size: AccessSize, valueLo: number, valueHi: number): void {
    const address = numberOf(lo, hi);
    if (this.#machine.ram.locate(lo, hi, size) < 0 && address % size === 0) {
      if (address < ADDRESS_END) this.#machine.mmio.write(address, size, valueLo, valueHi);
      return;
    }
    const bytes = Buffer.alloc(8);
    bytes.writeUInt32LE(valueLo, 0);
    bytes.writeUInt32LE(valueHi, 4);
    this.write(lo, hi, bytes.subarray(0, size));
  }

  read(lo: number, hi: number, length: number): Buffer {
    const { ram } = this.#machine;
    const at = ram.locate(lo, hi, length);
    if (at >= 0) return Buffer.from(ram.u8.buffer, at, length);
    const bytes = Buffer.alloc(length);
    const start = numberOf(lo, hi);
    for (let done = 0; done < length; ) {
      const size = pieceSize(start + done, length - done);
      const value = this.load(loOf(start + done), upperOf(start + done), size);
      for (let i = 0; i < size; i++) bytes[done + i] = i < 4 ? value >>> (i * 8) : this.hi >>> ((i - 4) * 8);
      done += size;
    }
    return bytes;
  }

  write(lo: number, hi: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const { memory } = this.#machine;
    memory.writer = WRITER;
    if (memory.ram.locate(lo, hi, bytes.length) >= 0) memory.write(lo, hi, bytes, 0, bytes.length);
    else this.#writePieces(numberOf(lo, hi), bytes);
  }

  #writePieces(start: number, bytes: Uint8Array): void {
    const { memory, mmio } = this.#machine;
    for (let done = 0; done < bytes.length; ) {
      const address = start + done;
      const size = pieceSize(address, bytes.length - done);
      const [lo, hi] = [loOf(address), upperOf(address)];
      if (memory.ram.locate(lo, hi, size) >= 0) memory.write(lo, hi, bytes, done, size);
      else if (address < ADDRESS_END) {
        const upper = size === 8 ? part(bytes, done + 4, 4) : 0;
        mmio.write(address, size, part(bytes, done, Math.min(size, 4)), upper);
      }
      done += size;
    }
  }

  fill(lo: number, hi: number, length: number, byte: number): boolean {
    const { ram } = this.#machine;
    const at = ram.locate(lo, hi, length);
    if (at < 0) {
      if (length > FILL_LIMIT) return false;
      this.write(lo, hi, Buffer.alloc(length, byte));
      return true;
    }
    this.#machine.memory.writer = WRITER;
    ram.u8.fill(byte, at, at + length);
    ram.wrote(at, length);
    return true;
  }

  in(port: number, size: 1 | 2 | 4): number {
    return this.#machine.ports.read(port, size);
  }

  out(port: number, size: 1 | 2 | 4, value: number): void {
    this.#machine.ports.write(port, size, value);
  }

  get now(): number {
    return this.#machine.clock.now;
  }

  get nextEvent(): number {
    return this.#machine.clock.nextAt;
  }

  advanceTo(ns: number): void {
    this.#machine.clock.advanceTo(ns);
  }

  knows(path: string): boolean {
    return this.#machine.devices.has(nameOf(path));
  }

  interceptIn(path: string): InterceptAnswer {
    const machine = this.#machine;
    if (nameOf(path) !== this.#machine.platform.inputs.of)
      return machine.onPin === undefined ? 'no-pins' : 'taken';
    machine.onPin ??= (pin, level) => this.#pin(pin, level);
    return 'ok';
  }

  /** Reported when it changes, from all low on. */
  #pin(pin: number, level: boolean): void {
    const bit = 1 << pin;
    if (((this.#levels & bit) !== 0) === level) return;
    this.#levels ^= bit;
    this.#onIrq(pin, level);
  }

  /** No device here has output pins of its own: PCI functions send messages or drive INTx. */
  interceptOut(path: string): InterceptAnswer {
    if (this.#machine.onPin === undefined) return 'no-pins';
    return nameOf(path) === this.#machine.platform.inputs.of ? 'ok' : 'taken';
  }

  setIrq(path: string, name: string | undefined, pin: number, level: number): boolean {
    const { of, count } = this.#machine.platform.inputs;
    if (nameOf(path) !== of || name !== undefined || pin >= count) return false;
    this.#machine.setPin(pin, level !== 0);
    return true;
  }
}

/** The last part of a path; QEMU takes it alone too. */
function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** The upper half of any 64-bit address. */
function upperOf(address: number): number {
  return Math.floor(address / 4294967296) >>> 0;
}

function pieceSize(address: number, left: number): AccessSize {
  if (left >= 8 && address % 8 === 0) return 8;
  if (left >= 4 && address % 4 === 0) return 4;
  return left >= 2 && address % 2 === 0 ? 2 : 1;
}

function part(bytes: Uint8Array, at: number, size: number): number {
  let value = 0;
  for (let i = 0; i < size; i++) value |= bytes[at + i]! << (i * 8);
  return value >>> 0;
}

function word(bytes: Uint8Array, at: number): number {
  return part(bytes, at, 4);
}
