import { DESCRIPTOR_BYTES, RECORD_BYTES } from './descriptor.ts';
import { ENGINES } from './registers.ts';

/**
 * What an engine is doing, as words of state: everything needed to go on after a page fault, in another process if need
 * be.
 */
export const E_PHASE = 0;
/** Work queue the descriptor came from. */
export const E_WQ = 1;
/** PASID + 1; 0: none. */
export const E_PASID = 2;
export const E_PRIVILEGED = 3;
/** Number of the submission: who submitted first. */
export const E_SEQ = 4;
/** Bytes (of a delta: of its own unit) that are done. */
export const E_DONE = 5;
/** Page request group that is waited for, + 1; 0: none. */
export const E_GROUP = 6;
/** Answer to it, response code + 1, until the engine has seen it. */
export const E_ANSWER = 7;
/** Running CRC, size of a delta, last offset + 1 of a delta: by operation. */
export const E_AUX = 8;
/** Of a batch: descriptors begun, failures, and whether there is one. */
export const E_BATCH_INDEX = 9;
export const E_BATCH_FAILURES = 10;
export const E_IN_BATCH = 11;
/** The descriptor has been checked. */
export const E_BEGUN = 12;
export const E_DESCRIPTOR = 16;
export const E_RECORD = E_DESCRIPTOR + DESCRIPTOR_BYTES / 4;
/** The batch descriptor itself. */
export const E_BATCH = E_RECORD + RECORD_BYTES / 4;
export const ENGINE_WORDS = 64;

/** Values of E_PHASE. */
export const IDLE = 0;
/** Waits for its time on the virtual clock. */
export const SCHEDULED = 1;
export const OPERATING = 2;
/** The next descriptor of the batch is being fetched. */
export const FETCHING = 3;
export const RECORDING = 4;
/** A drain waits for what was submitted before it. */
export const DRAINING_EARLIER = 5;

/** First word of an engine. */
export function engineAt(engine: number): number {
  return engine * ENGINE_WORDS;
}

export const ENGINE_STATE_WORDS = ENGINES * ENGINE_WORDS;
