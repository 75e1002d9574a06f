import type { DeviceView } from '../../vmm/bus/device.ts';
import { hex, hex32, hex64, hi32, lo32 } from '../../vmm/core/u64.ts';
import type { GuestRam } from '../../vmm/mem/ram.ts';
import type { RegisterBlock } from '../../vmm/regs/block.ts';

/** Every register with its fields. */
export function registerView(block: RegisterBlock, regs: Uint32Array) {
  return block.registers.map((r) => {
    const lo = block.read32(regs, r.offset);
    const hi = r.bytes === 8 ? block.read32(regs, r.offset + 4) : 0;
    return {
      offset: hex(r.offset),
      name: r.name,
      value: r.bytes === 8 ? hex64(lo, hi) : hex32(lo),
      fields: r.show([lo, hi]),
    };
  });
}

/** A view of rows: one line each. */
export function rowView<T>(
  name: string,
  doc: string,
  rows: () => readonly T[],
  text: (row: T) => string,
  none: string,
): DeviceView {
  return {
    name,
    doc,
    json: rows,
    text: () => {
      const all = rows();
      return all.length === 0 ? none : all.map(text).join('\n');
    },
  };
}

/** Entries of a queue that one look shows. */
const MAX_WAITING = 64;

export interface WaitingEntry {
  readonly at: string;
  readonly raw: readonly string[];
}

/** What lies in a queue of `size` bytes between two places in it; reading registers could do things, so only in RAM. */
export function waitingEntries(
  ram: GuestRam,
  base: bigint,
  size: number,
  width: number,
  from: number,
  to: number,
): WaitingEntry[] {
  const waiting: WaitingEntry[] = [];
  for (let at = from; at !== to && waiting.length < MAX_WAITING; at = (at + width) % size) {
    const address = base + BigInt(at);
    const located = ram.locate(lo32(address), hi32(address), width);
    if (located < 0) break;
    const place = located >>> 2;
    const raw = Array.from({ length: width / 8 }, (_, i) =>
      hex64(ram.u32[place + i * 2]!, ram.u32[place + i * 2 + 1]!),
    );
    waiting.push({ at: hex(address), raw });
  }
  return waiting;
}

export function waitingLines(waiting: readonly WaitingEntry[]): string[] {
  return waiting.map(({ at, raw }) => `  ${at}: ${raw.join(' ')}`);
}
