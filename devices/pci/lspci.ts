import { bdfText } from '../../vmm/core/bdf.ts';
import type { PciFunction } from './function.ts';
import { CLASS } from './header.ts';
import type { RootComplex } from './root-complex.ts';

const ROW = 16;

/** The hierarchy as `lspci -xxxx` prints it, which `lspci -F FILE` reads back. */
export function lspciDump(rc: RootComplex): string {
  return rc.functions().map(dumpFunction).join('\n');
}

function dumpFunction(fn: PciFunction): string {
  const code = CLASS.get.CODE(fn.s.config, CLASS.offset / 4) >>> 8;
  const lines = [`${bdfText(fn.bdf)} Class ${code.toString(16).padStart(4, '0')}: ${fn.id}`];
  const { bytes } = fn.w.layout;
  for (let offset = 0; offset < bytes; offset += ROW) {
    const row = Array.from({ length: ROW }, (_, i) => hexByte(fn.configRead(offset + i, 1)));
    lines.push(`${offset.toString(16).padStart(offset < 0x100 ? 2 : 3, '0')}: ${row.join(' ')}`);
  }
  return `${lines.join('\n')}\n`;
}

function hexByte(value: number): string {
  return value.toString(16).padStart(2, '0');
}
