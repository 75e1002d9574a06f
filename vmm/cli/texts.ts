/** `tsvmm help`, `tsvmm completion`, `tsvmm version`: commands that only print. */

import { EXIT, type ExitCode, TsvmmError } from '../core/errors.ts';
import { didYouMean } from '../core/suggest.ts';
import type { CommandDecl, Invocation } from './command.ts';
import { completionScript } from './completion.ts';
import type { Context } from './context.ts';
import { commandHelp, overview } from './help.ts';
import { manPage } from './man.ts';
import { packageVersion } from './package-files.ts';
import { COMMANDS, type HELP, type SHELLS, type VERSION } from './table.ts';

export function help({ host }: Context, { operands, options }: Invocation<typeof HELP.options>): ExitCode {
  if (options.man) host.out(manPage(packageVersion()));
  else if (operands.length === 0) host.out(overview());
  else host.out(found(operands.join(' ')).map(commandHelp).join('\n'));
  return EXIT.ok;
}

/** A command, or all commands of a group. */
function found(name: string): readonly CommandDecl[] {
  const commands = COMMANDS.filter((c) => c.name === name || c.name.startsWith(`${name} `));
  if (commands.length > 0) return commands;
  throw new TsvmmError({
    code: 'unknown-command',
    object: 'tsvmm help',
    why: `there is no command '${name}'`,
    mend: didYouMean(
      name,
      COMMANDS.map((c) => c.name),
    ),
  });
}

export function completion({ host }: Context, { operands }: Invocation): ExitCode {
  host.out(completionScript(operands[0] as (typeof SHELLS)[number]));
  return EXIT.ok;
}

export function version({ host }: Context, { options }: Invocation<typeof VERSION.options>): ExitCode {
  const { node, v8 } = process.versions;
  const tsvmm = packageVersion();
  host.out(options.json ? `${JSON.stringify({ tsvmm, node, v8 })}\n` : `tsvmm ${tsvmm} (node ${node})\n`);
  return EXIT.ok;
}
