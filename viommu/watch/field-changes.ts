import { hex } from '../../vmm/core/u64.ts';
import type { FieldDecl } from '../../vmm/regs/field.ts';
import type { Layout } from '../../vmm/regs/layout.ts';

/** `P=0->1 DID=3->5`; stores that change only reserved bits, or nothing, say so. */
export function fieldChanges(layout: Layout, old: Uint32Array, now: Uint32Array): string {
  const changes: string[] = [];
  for (const [name, field] of Object.entries(layout.fields)) {
    const before = layout.get[name]!(old, 0);
    const after = layout.get[name]!(now, 0);
    if (before !== after) changes.push(`${name}=${valueText(field, before)}->${valueText(field, after)}`);
  }
  return changes.length > 0 ? changes.join(' ') : 'none of its fields';
}

function valueText(field: FieldDecl, value: number): string {
  const name = field.values?.[value];
  const text = value < 10 ? String(value) : hex(value);
  return name === undefined ? text : `${text} (${name})`;
}
