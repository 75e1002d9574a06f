import { TsvmmError } from '../../core/errors.ts';
import type { HostGroup } from '../iommufd/driver.ts';
import type { HostKernel } from '../iommufd/host-kernel.ts';
import { TextFile } from '../kernel/text-file.ts';
import { SvmContainer } from '../svm-channel/container.ts';
import { DeviceFile } from './device-file.ts';
import { checkIntents, pciIntents } from './intents.ts';
import { constraintOf, type GroupConstraint, type GroupPlan } from './topology.ts';
import { VfioDevice, type VfioRegistration } from './vfio-device.ts';
import { GroupFile, VfioGroup } from './vfio-group.ts';

/** VFIO of one modelled host: its devices and groups, as files of the kernel. */
export class VfioHost {
  readonly #kernel: HostKernel;
  readonly #devices = new Map<string, VfioDevice>();
  readonly #groups = new Map<HostGroup, VfioGroup>();
  readonly #constraints = new Map<number, GroupConstraint>();
  #next = 0;

  /** Adds `/dev/vfio/vfio`, which is an iommufd: the old container in its compatible mode, with shared virtual memory. */
  constructor(kernel: HostKernel) {
    this.#kernel = kernel;
    kernel.devices.set('/dev/vfio/vfio', (opener) => new SvmContainer(kernel, opener));
  }

  /**
   * Gives a function to VFIO: `/dev/vfio/devices/vfioN` and its group's `/dev/vfio/N` can be opened.
   * @throws TsvmmError where it is there already, or its intents contradict each other
   */
  register(registration: VfioRegistration): VfioDevice {
    const { fn, host } = registration;
    if (this.#devices.has(fn.name))
      throw new TsvmmError({ code: 'vfio-device-exists', object: fn.name, why: 'VFIO has it already' });
    const intents = registration.intents ?? pciIntents(fn);
    checkIntents(fn.name, intents);
    const group = this.#group(host.group);
    const physical = fn.virtual === undefined ? undefined : this.#devices.get(fn.virtual.of.name);
    const { allocations } = this.#kernel;
    const device = new VfioDevice(this.#next++, registration, intents, group, physical, allocations);
    this.#devices.set(fn.name, device);
    group.devices.push(device);
    const find = (name: string) => this.#devices.get(name);
    const open = (one: VfioDevice, by: GroupFile) => new DeviceFile(one, find, by);
    const { devices } = this.#kernel;
    devices.set(pathOf(device), () => new DeviceFile(device, find, undefined));
    devices.set(`/dev/vfio/${group.number}`, () => new GroupFile(group, allocations, open));
    const about = `/sys/class/vfio-dev/vfio${device.number}`;
    devices.set(`${about}/dma_intents`, () => new TextFile(`${intents.intents.join(' ')}\n`));
    devices.set(`${about}/pasid_path`, () => new TextFile(`${pathText(device)}\n`));
    return device;
  }

  /**
   * Tells user space what must hold for the devices of each group: `constraint`, and a text of it as
   * `/sys/kernel/iommu_groups/N/constraint`.
   */
  describe(plans: readonly GroupPlan[]): void {
    for (const plan of plans) {
      const constraint = constraintOf(plan);
      this.#constraints.set(plan.number, constraint);
      const path = `/sys/kernel/iommu_groups/${plan.number}/constraint`;
      this.#kernel.devices.set(path, () => new TextFile(`${constraint.why}\n`));
    }
  }

  /** `all devices of this group must use the same address space, because ...`; `undefined`: nobody said what the group is. */
  constraint(group: number): GroupConstraint | undefined {
    return this.#constraints.get(group);
  }

  find(name: string): VfioDevice | undefined {
    return this.#devices.get(name);
  }

  get devices(): readonly VfioDevice[] {
    return [...this.#devices.values()];
  }

  get groups(): readonly VfioGroup[] {
    return [...this.#groups.values()];
  }

  #group(host: HostGroup): VfioGroup {
    const known = this.#groups.get(host);
    if (known !== undefined) return known;
    const group = new VfioGroup(host);
    this.#groups.set(host, group);
    return group;
  }
}

/** `free`, or where requests with PASID may stray, and why. */
function pathText({ path }: VfioDevice): string {
  if (path === undefined) return 'free';
  const windows = path.windows.map(({ start, last }) => `0x${start.toString(16)}-0x${last.toString(16)}`);
  return [path.verdict, ...windows, path.why].join('\n');
}

/** What `open` takes for a device's own file. */
export const pathOf = ({ number }: VfioDevice): string => `/dev/vfio/devices/vfio${number}`;
