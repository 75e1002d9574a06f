import type { IommufdContext } from '../iommufd/context.ts';
import type { HostGroup } from '../iommufd/driver.ts';
import { Iommufd } from '../iommufd/iommufd.ts';
import { compatIoas } from '../iommufd/vfio-compat.ts';
import type { Allocations } from '../kernel/allocations.ts';
import { demand, refuse } from '../kernel/errno.ts';
import type { HostFile } from '../kernel/files.ts';
import { PAGE_SIZE } from '../kernel/host-memory.ts';
import type { Process } from '../kernel/process.ts';
import { GROUP_FLAGS, GROUP_STATUS, VFIO } from './abi.ts';
import type { DeviceFile } from './device-file.ts';
import { fetchSized, reply } from './user-struct.ts';
import { parseDeviceName } from './vf-token.ts';
import type { VfioDevice } from './vfio-device.ts';

/** A group of devices as VFIO's old interface has it. */
export class VfioGroup {
  readonly host: HostGroup;
  readonly devices: VfioDevice[] = [];
  /** The one file that may be open. */
  file: GroupFile | undefined;
  /** Devices of it that are open by their own files. */
  cdevs = 0;

  constructor(host: HostGroup) {
    this.host = host;
  }

  get number(): number {
    return this.host.number;
  }
}

/** Opens a file of a device for the group: what this room's edge gives, as the file knows the group. */
export type OpenByGroup = (device: VfioDevice, group: GroupFile) => DeviceFile;

/** An open `/dev/vfio/N` (Linux, drivers/vfio/group.c). Files of its devices keep it. */
export class GroupFile implements HostFile {
  readonly name: string;
  readonly group: VfioGroup;
  /** The container: an iommufd in its compatible mode. */
  context: IommufdContext | undefined;
  readonly #allocations: Allocations;
  readonly #open: OpenByGroup;
  #holders = 1;

  /** Throws EBUSY: a group is open once, and not while its devices are by their own files. */
  constructor(group: VfioGroup, allocations: Allocations, open: OpenByGroup) {
    demand(group.file === undefined && group.cdevs === 0, 'EBUSY', `group ${group.number} is in use`);
    allocations.take('file');
    this.name = `/dev/vfio/${group.number}`;
    this.group = group;
    this.#allocations = allocations;
    this.#open = open;
    group.file = this;
  }

  ioctl(caller: Process, word: number, argument: bigint): number {
    switch (word) {
      case VFIO.GROUP_GET_STATUS:
        this.#status(caller, argument);
        return 0;
      case VFIO.GROUP_SET_CONTAINER:
        this.#setContainer(caller, argument);
        return 0;
      case VFIO.GROUP_UNSET_CONTAINER:
        this.#unsetContainer();
        return 0;
      case VFIO.GROUP_GET_DEVICE_FD:
        return this.#deviceFd(caller, argument);
      default:
        return refuse('ENOTTY', `a group has no ioctl 0x${word.toString(16)}`);
    }
  }

  #status(caller: Process, argument: bigint): void {
    const { argsz } = fetchSized(caller, argument, GROUP_STATUS);
    const free = this.group.host.owner === undefined;
    const flags =
      this.context !== undefined
        ? GROUP_FLAGS.CONTAINER_SET | GROUP_FLAGS.VIABLE
        : free
          ? GROUP_FLAGS.VIABLE
          : 0;
    reply(caller, argument, GROUP_STATUS, { argsz, flags });
  }

  #setContainer(caller: Process, argument: bigint): void {
    const bytes = caller.bytes(argument, 4, false);
    const fd = new DataView(bytes.buffer, bytes.byteOffset, 4).getInt32(0, true);
    const file = caller.files.get(fd);
    demand(this.context === undefined, 'EINVAL', 'the group has a container');
    if (!(file instanceof Iommufd)) refuse('EBADFD', `${file.name} is no container`);
    compatIoas(file.context);
    file.context.hold();
    this.context = file.context;
  }

  #unsetContainer(): void {
    demand(this.context !== undefined, 'EINVAL', 'the group has no container');
    this.#dropContext();
  }

  #dropContext(): void {
    const { context } = this;
    this.context = undefined;
    context?.drop();
  }

  #deviceFd(caller: Process, argument: bigint): number {
    const { name, token } = parseDeviceName(stringAt(caller, argument));
    const device = this.group.devices.find(({ fn }) => fn.name === name);
    if (device === undefined) refuse('ENODEV', `there is no device ${name} in group ${this.group.number}`);
    device.checkToken(token);
    const file = this.#open(device, this);
    try {
      return caller.files.install(file);
    } catch (cause) {
      file.release();
      throw cause;
    }
  }

  hold(): void {
    this.#holders++;
  }

  release(): void {
    if (--this.#holders > 0) return;
    this.#dropContext();
    this.group.file = undefined;
    this.#allocations.give('file');
  }
}

/** A string of the caller's, of at most a page. Throws EFAULT, EINVAL. */
function stringAt(caller: Process, address: bigint): string {
  let text = '';
  for (let at = 0; at < PAGE_SIZE; at++) {
    const byte = caller.bytes(address + BigInt(at), 1, false)[0] as number;
    if (byte === 0) return text;
    text += String.fromCharCode(byte);
  }
  return refuse('EINVAL', 'the name does not end');
}
