/** One command of the table, from its arguments to its answer. */

import { didYouMean } from '../core/suggest.ts';
import type { MonitorContext } from './command.ts';
import { refusal } from './device-spec.ts';
import { MonitorError } from './error.ts';
import type { QmpRequest } from './request.ts';
import { COMMANDS, findCommand } from './table.ts';
import { argumentsProblem } from './types.ts';

/** Checks and carries out. @throws MonitorError when it is refused; anything else is a bug of ours */
export function perform(context: MonitorContext, request: QmpRequest): unknown {
  const command = findCommand(request.execute);
  if (command === undefined) throw notFound(request.execute);
  const problem = argumentsProblem(command.args, command.open === true, request.arguments);
  if (problem !== undefined) throw new MonitorError(problem);
  try {
    return command.run(context, request.arguments);
  } catch (error) {
    throw refusal(error) ?? error;
  }
}

function notFound(name: string): MonitorError {
  const near = didYouMean(
    name,
    COMMANDS.map((c) => c.name),
  );
  const hint = near.startsWith('did') ? `; ${near}` : '';
  return new MonitorError(`The command ${name} has not been found${hint}`, 'CommandNotFound');
}
