import type { IommuServices } from '../../vmm/bus/iommu.ts';
import type { RegisterBlock } from '../../vmm/regs/block.ts';
import type { StateDef } from '../../vmm/state/define.ts';
import type { Emitters } from '../../vmm/trace/event.ts';
import type { VtdBackend } from '../port/vtd.ts';
import type { VtdConfig } from './config.ts';
import type { VtdState } from './state.ts';
import type { VTD_EVENTS } from './trace.ts';

/** Frozen wiring of a unit. */
export interface VtdWiring {
  readonly config: VtdConfig;
  readonly services: IommuServices;
  readonly block: RegisterBlock;
  readonly stateDef: StateDef<VtdState>;
  readonly trace: Emitters<typeof VTD_EVENTS>;
  /** Who forwards what the guest announces, if anybody does. */
  readonly forward: { to: VtdBackend | null };
}
