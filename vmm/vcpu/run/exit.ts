import type { GuestFrame } from './frames.ts';

/** Why a guest stopped. */
export type GuestEnd =
  /** Returned from its entry point or called exit. */
  | { readonly kind: 'exit'; readonly status: number }
  /** Did what no driver may do: unmapped access, WASM trap, stack overflow. */
  | {
      readonly kind: 'crash';
      readonly reason: string;
      readonly frames: readonly GuestFrame[];
      readonly address?: string;
    }
  /** Out of fuel, or waits for an interrupt that can never come. */
  | { readonly kind: 'hung'; readonly reason: string; readonly frames: readonly GuestFrame[] }
  /** Unwound at a yield point so that it can be saved. */
  | { readonly kind: 'suspended' }
  /** Ended by whoever supervises it; `leave`: to be run again up to some point of what it did. */
  | { readonly kind: 'stopped'; readonly reason: 'quit' | 'reset' | 'leave' };

/**
 * Thrown through guest frames to end the guest. A guest may catch it (`catch_all`); the vCPU remembers the end and throws
 * again at the next trap.
 */
export class GuestStop extends Error {
  readonly end: GuestEnd;

  constructor(end: GuestEnd) {
    super(end.kind);
    this.name = 'GuestStop';
    this.end = end;
  }
}
