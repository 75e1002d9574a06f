import { F32, F64, I32, I64, V128 } from './opcodes.ts';
import type { Writer } from './writer.ts';

/** Scratch slots of a function: an address, one value of each type, a second integer of each type, the fuel counter, a translation. */
export const SLOT_ADDR = 0;
export const SLOT_FUEL = 1;
export const SLOT_ENTRY = 9;
const SLOT_TYPES: readonly number[] = [I32, I64, I32, I64, F32, F64, V128, I32, I64, I32];
const SLOT_OF_TYPE: Readonly<Record<number, number>> = { [I32]: 2, [I64]: 3, [F32]: 4, [F64]: 5, [V128]: 6 };

export function valueSlot(type: number): number {
  return SLOT_OF_TYPE[type] as number;
}

export function secondSlot(type: number): number {
  return type === I64 ? 8 : 7;
}

/** The locals a rewritten function needs beside its own, numbered as they are first used. */
export class ScratchLocals {
  private readonly index = new Int32Array(SLOT_TYPES.length);
  private readonly order = new Uint8Array(SLOT_TYPES.length);
  private used = 0;
  private first = 0;

  reset(first: number): void {
    this.index.fill(-1);
    this.used = 0;
    this.first = first;
  }

  local(slot: number): number {
    const known = this.index[slot] as number;
    if (known >= 0) return known;
    const index = this.first + this.used;
    this.order[this.used++] = slot;
    this.index[slot] = index;
    return index;
  }

  get groups(): number {
    return this.used;
  }

  emit(out: Writer): void {
    for (let i = 0; i < this.used; i++) out.u8x2(1, SLOT_TYPES[this.order[i] as number] as number);
  }
}
