/** The state of the machine as a tree that can be walked by name. */

import { didYouMean } from '../core/suggest.ts';
import type { Json } from '../state/schema.ts';
import type { SnapshotUnit } from '../state/unit.ts';
import { MonitorError } from './error.ts';

type Tree = { readonly [key: string]: Json };

export function treeOf(units: readonly SnapshotUnit[]): Tree {
  return Object.fromEntries(units.map((unit) => [unit.id, unit.save().body]));
}

/** The part at a path. Names may hold dots themselves (`edu0.pci`): the longest that fits is taken. */
export function lookup(tree: Json, path: string): Json {
  let here = tree;
  let rest = path;
  while (rest !== '') {
    const keys = keysOf(here);
    const key = keys
      .filter((k) => rest === k || rest.startsWith(`${k}.`))
      .sort((a, b) => b.length - a.length)[0];
    if (key === undefined) {
      const where = path.slice(0, path.length - rest.length).replace(/\.$/, '');
      const wanted = rest.split('.')[0]!;
      const hint = keys.length === 0 ? 'it is a value' : didYouMean(wanted, keys);
      throw new MonitorError(`there is no '${wanted}'${where === '' ? '' : ` in ${where}`}; ${hint}`);
    }
    here = (here as Tree)[key]!;
    rest = rest.slice(key.length + 1);
  }
  return here;
}

function keysOf(json: Json): string[] {
  return typeof json === 'object' && json !== null ? Object.keys(json) : [];
}

/** One line a member; what is below a member is shortened. */
export function treeText(json: unknown): string {
  if (typeof json !== 'object' || json === null) return String(json);
  const entries = Object.entries(json);
  if (entries.length === 0) return Array.isArray(json) ? '[]' : '{}';
  return entries.map(([key, value]) => `${key}: ${short(value)}`).join('\n');
}

const WIDTH = 100;

function short(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length <= WIDTH ? text : `${text.slice(0, WIDTH - 3)}...`;
}
