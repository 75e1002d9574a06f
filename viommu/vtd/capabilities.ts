import { ECAP } from '../spec/vtd/capabilities.ts';
import { extendedCapability, type VtdConfig } from './config.ts';

/** What ECAP says of a unit, as the queues need it. */
export interface UnitCapabilities {
  readonly scalable: boolean;
  readonly abortMode: boolean;
  readonly deviceTlbs: boolean;
  readonly pageRequests: boolean;
  readonly pageRequestDrain: boolean;
  /** MIP counts by the PFSID of descriptors. */
  readonly throttles: boolean;
  readonly pasidBits: number;
}

export function unitCapabilities(config: VtdConfig): UnitCapabilities {
  const words = extendedCapability(config);
  const has = (field: 'SMTS' | 'ADMS' | 'DT' | 'PRS' | 'PDS' | 'DIT' | 'PASID') =>
    ECAP.get[field](words, 0) === 1;
  return {
    scalable: has('SMTS'),
    abortMode: has('ADMS'),
    deviceTlbs: has('DT'),
    pageRequests: has('PRS'),
    pageRequestDrain: has('PDS'),
    throttles: has('DIT'),
    // PSS means nothing without ECAP.PASID; QEMU does not look at it (docs/deviations.md: vtd-pasid-width).
    pasidBits: has('PASID') && config.profile !== 'qemu' ? ECAP.get.PSS(words, 0) + 1 : 20,
  };
}
