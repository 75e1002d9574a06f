import { defineState } from '../../state/define.ts';
import { bool, count, type StateOf, words } from '../../state/schema.ts';

const shape = {
  /** The interrupt flag (IF). */
  interruptsEnabled: bool,
  /** Function-table index of each vector's handler; 0 is none. */
  handlers: words(256),
  /** Instructions executed since power-on. */
  executed: count,
  /** Times the guest has called wfi and yield outside of interrupt handlers: the points it can be saved at. */
  waits: count,
  yields: count,
};

/** The vCPU's own state; memory and WASM globals are saved beside it. */
export const VCPU_STATE = defineState('vcpu', 1, shape);
export type VcpuState = StateOf<typeof shape>;
