import type { DmaPort, DmaTranslator } from '../../vmm/bus/dma.ts';

/** How far SecondOpinion.forget goes: the translations of a page, then what its PASID is bound to, then its requester. */
export const FORGET_PAGE = 0;
export const FORGET_PASID = 1;
export const FORGET_REQUESTER = 2;

/**
 * A unit's own answers to requests that hardware behind its port translates, on caches that nothing is ever evicted from. It records
 * nothing, interrupts and traces nothing, and no page of the guest is watched for it.
 */
export interface SecondOpinion<Backend> {
  /** Ports that requests are put through have the requester ids of the guest. */
  readonly translator: DmaTranslator;
  /** Code of the last refusal as the specification writes it; '' for those in silence. Whoever asks next sets it to ''. */
  fault: string;
  /** Is told what the backend is told, after it: then what was announced is dropped here, too. */
  readonly announced: Backend;
  /** Drops what a request may have found stale, as hardware may do at any time. */
  forget(port: DmaPort, lo: number, hi: number, access: number, depth: number): void;
  /** Reads what a requester (or the PASID of the port) is bound to, as hardware may do ahead of any request. */
  readAhead(port: DmaPort): void;
}
