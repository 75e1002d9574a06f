/** One QMP command from its JSON to its answer. */

import { didYouMean } from '../core/suggest.ts';
import type { MonitorContext } from './command.ts';
import { refusal } from './device-spec.ts';
import { type ErrorClass, MonitorError } from './error.ts';
import { COMMANDS, findCommand } from './table.ts';
import { argumentsProblem, isRecord } from './types.ts';

export interface QmpRequest {
  readonly execute: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

export interface QmpFailure {
  readonly class: ErrorClass;
  readonly desc: string;
}

/** What came in as a command. @throws MonitorError that says what is wrong with it, in QEMU's words */
export function requestOf(message: unknown): QmpRequest {
  if (!isRecord(message)) throw new MonitorError('QMP input must be a JSON object');
  for (const key of Object.keys(message)) {
    if (!['execute', 'arguments', 'id'].includes(key))
      throw new MonitorError(`QMP input member '${key}' is unexpected`);
  }
  const { execute, arguments: args = {} } = message;
  if (execute === undefined) throw new MonitorError("QMP input lacks member 'execute'");
  if (typeof execute !== 'string') throw new MonitorError("QMP input member 'execute' must be a string");
  if (!isRecord(args)) throw new MonitorError("QMP input member 'arguments' must be an object");
  return { execute, arguments: args };
}

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

export function failureOf(error: MonitorError): QmpFailure {
  return { class: error.errorClass, desc: error.message };
}
