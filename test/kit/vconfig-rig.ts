import { PciFunction } from '../../devices/pci/function.ts';
import type { ConfigBacking, PciBackend } from '../../devices/pci/kind.ts';
import type { Agreement } from '../../devices/vconfig/agreement.ts';
import { discover } from '../../devices/vconfig/assigned.ts';
import type { DeviceFacts } from '../../devices/vconfig/facts.ts';
import { fleetOf } from '../../devices/vconfig/fleet.ts';
import type { Plan } from '../../devices/vconfig/plan.ts';
import { planFleet } from '../../devices/vconfig/plan-fleet.ts';
import { DEFAULT_POLICY, type Policy } from '../../devices/vconfig/policy.ts';
import { parseQuirks, type Quirk } from '../../devices/vconfig/quirks.ts';
import type { Bar } from '../../devices/vconfig/space.ts';
import { vfioView } from '../../devices/vconfig/vfio-view.ts';
import { VirtualConfig } from '../../devices/vconfig/virtual-config.ts';
import { buildSpace, type DeviceRegisters } from './config-spaces.ts';
import { PciRig } from './pci-rig.ts';

/** The registers of a device, which take every write; who wrote what is kept. */
export class RecordedDevice implements ConfigBacking {
  readonly bytes: Uint8Array;
  readonly writes: string[] = [];

  constructor(bytes: Uint8Array) {
    this.bytes = new Uint8Array(bytes);
  }

  read(offset: number, size: number): number {
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + (this.bytes[offset + i] as number);
    return value;
  }

  write(offset: number, size: number, value: number): void {
    this.writes.push(`${offset.toString(16)}/${size} ${value.toString(16)}`);
    for (let i = 0; i < size; i++) this.bytes[offset + i] = Math.floor(value / 2 ** (8 * i)) & 0xff;
  }
}

export function planned(
  devices: readonly DeviceRegisters[],
  policy: Partial<Policy> = {},
  quirks: readonly Quirk[] = [],
): Plan {
  const result = planFleet(fleetOf(devices.map(buildSpace), quirks), { ...DEFAULT_POLICY, ...policy });
  if (result.plan === undefined) throw new Error(`no plan: ${result.conflict.key}`);
  return result.plan;
}

export interface RigOptions {
  readonly plan: Plan;
  readonly agreement?: readonly Agreement[];
  readonly facts?: DeviceFacts;
  readonly quirks?: string;
  readonly bars?: readonly Bar[];
  readonly behind?: PciBackend;
}

/** A real device as vfio-pci shows it, behind a plan, in slot 3 of the root bus. */
export class VconfigRig {
  readonly pci = new PciRig();
  readonly device: RecordedDevice;
  readonly config: VirtualConfig;
  readonly fn: PciFunction;

  constructor(registers: DeviceRegisters, options: RigOptions) {
    const { bytes, name } = buildSpace(registers);
    const quirks = parseQuirks('quirks', options.quirks ?? '');
    // Facts are of the physical capabilities: vfio-pci hides PASID.
    const facts = options.facts ?? fleetOf([buildSpace(registers)], [])[0]!.facts;
    const shown = vfioView(bytes);
    this.device = new RecordedDevice(shown);
    const bars = options.bars === undefined ? {} : { bars: options.bars };
    this.config = new VirtualConfig({
      id: 'nic0',
      plan: options.plan,
      device: discover({ name, bytes: shown, facts, ...bars }, quirks),
      backing: this.device,
      ...(options.agreement === undefined ? {} : { agreement: options.agreement }),
    });
    const services = {
      ...this.pci.services('nic0'),
      layout: (id: string, spec: Parameters<VirtualConfig['layout']>[1]) => this.config.layout(id, spec),
    };
    this.fn = new PciFunction(services, { vendor: 0, device: 0, classCode: 0, revision: 0 });
    if (options.behind !== undefined) this.fn.connect(options.behind);
    this.pci.root.add(this.fn, { device: 3, fn: 0 });
  }

  read(offset: number, size = 4): number {
    return this.fn.configRead(offset, size);
  }

  write(offset: number, size: number, value: number): void {
    this.fn.configWrite(offset, size, value);
  }

  /** All that the guest reads. */
  dump(): Uint8Array {
    return Uint8Array.from({ length: this.fn.w.layout.bytes }, (_, at) => this.read(at, 1));
  }
}
