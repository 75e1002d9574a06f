import type { IommufdContext } from '../iommufd/context.ts';
import { Iommufd } from '../iommufd/iommufd.ts';
import { compatIoas } from '../iommufd/vfio-compat.ts';
import { demand, refuse } from '../kernel/errno.ts';
import type { HostFile, MapRequest } from '../kernel/files.ts';
import type { Process } from '../kernel/process.ts';
import { ATTACH, ATTACH_PASID, BIND, BIND_TOKEN, DETACH, VFIO } from './abi.ts';
import type { Binding } from './attach.ts';
import { deviceFeature } from './features.ts';
import { type FindDevice, hotReset, hotResetInfo } from './hot-reset.ts';
import { deviceInfo, irqInfo, regionInfo } from './info.ts';
import type { OpenDevice } from './open-device.ts';
import { demandZeroTail, fetch, fetchSized, reply } from './user-struct.ts';
import type { VfioDevice } from './vfio-device.ts';
import type { GroupFile } from './vfio-group.ts';

const UUID_BYTES = 16;

/** Calls that concern the device alone, whoever opened it. */
const CALLS: ReadonlyMap<number, (open: OpenDevice, caller: Process, argument: bigint) => void> = new Map([
  [VFIO.FEATURE, deviceFeature],
  [VFIO.GET_REGION_INFO, regionInfo],
  [VFIO.GET_IRQ_INFO, irqInfo],
  [VFIO.SET_IRQS, (open: OpenDevice, caller: Process, argument: bigint) => open.irqs.set(caller, argument)],
  [VFIO.RESET, (open: OpenDevice) => open.reset()],
]);

/** An open device: `/dev/vfio/devices/vfioN`, or what a group gave. */
export class DeviceFile implements HostFile {
  readonly name: string;
  readonly device: VfioDevice;
  readonly #find: FindDevice;
  /** The group that gave it. */
  readonly #group: GroupFile | undefined;
  /** Bound: until then nothing works. */
  #granted = false;
  #position = 0n;
  /** The file and its mappings. */
  #holders = 1;

  /** Throws ENOMEM, and of a group what GET_DEVICE_FD refuses. */
  constructor(device: VfioDevice, find: FindDevice, group: GroupFile | undefined) {
    device.allocations.take('file');
    this.device = device;
    this.#find = find;
    this.#group = group;
    this.name = group === undefined ? `/dev/vfio/devices/vfio${device.number}` : '[vfio-device]';
    if (group === undefined) return;
    try {
      this.#openByGroup(group);
    } catch (cause) {
      device.allocations.give('file');
      throw cause;
    }
    group.hold();
  }

  #openByGroup(group: GroupFile): void {
    const { device } = this;
    const context = group.context ?? refuse('EINVAL', 'the group has no container');
    if (device.opens === 0) {
      const binding = device.first(context);
      try {
        binding.attach(undefined, compatIoas(context).id);
        context.extension?.joined(binding);
      } catch (cause) {
        device.last();
        throw cause;
      }
    }
    device.opens++;
    this.#granted = true;
  }

  ioctl(caller: Process, word: number, argument: bigint): number {
    if (word === VFIO.BIND_IOMMUFD) {
      this.#bind(caller, argument);
      return 0;
    }
    const open = this.#open();
    return open.power.awake(() => {
      this.#dispatch(open, caller, word, argument);
      return 0;
    });
  }

  #dispatch(open: OpenDevice, caller: Process, word: number, argument: bigint): void {
    if (word === VFIO.ATTACH_IOMMUFD_PT) this.#attach(caller, argument);
    else if (word === VFIO.DETACH_IOMMUFD_PT) this.#detach(caller, argument);
    else if (word === VFIO.GET_PCI_HOT_RESET_INFO) hotResetInfo(this.device, this.#find, caller, argument);
    else if (word === VFIO.PCI_HOT_RESET) hotReset(this.device, this.#find, caller, argument);
    else if (word === VFIO.GET_INFO) {
      const { extension } = this.#binding().context;
      deviceInfo(open, caller, argument, extension?.deviceFlags(this.device.host) ?? 0);
    } else {
      const run = CALLS.get(word) ?? refuse('ENOTTY', `a device has no ioctl 0x${word.toString(16)}`);
      run(open, caller, argument);
    }
  }

  #open(): OpenDevice {
    const { open } = this.device;
    return this.#granted && open !== undefined
      ? open
      : refuse('EINVAL', 'the device is not bound to an iommufd');
  }

  #binding(): Binding {
    return this.device.binding ?? refuse('EINVAL', 'the device is not bound to an iommufd');
  }

  /** Throws EFAULT, EINVAL, E2BIG, EBUSY, EACCES, EBADF, EBADFD, EPERM, ENOMEM. */
  #bind(caller: Process, argument: bigint): void {
    const { device } = this;
    const { argsz } = fetchSized(caller, argument, BIND);
    demandZeroTail(caller, argument, BIND, argsz);
    const size = Math.min(argsz, BIND.bytes);
    const values = fetch(caller, argument, BIND, size);
    const { flags, iommufd } = values;
    demand(iommufd >= 0 && (flags & ~BIND_TOKEN) === 0, 'EINVAL', 'no descriptor, or an unknown flag');
    demand(this.#group === undefined, 'EINVAL', 'the file is one of a group');
    demand(device.group.file === undefined, 'EBUSY', `group ${device.group.number} is open`);
    demand(!this.#granted, 'EINVAL', 'the device is bound already');
    device.checkToken((flags & BIND_TOKEN) === 0 ? undefined : tokenAt(caller, values.token_uuid_ptr));
    const context = contextOf(caller, iommufd);
    demand(device.opens === 0, 'EINVAL', 'another file of the device is bound');
    const binding = device.first(context);
    try {
      reply(caller, argument, BIND, { ...values, out_devid: binding.id }, BIND.least);
    } catch (cause) {
      device.last();
      throw cause;
    }
    device.opens = 1;
    device.byCdev = true;
    device.group.cdevs++;
    this.#granted = true;
  }

  /** Throws EFAULT, EINVAL, ENOTTY, EOPNOTSUPP and what attaching refuses. */
  #attach(caller: Process, argument: bigint): void {
    this.#demandCdev();
    const values = fetchSized(caller, argument, ATTACH);
    const pasid = pasidOf(caller, argument, ATTACH, values.argsz, values.flags);
    const binding = this.#binding();
    const id = binding.attach(pasid, values.pt_id);
    try {
      const bytes = caller.bytes(argument + BigInt(ATTACH.fields.pt_id.at), 4, true);
      new DataView(bytes.buffer, bytes.byteOffset, 4).setUint32(0, id, true);
    } catch (cause) {
      binding.detach(pasid);
      throw cause;
    }
  }

  #detach(caller: Process, argument: bigint): void {
    this.#demandCdev();
    const { argsz, flags } = fetchSized(caller, argument, DETACH);
    this.#binding().detach(pasidOf(caller, argument, DETACH, argsz, flags));
  }

  #demandCdev(): void {
    demand(this.#group === undefined, 'ENOTTY', 'address spaces of a device of a group are its container');
  }

  read(caller: Process, address: bigint, length: number): number {
    const done = this.pread(caller, address, length, this.#position);
    this.#position += BigInt(done);
    return done;
  }

  write(caller: Process, address: bigint, length: number): number {
    const done = this.pwrite(caller, address, length, this.#position);
    this.#position += BigInt(done);
    return done;
  }

  pread(caller: Process, address: bigint, length: number, offset: bigint): number {
    const open = this.#open();
    return open.power.awake(() => open.regions.move(caller, address, length, offset, false));
  }

  pwrite(caller: Process, address: bigint, length: number, offset: bigint): number {
    const open = this.#open();
    return open.power.awake(() => open.regions.move(caller, address, length, offset, true));
  }

  mmap(caller: Process, request: MapRequest): void {
    this.#open().regions.map(caller, request, () => this.#drop());
    this.#holders++;
  }

  release(): void {
    this.#drop();
  }

  /** A mapping keeps the file, as the descriptor does. */
  #drop(): void {
    if (--this.#holders > 0) return;
    const { device } = this;
    device.allocations.give('file');
    if (this.#granted && --device.opens === 0) {
      device.last();
      if (this.#group === undefined) {
        device.byCdev = false;
        device.group.cdevs--;
      }
    }
    this.#group?.release();
  }
}

/** The PASID, where the flag says that there is one. Throws EINVAL, EFAULT. */
function pasidOf(
  caller: Process,
  argument: bigint,
  struct: typeof ATTACH | typeof DETACH,
  argsz: number,
  flags: number,
): number | undefined {
  demand((flags & ~ATTACH_PASID) === 0, 'EINVAL', 'an unknown flag');
  if ((flags & ATTACH_PASID) === 0) return undefined;
  const { at } = struct.fields.pasid;
  demand(argsz >= at + 4, 'EINVAL', 'argsz ends before the PASID');
  const bytes = caller.bytes(argument + BigInt(at), 4, false);
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
}

function tokenAt(caller: Process, address: bigint): Uint8Array {
  return caller.bytes(address, UUID_BYTES, false).slice();
}

function contextOf(caller: Process, fd: number): IommufdContext {
  const file = caller.files.get(fd);
  return file instanceof Iommufd ? file.context : refuse('EBADFD', `${file.name} is no iommufd`);
}
