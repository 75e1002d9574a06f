import type { DeviceView } from '../../vmm/bus/device.ts';
import { hex, hex32, hex64 } from '../../vmm/core/u64.ts';
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
