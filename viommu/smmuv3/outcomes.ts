import { F_ACCESS, F_ADDR_SIZE, F_PERMISSION, F_TRANSLATION } from '../spec/smmuv3/faults.ts';
import { VMSA_ACCESS_FLAG, VMSA_ADDRESS_SIZE, VMSA_PERMISSION } from '../walk/vmsa.ts';

/** The event of a walk that ended in one of the four translation-related faults. */
export function eventOf(outcome: number): number {
  if (outcome === VMSA_ADDRESS_SIZE) return F_ADDR_SIZE;
  if (outcome === VMSA_ACCESS_FLAG) return F_ACCESS;
  return outcome === VMSA_PERMISSION ? F_PERMISSION : F_TRANSLATION;
}
