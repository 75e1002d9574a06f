/** `tsvmm snapshot save|load|diff`. */

import { basename } from 'node:path';
import { EXIT, type ExitCode, TsvmmError } from '../core/errors.ts';
import type { Invocation } from './command.ts';
import type { Context } from './context.ts';
import { loadPlugins } from './plugins.ts';
import { run, saveOf, shellWord, supervise } from './run.ts';
import type { RUN_OPTIONS, SNAPSHOT_DIFF, SNAPSHOT_LOAD_OPTIONS, SNAPSHOT_SAVE_OPTIONS } from './table.ts';

export async function snapshotSave(
  context: Context,
  invocation: Invocation<typeof SNAPSHOT_SAVE_OPTIONS>,
): Promise<ExitCode> {
  if (invocation.options.out === undefined) {
    throw new TsvmmError({
      code: 'missing-option',
      object: 'tsvmm snapshot save',
      why: 'needs a directory to write to',
      mend: 'add --out DIR',
    });
  }
  return run(context, invocation as unknown as Invocation<typeof RUN_OPTIONS>);
}

export async function snapshotLoad(
  context: Context,
  { options, operands }: Invocation<typeof SNAPSHOT_LOAD_OPTIONS>,
): Promise<ExitCode> {
  const dir = operands[0]!;
  const backend = await context.backend();
  const registry = backend.registry();
  await loadPlugins(options.plugin, registry, context.host.cwd);
  const save = saveOf(options);
  return supervise(
    context,
    { guest: basename(dir), seed: null, options, replay: `tsvmm snapshot load ${shellWord(dir)}` },
    (observer, limits, trace) =>
      backend.resume({
        dir,
        registry,
        limits,
        observer,
        ...(trace === undefined ? {} : { trace }),
        ...(save === undefined ? {} : { save }),
      }),
  );
}

export async function snapshotDiff(
  { backend, host }: Context,
  { options, operands }: Invocation<typeof SNAPSHOT_DIFF.options>,
): Promise<ExitCode> {
  const differences = await (await backend()).diff(operands[0]!, operands[1]!);
  const same = differences.length === 0;
  if (options.json) host.out(`${JSON.stringify({ same, differences })}\n`);
  else for (const { path, a, b } of differences) host.out(`${path}: ${a} -> ${b}\n`);
  return same ? EXIT.ok : EXIT.guestFailed;
}
