import type { IommuServices } from '../../vmm/bus/iommu.ts';
import type { RegisterBlock } from '../../vmm/regs/block.ts';
import type { StateDef } from '../../vmm/state/define.ts';
import type { Emitters } from '../../vmm/trace/event.ts';
import type { SmmuBackend } from '../port/smmuv3.ts';
import type { SmmuConfig } from './config.ts';
import type { SmmuState } from './state.ts';
import type { SMMU_EVENTS } from './trace.ts';

/** Frozen wiring of a unit. */
export interface SmmuWiring {
  readonly config: SmmuConfig;
  readonly services: IommuServices;
  readonly block: RegisterBlock;
  readonly stateDef: StateDef<SmmuState>;
  readonly trace: Emitters<typeof SMMU_EVENTS>;
  /** Who forwards what the guest announces, if anybody does. */
  readonly forward: { to: SmmuBackend | null };
}
