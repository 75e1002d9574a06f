import { bdfText } from '../../vmm/core/bdf.ts';
import type { PciFunction } from './function.ts';
import { CLASS } from './header.ts';
import type { BarSpec } from './kind.ts';
import type { RootComplex } from './root-complex.ts';

const ROW = 16;

/** The hierarchy as `lspci -xxxx` prints it, which `lspci -F FILE` reads back. */
export function lspciDump(rc: RootComplex): string {
  return rc.functions().map(dumpFunction).join('\n');
}

function dumpFunction(fn: PciFunction): string {
  const code = CLASS.get.CODE(fn.s.config, CLASS.offset / 4) >>> 8;
  const lines = [`${bdfText(fn.bdf)} Class ${code.toString(16).padStart(4, '0')}: ${fn.id}`];
  const { bars, bytes } = fn.w.layout;
  for (const bar of bars) lines.push(regionLine(bar, fn.barAddress(bar)));
  for (let offset = 0; offset < bytes; offset += ROW) {
    const row = Array.from({ length: ROW }, (_, i) => hexByte(fn.configRead(offset + i, 1)));
    lines.push(`${offset.toString(16).padStart(offset < 0x100 ? 2 : 3, '0')}: ${row.join(' ')}`);
  }
  return `${lines.join('\n')}\n`;
}

/** As `lspci -vv` has it: the registers do not tell a BAR's size. `lspci -F` passes over it. */
function regionLine({ index, kind, prefetchable, size }: BarSpec, address: number): string {
  const where = `${address === 0 ? '<unassigned>' : address.toString(16)}`;
  const memory = `(${kind === 'memory64' ? 64 : 32}-bit, ${prefetchable === true ? '' : 'non-'}prefetchable)`;
  const place = kind === 'io' ? `I/O ports at ${where}` : `Memory at ${where} ${memory}`;
  return `\tRegion ${index}: ${place} [size=${sizeText(size)}]`;
}

function sizeText(size: number): string {
  const unit = ['', 'K', 'M', 'G', 'T'].findLast((_, n) => size % 1024 ** n === 0) as string;
  return `${size / 1024 ** ['', 'K', 'M', 'G', 'T'].indexOf(unit)}${unit}`;
}

function hexByte(value: number): string {
  return value.toString(16).padStart(2, '0');
}
