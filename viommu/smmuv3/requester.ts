import { NO_PASID } from '../../vmm/bus/dma.ts';
import { Context } from './context-descriptor.ts';
import { Stream } from './stream-table.ts';

/** How a requester's next plain request is served without asking structures. */
export const SLOW = 0;
export const PAGING = 1;
export const IDENTITY = 2;

/** Pages a requester can walk over in turn and be found without hashing. */
const HINTS = 4096;
export const HINT_MASK = HINTS - 1;

/**
 * What a requester was resolved to, for one SubstreamID or for none: a predictor that is compared with the TLB's rows before
 * it is believed, and dropped by a change of `epoch`.
 */
export class Requester {
  epoch = 0;
  /** Whom it speaks for. */
  ssid = NO_PASID;
  privileged = false;
  mode = SLOW;
  /** Tag of its entries, and of global ones or 0. */
  tag = 0;
  globalTag = 0;
  vmidTag = 0;
  /** Accesses that have to ask the procedure. */
  refused = 0;
  /** Shift of its class of permissions in a row. */
  permissions = 0;
  /** Halves of the address space where the top byte does not count. */
  ignoresTop = 0;
  /** IDENTITY: bits of the upper half that no address may have. */
  beyond = 0;
  /** Page mask, size code and shift of the rows it may remember. */
  mask = -4096;
  size = 0;
  shift = 12;
  /** Mixed into the place of a hint, so that substreams with equal addresses do not meet. */
  salt = 0;
  readonly stream = new Stream();
  readonly context = new Context();
  /** By low page-number bits: the row that answered last. Only a hint: the row itself is compared. */
  readonly hints = new Int32Array(HINTS);
}

/** What is known of a port: two resolutions, because requests with and without SubstreamID come mixed. */
export class PortContext {
  readonly plain = new Requester();
  readonly withSubstream = new Requester();
  /** Translated requests may pass while this epoch stands, or -1. */
  translatedEpoch = -1;
}
