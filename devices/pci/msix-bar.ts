import { LINE_REFUSED, type MmioBus, type MmioHandler } from '../../vmm/bus/mmio.ts';
import type { MsixSpec } from './kind.ts';

/** What a BAR answers that nothing is connected to. */
export const UNCONNECTED = { read: () => 0, write: () => {} };

/** The state behind the table and the pending bits. */
interface MsixTable {
  readTable(word: number): number;
  writeTable(word: number, value: number): void;
  readPending(word: number): number;
}

/**
 * A BAR that also holds the MSI-X table and pending bits. They take naturally aligned accesses of 4 and 8 bytes; what others
 * do is undefined by PCI Local Bus 3.0 (MSI-X Table Structure): here they read 0 and write nothing.
 */
export class MsixBar implements MmioHandler {
  readonly #table: MsixTable;
  readonly #inner: MmioHandler;
  readonly #tableAt: number;
  readonly #tableEnd: number;
  readonly #pbaAt: number;
  readonly #pbaEnd: number;

  constructor(table: MsixTable, spec: MsixSpec, inner: MmioHandler) {
    this.#table = table;
    this.#inner = inner;
    this.#tableAt = spec.tableOffset;
    this.#tableEnd = spec.tableOffset + spec.vectors * 16;
    this.#pbaAt = spec.pbaOffset;
    this.#pbaEnd = spec.pbaOffset + Math.ceil(spec.vectors / 64) * 8;
  }

  read(offset: number, size: number, bus: MmioBus): number {
    const table = this.#inTable(offset);
    if (!table && !this.#inPba(offset)) return this.#inner.read(offset, size, bus);
    if (!wellFormed(offset, size)) return 0;
    const word = (offset - (table ? this.#tableAt : this.#pbaAt)) >>> 2;
    if (size === 8) bus.hi = this.#read32(table, word + 1);
    return this.#read32(table, word);
  }

  #read32(table: boolean, word: number): number {
    return table ? this.#table.readTable(word) : this.#table.readPending(word);
  }

  write(offset: number, size: number, lo: number, hi: number, bus: MmioBus): void {
    if (this.#inPba(offset)) return;
    if (!this.#inTable(offset)) {
      this.#inner.write(offset, size, lo, hi, bus);
      return;
    }
    if (!wellFormed(offset, size)) return;
    const word = (offset - this.#tableAt) >>> 2;
    this.#table.writeTable(word, lo);
    if (size === 8) this.#table.writeTable(word + 1, hi);
  }

  #inTable(offset: number): boolean {
    return offset >= this.#tableAt && offset < this.#tableEnd;
  }

  #inPba(offset: number): boolean {
    return offset >= this.#pbaAt && offset < this.#pbaEnd;
  }
}

/** A BAR of which the device answers the first bytes only: the others read 0, and writes are ignored. */
export class ShortBar implements MmioHandler {
  readonly #inner: MmioHandler;
  readonly #bytes: number;
  readonly line?: NonNullable<MmioHandler['line']>;

  constructor(inner: MmioHandler, bytes: number) {
    this.#inner = inner;
    this.#bytes = bytes;
    // A line has 64 bytes.
    if (inner.line !== undefined)
      this.line = (offset, words, deferrable) =>
        offset + 64 <= bytes ? inner.line!(offset, words, deferrable) : LINE_REFUSED;
  }

  read(offset: number, size: number, bus: MmioBus): number {
    bus.hi = 0;
    return offset + size <= this.#bytes ? this.#inner.read(offset, size, bus) : 0;
  }

  write(offset: number, size: number, lo: number, hi: number, bus: MmioBus): void {
    if (offset + size <= this.#bytes) this.#inner.write(offset, size, lo, hi, bus);
  }
}

function wellFormed(offset: number, size: number): boolean {
  return (size === 4 || size === 8) && offset % size === 0;
}
