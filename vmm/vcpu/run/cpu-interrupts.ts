/** What the vCPU needs of its local APIC. */
export interface CpuInterrupts {
  /** Highest pending vector that the task priority lets through, or -1. */
  pending(): number;
  /** Moves the vector from requested to in service. */
  accept(vector: number): void;
  /** End of interrupt, as a write to the EOI register. */
  eoi(): void;
  /** Whether a non-maskable interrupt is latched. */
  nmiPending(): boolean;
  /** Any non-maskable interrupt is latched; taking it clears the latch. */
  takeNmi(): boolean;
}
