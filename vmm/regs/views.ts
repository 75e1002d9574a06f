import type { FieldDecl, Words } from './field.ts';
import { type Layout, Register } from './layout.ts';

/** Views that derive from the declarations: C header text, Markdown tables, plain JSON. */

function macroName(...parts: readonly string[]): string {
  return parts
    .join('_')
    .toUpperCase()
    .replace(/[^A-Z0-9]+/g, '_');
}

/**
 * C macros of a register or structure.
 * Register: PREFIX_NAME (offset). Fields: PREFIX_NAME_FIELD_SHIFT and PREFIX_NAME_FIELD_MASK (shifted to bit 0), and
 * for one-bit fields PREFIX_NAME_FIELD as the bit itself. Structures count shifts within their 64-bit word, which
 * PREFIX_NAME_FIELD_QW gives.
 */
export function cMacros(prefix: string, layout: Layout): string {
  const base = macroName(prefix, layout.name);
  const lines = [`/* ${layout.cite} */`];
  const wide = layout.bytes > 4;
  if (layout instanceof Register) lines.push(`#define ${base} 0x${layout.offset.toString(16)}`);
  else lines.push(`#define ${base}_SIZE ${layout.bytes}`);
  for (const [name, field] of Object.entries(layout.fields)) {
    lines.push(...fieldMacros(macroName(base, name), field, wide, layout.bytes > 8));
  }
  return `${lines.join('\n')}\n`;
}

function fieldMacros(name: string, field: FieldDecl, wide: boolean, multiWord: boolean): string[] {
  const shift = wide ? field.lo & 63 : field.lo;
  const width = field.hi - field.lo + 1;
  const suffix = wide ? 'ull' : 'u';
  const doc = ` /* ${field.doc.replaceAll('*/', '* /')} */`;
  const out: string[] = [];
  if (multiWord) out.push(`#define ${name}_QW ${field.lo >>> 6}`);
  out.push(`#define ${name}_SHIFT ${shift}`);
  out.push(`#define ${name}_MASK 0x${((1n << BigInt(width)) - 1n).toString(16)}${suffix}`);
  if (width === 1) out.push(`#define ${name} (1${suffix} << ${shift})${doc}`);
  else out[out.length - 1] += doc;
  return out;
}

/** Every field of an entry with its value, as people read it. */
export function decodedFields(
  layout: Layout,
  words: Words,
): { name: string; bits: string; value: string; meaning?: string; doc: string }[] {
  return Object.entries(layout.fields).map(([name, field]) => {
    const value = layout.get[name]!(words, 0);
    const meaning = field.values?.[value];
    const bits = field.hi === field.lo ? `${field.hi}` : `${field.hi}:${field.lo}`;
    const text = value < 10 ? String(value) : `0x${value.toString(16)}`;
    return { name, bits, value: text, ...(meaning === undefined ? {} : { meaning }), doc: field.doc };
  });
}

/** A Markdown table of the fields of a layout. */
export function markdownTable(layout: Layout): string {
  const rows = Object.entries(layout.fields).map(
    ([name, f]) => `| ${f.hi === f.lo ? f.lo : `${f.hi}:${f.lo}`} | ${name} | ${f.access} | ${f.doc} |`,
  );
  return ['| bits | field | access | meaning |', '|---|---|---|---|', ...rows].join('\n');
}
