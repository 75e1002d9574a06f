/** `tsvmm replay FILE`: a recorded run once more. */

import { EXIT, type ExitCode, TsvmmError } from '../core/errors.ts';
import { parseUntil } from '../replay/replay-guest.ts';
import type { Invocation } from './command.ts';
import type { Context } from './context.ts';
import { loadPlugins } from './plugins.ts';
import { monitorOf, reportOf, supervise } from './run.ts';
import type { REPLAY_OPTIONS } from './table.ts';

export async function replay(
  context: Context,
  { options, operands }: Invocation<typeof REPLAY_OPTIONS>,
): Promise<ExitCode> {
  const { host } = context;
  const file = operands[0]!;
  const until = options.until === undefined ? undefined : parseUntil(options.until);
  const monitor = monitorOf(options, options.json, host);
  if (options.hold && until !== undefined) throw twoPlaces();
  const backend = await context.backend();
  const glance = await backend.recordGlance(file);
  if (options.report !== undefined && glance.machine === null) throw nothingToShow(file);
  const report = reportOf(options.report, glance.machine);
  const registry = backend.registry();
  await loadPlugins(options.plugin, registry, host.cwd);
  return supervise(context, { ...glance, options, ...report }, (observer, _limits, trace) =>
    backend.replay({
      file,
      registry,
      plugins: options.plugin,
      observer,
      caution: (text) => host.err(`tsvmm: ${text}\n`),
      ...(until === undefined ? {} : { until }),
      ...(trace === undefined ? {} : { trace }),
      ...(monitor === undefined ? {} : { monitor }),
      ...(report === undefined ? {} : { report: { globs: options.trace } }),
    }),
  );
}

function nothingToShow(file: string): TsvmmError {
  return new TsvmmError({
    code: 'no-machine',
    object: '--report',
    why: `${file} is of machine none, which has nothing to show`,
    mend: 'leave it out',
  });
}

function twoPlaces(): TsvmmError {
  return new TsvmmError({
    code: 'bad-value',
    object: '-S',
    why: 'the guest is to go on to where --until says',
    mend: 'give one of the two',
    exit: EXIT.usage,
  });
}
