/** Branch hints keep V8 from spilling registers around calls that are hardly ever made; the rewriter writes them. */

/** V8 has them on by default from here on; before, a flag must be set before the first compile. */
const HINTS_BY_DEFAULT = 26;
const FLAG = '--experimental-wasm-branch-hinting';

type V8 = Pick<typeof import('node:v8'), 'setFlagsFromString'>;

export function useBranchHints(): void {
  if (Number.parseInt(process.versions.node, 10) >= HINTS_BY_DEFAULT) return;
  (bareV8() ?? process.getBuiltinModule('node:v8')).setFlagsFromString(FLAG);
}

/**
 * What `node:v8` gets this function from. The module brings Node's streams with it, for heap snapshots, and a warm start
 * would spend 3 of its 30 ms on them. Node 24 has closed this way, and other runtimes never had it: they load the module.
 */
function bareV8(): V8 | undefined {
  const { binding, noDeprecation } = process as unknown as {
    binding?: (name: string) => Partial<V8>;
    noDeprecation?: boolean;
  };
  try {
    process.noDeprecation = true;
    const v8 = binding?.('v8');
    return typeof v8?.setFlagsFromString === 'function' ? (v8 as V8) : undefined;
  } catch {
    return undefined;
  } finally {
    process.noDeprecation = noDeprecation as boolean;
  }
}
