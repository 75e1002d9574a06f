/** A recorded run once more. */

import { crc32 } from 'node:zlib';
import { EXIT, TsvmmError } from '../core/errors.ts';
import type { MachineConfig } from '../machine/config.ts';
import type { GuestModule, GuestStage } from '../machine/guest-module.ts';
import type { Registry } from '../machine/registry.ts';
import { type RunGuestOptions, runGuest } from '../machine/run-guest.ts';
import type { AskedAt } from '../monitor/history.ts';
import { type MonitoredResult, type MonitorRequest, runMonitored } from '../monitor/run.ts';
import type { DiskCache } from '../vcpu/cache/disk-cache.ts';
import type { GuestHeader } from './format.ts';
import { guestOf } from './open-record.ts';
import { damaged, type Recorded } from './read-record.ts';
import { checksumText, howOf } from './recorder.ts';

/** Which event a replay stops at: `vtd_dmar_fault#2`. */
export interface Until {
  readonly glob: string;
  readonly count: number;
}

/** @throws TsvmmError */
export function parseUntil(text: string): Until {
  const [, glob = '', count] = /^([^#]*)(?:#(\d{1,9}))?$/.exec(text) ?? [];
  if (glob !== '' && (count === undefined || Number(count) > 0)) return { glob, count: Number(count ?? 1) };
  throw new TsvmmError({
    code: 'bad-value',
    object: '--until',
    why: `'${text}' is no event`,
    mend: "write its name, such as 'vtd_dmar_fault', or 'vtd_dmar_fault#2' for the second one",
  });
}

export interface ReplayGuestOptions
  extends Pick<RunGuestOptions, 'stdout' | 'stderr'>,
    Pick<MonitorRequest, 'endpoints' | 'held' | 'program' | 'out' | 'print' | 'listening'> {
  readonly prepare: NonNullable<RunGuestOptions['prepare']>;
  readonly onStage: (stage: GuestStage) => void;
  readonly until?: Until;
  /** A report is made of one run, from its start. */
  readonly wholeRuns?: boolean;
  /** Told what is run. @param alone nothing is asked of it from outside: to run it again gives the same */
  readonly onGuest?: (guest: GuestModule, options: RunGuestOptions, alone: boolean) => void;
}

/** @throws TsvmmError, also when the run was not the one that was recorded */
export async function replayGuest(
  recorded: Recorded,
  header: GuestHeader,
  config: MachineConfig,
  registry: Registry,
  cache: DiskCache,
  options: ReplayGuestOptions,
): Promise<MonitoredResult> {
  const asked = askedOf(recorded);
  const { module, options: given } = await guestOf(recorded, header, config, cache, options.onStage);
  let output = 0;
  const through = (sink: (bytes: Uint8Array) => void) => (bytes: Uint8Array) => {
    output = crc32(bytes, output);
    sink(bytes);
  };
  const { prepare, until, endpoints } = options;
  const sinks = { stdout: through(options.stdout), stderr: through(options.stderr), prepare };
  const runOptions: RunGuestOptions = { ...given, ...sinks };
  options.onStage('loading');
  const alone = asked.length === 0 && until === undefined && endpoints.length === 0;
  options.onGuest?.(module, runOptions, alone);
  const result = alone
    ? await runGuest(config, registry, module, runOptions)
    : await runMonitored(config, registry, module, runOptions, {
        ...options,
        replay: { asked, ...(until === undefined ? {} : { until }) },
      });
  if (until !== undefined && result.end.kind !== 'stopped' && endpoints.length === 0) throw neverThere(until);
  checkEnd(recorded, result, checksumText(output));
  return result;
}

function askedOf({ path, commands }: Recorded): AskedAt[] {
  return commands.map((command) => {
    if (!('at' in command)) throw damaged(path, 'a command of a run without guest is in it');
    const { run, polls, executed, ns: time } = command.at;
    const place = { run, polls, executed, time };
    return 'monitor' in command
      ? { place, asked: { via: 'monitor', line: command.monitor } }
      : { place, asked: { via: 'qmp', ...command.qmp } };
  });
}

function neverThere({ glob, count }: Until): TsvmmError {
  return new TsvmmError({
    code: 'no-such-event',
    object: '--until',
    why: `the run has ended before '${glob}' happened${count === 1 ? '' : ` ${count} times`}`,
    mend: "'--trace' shows what happens in it",
  });
}

/** A run that was left early has not come to its end; every other one has come to the same. */
function checkEnd({ path, end, header }: Recorded, result: MonitoredResult, output: string): void {
  if (end === undefined || result.end.kind === 'stopped') return;
  const { how, status } = howOf(result.end);
  const pairs: readonly (readonly [what: string, was: unknown, is: unknown])[] = [
    ['end', end.how, how],
    ['exit status', end.status, status],
    ['instructions', end.instructions, result.instructions],
    ['virtual time', end.ns, result.virtualNs],
    ['output', end.output === '' ? output : end.output, output],
  ];
  const different = pairs.find(([, was, is]) => was !== is);
  if (different === undefined) return;
  const [what, was, is] = different;
  throw new TsvmmError({
    code: 'replay-differs',
    object: path,
    why: `the run went another way: its ${what} was ${was}, and is ${is}`,
    mend: `replay it with tsvmm ${header.tsvmm}, as recorded`,
    exit: EXIT.hostRefused,
  });
}
