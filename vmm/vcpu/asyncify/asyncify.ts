/**
 * Makes a rewritten guest one that can be unwound at `wfi` and `yield` and wound up again elsewhere: binaryen's asyncify,
 * told that these two imports are all that unwinds. Code between them pays nothing but size.
 *
 * What the guest executes and what it is charged for stay the same: the fuel is ordinary code by now.
 *
 * LIMIT: a dropped data or element segment (data.drop, elem.drop) is whole again after a snapshot is loaded.
 * LIMIT: guests with more than one table, or a mutable global of a type JavaScript cannot read, are refused.
 */

import { ABI_IMPORTS, ABI_MODULE } from '../../../guest/abi/imports.ts';
import { TsvmmError } from '../../core/errors.ts';
import { cacheKey, type DiskCache } from '../cache/disk-cache.ts';
import { decodeRewritten, encodeRewritten, type RewriteResult } from '../rewrite/index.ts';
import { carryOffsets, locationsOf, sectionOf } from './offsets.ts';
import { decodeSourceMap, encodeSourceMap } from './source-map.ts';
import { findBinaryen, runWasmOpt } from './wasm-opt.ts';

/** Raised whenever the same input gives another output. */
const ASYNCIFY_VERSION = 1;

const TABLE_SECTION = 4;

/** The imports at which a guest may be suspended, as binaryen names them. */
const UNWINDING = Object.entries(ABI_IMPORTS)
  .filter(([, decl]) => 'yields' in decl)
  .map(([name]) => `${ABI_MODULE}.${name}`);

/** Everything the rewriter lets through, and no more: what V8 of the baseline Node runs. */
const FEATURES = [
  'sign-ext',
  'mutable-globals',
  'nontrapping-float-to-int',
  'bulk-memory',
  'bulk-memory-opt',
  'call-indirect-overlong',
  'simd',
  'threads',
  'reference-types',
  'multivalue',
  'tail-call',
  'exception-handling',
  'extended-const',
];

const argsFor = (imports: readonly string[]): string[] => [
  '--mvp-features',
  ...FEATURES.map((name) => `--enable-${name}`),
  '--debuginfo',
  // Cleans up after asyncify; higher levels take longer and give nothing.
  '--optimize-level=1',
  '--asyncify',
  `--pass-arg=asyncify-imports@${imports.join(',')}`,
];

/**
 * The same guest, suspendable; its offset map leads to the same original.
 * @param imports at which it may unwind, as binaryen names them; the kernel's waits unless given
 * @throws TsvmmError
 */
export async function asyncifyModule(
  rewritten: RewriteResult,
  cache: DiskCache,
  onStart: () => void = () => {},
  imports: readonly string[] = UNWINDING,
): Promise<RewriteResult> {
  checkGlobals(rewritten);
  checkTables(rewritten.wasm);
  const { tool, id } = findBinaryen();
  const args = argsFor(imports);
  const key = cacheKey([`asyncify ${ASYNCIFY_VERSION} ${id} ${args.join(' ')}`, encodeRewritten(rewritten)]);
  const hit = cache.get('asyncified', key);
  if (hit !== undefined) {
    try {
      return decodeRewritten(hit);
    } catch {
      // Damaged in a way the cache's own check cannot see: made anew.
    }
  }
  onStart();
  const sourceMap = encodeSourceMap(locationsOf(rewritten.offsetMap));
  const out = await runWasmOpt(tool, { wasm: rewritten.wasm, sourceMap, args });
  const wasm = new Uint8Array(out.wasm);
  const offsetMap = carryOffsets(rewritten.offsetMap, wasm, decodeSourceMap(out.sourceMap));
  const result = { ...rewritten, wasm, offsetMap };
  cache.put('asyncified', key, encodeRewritten(result));
  return result;
}

/** JavaScript can neither read nor write a v128 or exnref global. */
function checkGlobals(rewritten: RewriteResult): void {
  const hidden = rewritten.mutableGlobals.find((g) => g.type === 'v128' || g.type === 'exnref');
  if (hidden !== undefined)
    throw unsaveable(`global ${hidden.name}`, `is a mutable ${hidden.type}, whose value cannot be saved`);
}

/** Only the first one is exported, and what is not cannot be read. */
function checkTables(wasm: Uint8Array): void {
  const tables = sectionOf(wasm, TABLE_SECTION)?.count() ?? 0;
  if (tables > 1) throw unsaveable('guest module', `has ${tables} tables, and a snapshot can hold one`);
}

function unsaveable(object: string, why: string): TsvmmError {
  return new TsvmmError({
    code: 'unsaveable-guest',
    object,
    why,
    mend: 'run the guest without a snapshot',
  });
}
