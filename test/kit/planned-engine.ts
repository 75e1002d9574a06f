import { SVM_ENGINE } from '../../devices/ep/svm-engine-kind.ts';
import { lspciDump } from '../../devices/pci/lspci.ts';
import { PCIE_ROOT_PORT } from '../../devices/pci/root-port.ts';
import type { DeviceFacts } from '../../devices/vconfig/facts.ts';
import { fleetOf } from '../../devices/vconfig/fleet.ts';
import { parseDump } from '../../devices/vconfig/parse.ts';
import type { Plan } from '../../devices/vconfig/plan.ts';
import { planFleet } from '../../devices/vconfig/plan-fleet.ts';
import { DEFAULT_POLICY, type Policy } from '../../devices/vconfig/policy.ts';
import { buildSpace, REAL } from './config-spaces.ts';
import { PciRig } from './pci-rig.ts';

/** Where PLACED has what. */
export const PLACES = { pasid: 'e00', ats: 'e10', pri: 'e20' } as const;

/**
 * One layout for an svm-engine and a Skylake GPU: PASIDs of 16 bits, as the operator wants them, without privileged mode, as the GPU,
 * and at other places than on either.
 * @param facts what a host says of the engine, if it has one
 */
export function enginePlan(policy: Partial<Policy> = {}, facts?: DeviceFacts): Plan {
  const pci = new PciRig();
  const port = pci.plug(PCIE_ROOT_PORT, { device: 5 });
  pci.plug(SVM_ENGINE, { parent: port.fn });
  const [, engine] = parseDump('engine', new TextEncoder().encode(lspciDump(pci.root)));
  const told = new Map(facts === undefined ? [] : [[engine!, facts]]);
  const result = planFleet(fleetOf([engine!, buildSpace(REAL.skylakeGpu)], [], told), {
    ...DEFAULT_POLICY,
    offsets: PLACES,
    identity: '1234:53e0',
    pasidWidth: 16,
    ...policy,
  });
  if (result.plan === undefined) throw new Error(`no plan: ${result.conflict.key}`);
  return result.plan;
}
