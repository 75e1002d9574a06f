/** From a parsed command line to the module that carries it out; each is loaded only when it is asked for. */

import { Bug, EXIT, type ExitCode, type TsvmmError } from '../core/errors.ts';
import type { Invocation } from './command.ts';
import type { Context } from './context.ts';
import { OutputClosed } from './host.ts';
import { parseCommandLine } from './parse.ts';
import { COMMANDS } from './table.ts';

// biome-ignore lint/suspicious/noExplicitAny: each command has its own option type
type Action = (context: Context, invocation: Invocation<any>) => ExitCode | Promise<ExitCode>;

const ACTIONS: Readonly<Record<string, () => Promise<Action>>> = {
  run: async () => (await import('./run.ts')).run,
  report: async () => (await import('./report.ts')).report,
  replay: async () => (await import('./replay.ts')).replay,
  new: async () => (await import('./new.ts')).newProject,
  info: async () => (await import('./info.ts')).info,
  'snapshot save': async () => (await import('./snapshot.ts')).snapshotSave,
  'snapshot load': async () => (await import('./snapshot.ts')).snapshotLoad,
  'snapshot diff': async () => (await import('./snapshot.ts')).snapshotDiff,
  qemu: async () => {
    const { qemu } = await import('./qemu.ts');
    return (context, invocation) => qemu(context, invocation.rest);
  },
  'vconfig plan': async () => (await import('./vconfig.ts')).vconfigPlan,
  'vconfig check': async () => (await import('./vconfig.ts')).vconfigCheck,
  'vconfig show': async () => (await import('./vconfig.ts')).vconfigShow,
  'vconfig diff': async () => (await import('./vconfig.ts')).vconfigDiff,
  'host show': async () => (await import('./hosts.ts')).hostShow,
  'host list': async () => (await import('./hosts.ts')).hostList,
  matrix: async () => (await import('./matrix.ts')).matrix,
  inspect: async () => (await import('./inspect.ts')).inspect,
  schema: async () => (await import('./schema.ts')).schema,
  completion: async () => (await import('./texts.ts')).completion,
  help: async () => (await import('./texts.ts')).help,
  version: async () => (await import('./texts.ts')).version,
};

/** Runs one command line to its exit code; never throws. */
export async function dispatch(argv: readonly string[], context: Context): Promise<ExitCode> {
  try {
    const invocation = parseCommandLine(argv);
    if (invocation.help) {
      const { commandHelp } = await import('./help.ts');
      context.host.out(commandHelp(invocation.command));
      return EXIT.ok;
    }
    const action = ACTIONS[invocation.command.name];
    if (action === undefined) throw new Bug(`no action for ${invocation.command.name}`);
    return await (await action())(context, invocation);
  } catch (error) {
    return report(error, context, wantsJson(argv));
  }
}

/** Before `--`; the command line may be one that does not parse. */
function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  const own = end < 0 ? argv : argv.slice(0, end);
  const command = COMMANDS.find((c) => c.name === own[0] || c.name === own.slice(0, 2).join(' '));
  return command?.json !== undefined && own.includes('--json');
}

/** One line for what a person can mend, a stack for what only we can. */
export function report(error: unknown, { host }: Pick<Context, 'host'>, json: boolean): ExitCode {
  // The reader has gone: there is nobody to tell.
  if (error instanceof OutputClosed) return EXIT.hostRefused;
  try {
    if (isRefusal(error)) {
      host.err(`tsvmm: ${error.message}\n`);
      if (json) host.out(errorJson(error.exit, error.code, error.object, error.message));
      return error.exit;
    }
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    host.err(`tsvmm: internal error; this is a bug in tsvmm, please report it with this text:\n${text}\n`);
    if (json) host.out(errorJson(EXIT.bug, 'bug', 'tsvmm', String(error)));
    return EXIT.bug;
  } catch {
    return isRefusal(error) ? error.exit : EXIT.bug;
  }
}

/** By its fields: errors of a plugin are of the class that the package exports, and the command line is a bundle of its own. */
function isRefusal(error: unknown): error is TsvmmError {
  if (!(error instanceof Error)) return false;
  const { code, object, exit } = error as TsvmmError;
  return typeof code === 'string' && typeof object === 'string' && typeof exit === 'number';
}

function errorJson(exitCode: ExitCode, code: string, object: string, message: string): string {
  return `${JSON.stringify({ verdict: 'error', exitCode, error: { code, object, message } })}\n`;
}
