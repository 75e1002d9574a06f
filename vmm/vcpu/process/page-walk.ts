/** How a processor walks page tables: x86 and Arm differ, what a TLB wants to know does not. */

/** What a translation allows, as a TLB entry keeps it. */
export const TLB_VALID = 1;
export const TLB_WRITE = 2;
/** The leaf is marked dirty: a write need not walk again. */
export const TLB_DIRTY = 4;
/** The translation is part of one of 2 MiB, or of 1 GiB: an invalidation of any part is one of all. */
export const TLB_2M = 8;
export const TLB_1G = 16;

export interface PageWalker {
  /** The 4 KiB page a successful walk ended at: its physical address (lo has bits 31:12), and TLB_ flags. */
  readonly pageLo: number;
  readonly pageHi: number;
  readonly flags: number;
  /**
   * Walks for a user-mode access to `va` from the table at (rootLo, rootHi), setting accessed and dirty marks as the processor
   * does. 0, or the fault: a page-fault error code, which is never 0 in user mode.
   */
  walk(rootLo: number, rootHi: number, levels: number, va: number, write: boolean): number;
}
