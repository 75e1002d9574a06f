/** A QMP message as a request, and a refusal as QMP has it. */

import { type ErrorClass, MonitorError } from './error.ts';
import { isRecord } from './types.ts';

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

export function failureOf(error: MonitorError): QmpFailure {
  return { class: error.errorClass, desc: error.message };
}
