/** Virtual config spaces in a machine: which plan a device has, and what is advertised of it here. */

import { DEVCAP2 } from '../../devices/pci/capabilities.ts';
import type { PciFunction } from '../../devices/pci/function.ts';
import type { PciFunctionSpec, PciServices } from '../../devices/pci/kind.ts';
import { configLayout } from '../../devices/pci/layout.ts';
import { agreement } from '../../devices/vconfig/agreement.ts';
import { discover, planOf } from '../../devices/vconfig/assigned.ts';
import type { FleetDevice } from '../../devices/vconfig/fleet.ts';
import type { Plan } from '../../devices/vconfig/plan.ts';
import { DEFAULT_POLICY, type Policy } from '../../devices/vconfig/policy.ts';
import { parseQuirks } from '../../devices/vconfig/quirks.ts';
import { SVM_KEYS } from '../../devices/vconfig/svm-capabilities.ts';
import { VirtualConfig } from '../../devices/vconfig/virtual-config.ts';
import type { SvmFeatures } from '../bus/iommu.ts';
import { TsvmmError } from '../core/errors.ts';
import { didYouMean } from '../core/suggest.ts';
import type { DeviceConfig, MachineConfig } from './config.ts';

/** Devices that are held, not emulated. */
const HELD_KIND = 'vfio-pci';

/** What a machine knows of the place a device is to have. */
export interface VconfigPlace {
  readonly plan: Plan | undefined;
  readonly parent: PciFunction | undefined;
  readonly viommu: SvmFeatures | undefined;
  /** Text of the list of devices with registers that no capability claims. */
  readonly quirks?: string | undefined;
  /** What becomes of a held device without a plan: one of its own by a policy, which is kept; or it is refused. */
  readonly unplanned?: Policy | 'refuse' | undefined;
  readonly keep?: (plan: Plan) => void;
}

/** The name of a plan that the machine made for a device without one: guests find the layout again after hotplug, and after a load. */
export const ownPlanName = (id: string): string => `seen:${id}`;

/** The plan that a device has: the one it names, else the one that was made for a device of its id before. @throws TsvmmError */
export function planFor(config: MachineConfig, { id, vconfig, kind }: DeviceConfig): Plan | undefined {
  if (vconfig !== undefined) return planNamed(config, vconfig, id);
  return kind === HELD_KIND ? config.vconfigs?.[ownPlanName(id)] : undefined;
}

/** The plan of that name. @throws TsvmmError where the machine has none */
export function planNamed(config: MachineConfig, name: string, id: string): Plan {
  const plans = config.vconfigs ?? {};
  const plan = Object.hasOwn(plans, name) ? plans[name] : undefined;
  if (plan !== undefined) return plan;
  throw new TsvmmError({
    code: 'unknown-vconfig',
    object: `${id}: vconfig`,
    why: `the machine has no plan '${name}'`,
    mend: didYouMean(name, Object.keys(plans)),
  });
}

/** Lays out a function as its kind describes it, or as planned: by its plan, or by one of its own where a device is held. */
export function layoutAt(place: VconfigPlace): NonNullable<PciServices['layout']> {
  const { plan, parent, viommu, quirks } = place;
  return (id, spec) => {
    if (plan === undefined && spec.held === undefined) return configLayout(id, spec);
    const device = deviceOf(id, spec, quirks);
    const made = plan ?? unplanned(id, device, place);
    const agreed = agreement({
      planned: SVM_KEYS.filter((key) => made.capabilities.some((one) => one.key === key)),
      platform: { blocksPrefixes: blockingPort(parent) },
      host: device.facts,
      viommu,
    });
    const backing = spec.held === undefined ? {} : { backing: spec.held.backing };
    const behindPort = parent !== undefined;
    const config = new VirtualConfig({ id, plan: made, device, agreement: agreed, behindPort, ...backing });
    return config.layout(id, spec);
  };
}

function unplanned(id: string, device: FleetDevice, place: VconfigPlace): Plan {
  const policy = place.unplanned ?? DEFAULT_POLICY;
  if (policy === 'refuse') {
    throw new TsvmmError({
      code: 'no-vconfig',
      object: id,
      why: 'is a device of the host without a plan for its config space, and such devices are refused',
      mend: 'give it one (vconfig=), made by tsvmm vconfig plan; or another --vconfig-policy',
    });
  }
  const plan = planOf(id, device, policy);
  place.keep?.(plan);
  return plan;
}

/** What the plan is laid over: a held device, or what the kind's own config space is at power-on. */
function deviceOf(id: string, spec: PciFunctionSpec, quirks = ''): FleetDevice {
  const bars = (spec.bars ?? []).map((bar) => ({ ...bar, prefetchable: bar.prefetchable === true }));
  if (spec.held !== undefined)
    return discover(
      { name: id, bytes: spec.held.bytes, facts: spec.held.facts, bars },
      parseQuirks('vconfigQuirks', quirks),
    );
  const { block, bytes } = configLayout(id, spec);
  const words = block.fresh();
  return discover({ name: id, bytes: new Uint8Array(words.buffer).slice(0, bytes), bars }, []);
}

/** The first port above that does not say that it passes End-End TLP prefixes. The root complex does. */
function blockingPort(parent: PciFunction | undefined): string | undefined {
  for (let port = parent; port !== undefined; port = port.w.place.parent) {
    const { pcie } = port.w.layout;
    const word = pcie === 0 ? 0 : port.configRead(pcie + DEVCAP2.offset, 4);
    if (((word >>> DEVCAP2.fields.PREFIX.lo) & 1) === 0) return port.id;
  }
  return undefined;
}
