/** `tsvmm inspect DIR`: monitor commands on a saved machine. */

import { readFileSync } from 'node:fs';
import { EXIT, type ExitCode } from '../core/errors.ts';
import type { InspectedMachine } from './backend.ts';
import type { Invocation } from './command.ts';
import type { Context } from './context.ts';
import type { Host } from './host.ts';
import { loadPlugins } from './plugins.ts';
import type { INSPECT } from './table.ts';

export async function inspect(
  context: Context,
  { options, operands }: Invocation<typeof INSPECT.options>,
): Promise<ExitCode> {
  const { host } = context;
  const backend = await context.backend();
  const registry = backend.registry();
  await loadPlugins(options.plugin, registry, host.cwd);
  const machine = await backend.inspect(operands[0]!, registry);
  const say = speaker(host, machine, options.json);
  if (options.command.length > 0) return carryOut(options.command, say);
  const { stdin } = process;
  if (!stdin.isTTY) return carryOut(readFileSync(0, 'utf8').split('\n'), say);
  return converse(machine, say);
}

/** Carries out a line; false once it was refused or nothing more is to be said. */
type Speaker = (line: string) => boolean;

function speaker(host: Host, machine: InspectedMachine, json: boolean): Speaker {
  return (line) => {
    if (line.trim() === '') return true;
    const answer = machine.execute(json ? `${line} --json` : line);
    if (answer !== '') host.out(`${answer}\n`);
    return !/^(Error: |\{"error":)/.test(answer);
  };
}

/** Every line, in order; a line that is refused does not keep the others from being carried out. */
function carryOut(lines: readonly string[], say: Speaker): ExitCode {
  return lines.map(say).every(Boolean) ? EXIT.ok : EXIT.usage;
}

async function converse(machine: InspectedMachine, say: Speaker): Promise<ExitCode> {
  const { createInterface } = await import('node:readline');
  const terminal = createInterface({
    input: process.stdin,
    output: process.stdout,
    prompt: '(tsvmm) ',
    completer: (line: string) => [machine.complete(line), /\S*$/.exec(line)![0]],
  });
  terminal.prompt();
  for await (const line of terminal) {
    say(line);
    if (!machine.open) break;
    terminal.prompt();
  }
  terminal.close();
  return EXIT.ok;
}
