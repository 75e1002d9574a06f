/**
 * A suspended guest's processor as plain data: its WASM globals, its function table and the frames asyncify laid down. With
 * RAM that is all there is; the module is the same one, byte for byte, or nothing of this fits.
 */

import { TsvmmError } from '../../core/errors.ts';
import type { HiddenLayout } from '../../mem/layout.ts';
import { defineState } from '../../state/define.ts';
import { list, text } from '../../state/schema.ts';
import type { SnapshotUnit } from '../../state/unit.ts';
import type { RewriteResult } from '../rewrite/index.ts';

const NULL = 'null';

export const CPU_IMAGE = defineState('wasm', 1, {
  /** Numbers as the hexadecimal of their bits, references as the index of their function. */
  globals: list({ name: text, value: text }),
  /** Function indexes of the table's entries. */
  table: list({ function: text }),
  /** Asyncify's stack, up to its top. */
  frames: text,
});

export interface CpuImageWiring {
  readonly instance: WebAssembly.Instance;
  readonly rewritten: RewriteResult;
  readonly memory: WebAssembly.Memory;
  readonly layout: HiddenLayout;
}

/** The unit of a guest that is suspended (save) or just instantiated (load). */
export function cpuImageUnit(w: CpuImageWiring): SnapshotUnit {
  return {
    id: 'wasm',
    save: () => CPU_IMAGE.save(saveImage(w)),
    load(unit) {
      const image = CPU_IMAGE.fresh();
      CPU_IMAGE.load(image, unit, 'wasm');
      loadImage(w, image);
    },
  };
}

type CpuImage = ReturnType<typeof CPU_IMAGE.fresh>;

/** What a module's instance holds besides its call stack. */
export type Registers = Pick<CpuImage, 'globals' | 'table'>;

function saveImage(w: CpuImageWiring): CpuImage {
  return { ...saveRegisters(w), frames: savedFrames(w) };
}

export function saveRegisters(w: CpuImageWiring): Registers {
  const { instance, rewritten } = w;
  const globals = rewritten.mutableGlobals.map(({ name, type }) => ({
    name,
    value: valueText(globalOf(instance, name).value, type),
  }));
  const table = Array.from(entriesOf(tableOf(w)), (entry) => ({ function: functionIndex(entry) }));
  return { globals, table };
}

function loadImage(w: CpuImageWiring, image: CpuImage): void {
  loadRegisters(w, image);
  loadFrames(w, image.frames);
}

export function loadRegisters(w: CpuImageWiring, image: Registers): void {
  const functions = functionsOf(w);
  const names = w.rewritten.mutableGlobals.map((g) => g.name);
  if (names.join() !== image.globals.map((g) => g.name).join()) throw misfit('has other globals');
  w.rewritten.mutableGlobals.forEach(({ name, type }, i) => {
    globalOf(w.instance, name).value = valueFrom(image.globals[i]!.value, type, functions);
  });
  loadTable(w, image, functions);
}

/** Current top and end of asyncify's stack stand before it. */
function frameWords({ memory, layout }: CpuImageWiring): Uint32Array {
  return new Uint32Array(memory.buffer, layout.asyncifyData, 2);
}

function savedFrames(w: CpuImageWiring): string {
  const { asyncifyStack } = w.layout;
  const bytes = frameWords(w)[0]! - asyncifyStack;
  return Buffer.from(w.memory.buffer, asyncifyStack, bytes).toString('hex');
}

function loadFrames(w: CpuImageWiring, hex: string): void {
  const bytes = Buffer.from(hex, 'hex');
  const { asyncifyStack, asyncifyEnd } = w.layout;
  if (bytes.length * 2 !== hex.length || bytes.length > asyncifyEnd - asyncifyStack)
    throw misfit('has a bad stack');
  bytes.copy(new Uint8Array(w.memory.buffer), asyncifyStack);
  frameWords(w).set([asyncifyStack + bytes.length, asyncifyEnd]);
}

function tableOf({ instance, rewritten }: CpuImageWiring): WebAssembly.Table | undefined {
  return rewritten.table === undefined
    ? undefined
    : (instance.exports[rewritten.table] as WebAssembly.Table | undefined);
}

function* entriesOf(table: WebAssembly.Table | undefined): Iterable<unknown> {
  for (let i = 0; i < (table?.length ?? 0); i++) yield table!.get(i);
}

/** JS-API, Exported functions: the name of one is its index in its module. */
function functionIndex(reference: unknown): string {
  if (reference === null || reference === undefined) return NULL;
  return (reference as { readonly name: string }).name;
}

/** The functions a restored reference can name: those a table or an export gives. */
function functionsOf(w: CpuImageWiring): Map<string, unknown> {
  const all = [...entriesOf(tableOf(w)), ...Object.values(w.instance.exports)];
  return new Map(all.filter((x) => typeof x === 'function').map((x) => [functionIndex(x), x]));
}

function referenceTo(index: string, functions: ReadonlyMap<string, unknown>): unknown {
  if (index === NULL) return null;
  const found = functions.get(index);
  // LIMIT: a function that only ref.func names cannot be found again in a new instance.
  if (found === undefined)
    throw misfit(`refers to function ${index}, which is neither exported nor in the table`);
  return found;
}

function loadTable(w: CpuImageWiring, image: Registers, functions: ReadonlyMap<string, unknown>): void {
  const table = tableOf(w);
  const length = table?.length ?? 0;
  if (table === undefined || image.table.length < length) {
    if (image.table.length !== length) throw misfit('has another table');
    return;
  }
  if (image.table.length > length) table.grow(image.table.length - length);
  image.table.forEach((entry, i) => void table.set(i, referenceTo(entry.function, functions)));
}

function globalOf(instance: WebAssembly.Instance, name: string): WebAssembly.Global {
  return instance.exports[name] as WebAssembly.Global;
}

const scratch = new DataView(new ArrayBuffer(8));

function valueText(value: unknown, type: string): string {
  if (type === 'funcref') return functionIndex(value);
  if (type === 'externref') return NULL;
  if (type === 'i32') scratch.setInt32(0, value as number);
  else if (type === 'f32') scratch.setFloat32(0, value as number);
  else if (type === 'i64') scratch.setBigInt64(0, value as bigint);
  else scratch.setFloat64(0, value as number);
  const wide = type === 'i64' || type === 'f64';
  return (wide ? scratch.getBigUint64(0) : scratch.getUint32(0)).toString(16);
}

function valueFrom(textValue: string, type: string, functions: ReadonlyMap<string, unknown>): unknown {
  if (type === 'funcref') return referenceTo(textValue, functions);
  if (type === 'externref') return null;
  if (!/^[0-9a-f]{1,16}$/.test(textValue)) throw misfit('has a bad global');
  scratch.setBigUint64(0, BigInt(`0x${textValue}`));
  if (type === 'i32') return scratch.getInt32(4);
  if (type === 'f32') return scratch.getFloat32(4);
  return type === 'i64' ? scratch.getBigInt64(0) : scratch.getFloat64(0);
}

function misfit(why: string): TsvmmError {
  return new TsvmmError({
    code: 'bad-state',
    object: 'wasm',
    why: `the saved processor ${why}`,
    mend: 'the snapshot is damaged or was made by another program',
  });
}
