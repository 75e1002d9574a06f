import { bdfText } from '../core/bdf.ts';
import type { Machine } from './machine.ts';

/** A function or controller that makes requests. */
export interface Requester {
  /** `00:02.0` */
  readonly requester: string;
  /** `edu0` */
  readonly name: string;
}

/** Who can make requests, as buses are numbered now. */
export function requestersOf(machine: Machine): Requester[] {
  const functions = machine.root.functions().map((fn) => ({ requester: bdfText(fn.bdf), name: fn.id }));
  return [...functions, ...machine.platform.requesters];
}
