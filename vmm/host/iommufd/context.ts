import type { Allocations } from '../kernel/allocations.ts';
import { demand, refuse } from '../kernel/errno.ts';
import type { HostMemory } from '../kernel/host-memory.ts';
import type { Process } from '../kernel/process.ts';
import { transact } from '../kernel/undo.ts';
import type { IommufdGroup } from './device.ts';
import type { HostDevice, HostGroup } from './driver.ts';
import type { Ioas } from './ioas.ts';
import { type IommufdObject, type ObjectKind, Objects } from './objects.ts';
import type { LockAccount } from './pages.ts';

/** What all iommufds of a host share. */
export interface IommufdHost {
  readonly memory: HostMemory;
  readonly allocations: Allocations;
  /** Bits of the kernel's `unsigned long`. */
  readonly wordBits: 32 | 64;
  /** Bytes that all processes of the user have pinned. */
  readonly userLocked: { locked: bigint };
  /** iommufd.allow_unsafe_interrupts: devices are given away that can send any interrupt. */
  readonly allowUnsafeInterrupts: boolean;
}

/** A device of a container, as VFIO attaches it: `pasid` absent is the device itself, and a second attach replaces. */
export interface ContainerMember {
  readonly id: number;
  attach(pasid: number | undefined, target: number): number;
  detach(pasid: number | undefined): void;
}

/** A second interface to the devices of VFIO's container. */
export interface ContainerExtension {
  /** The device was attached to what the container maps. Throws where the extension cannot serve it. */
  joined(member: ContainerMember): void;
  /** Before it is given back. */
  left(member: ContainerMember): void;
  /** More flags of VFIO_DEVICE_GET_INFO. */
  deviceFlags(device: HostDevice): number;
}

/** A region that user space may map: whole, shared, never executable. */
export interface MapRegion {
  readonly offset: bigint;
  readonly bytes: Uint8Array;
  readonly owner: IommufdObject;
}

/** Everything behind one open iommufd. */
export class IommufdContext {
  readonly host: IommufdHost;
  readonly objects: Objects;
  readonly wordMax: bigint;
  readonly regions: MapRegion[] = [];
  /** Groups of which a device is bound here. */
  readonly groups = new Map<HostGroup, IommufdGroup>();
  /** Locked memory counts by process, not by user. */
  perProcess = false;
  /** The process that pays for what is pinned. */
  payer: Process;
  /** The IOAS that VFIO's old ioctls act on. */
  vfioIoas: Ioas | undefined;
  /** Of a container that has more than mappings. */
  extension: ContainerExtension | undefined;
  #holders = 0;
  #closed = false;
  #nextOffset = 0n;

  constructor(host: IommufdHost, opener: Process) {
    this.host = host;
    this.objects = new Objects(host.allocations);
    this.wordMax = (1n << BigInt(host.wordBits)) - 1n;
    this.payer = opener;
  }

  get allocations(): Allocations {
    return this.host.allocations;
  }

  /** Who pays for pages pinned by `process`. */
  accountOf(process: Process): LockAccount {
    if (process.capable('CAP_IPC_LOCK')) return FREE;
    const { userLocked } = this.host;
    const { perProcess } = this;
    return {
      limit: process.memlock,
      get locked() {
        return perProcess ? process.locked : userLocked.locked;
      },
      set locked(bytes: bigint) {
        if (perProcess) process.locked = bytes;
        else userLocked.locked = bytes;
      },
    };
  }

  /**
   * Makes an object: `make` may note steps to undo; `reply` runs before the object becomes visible, so that a caller who cannot
   * be told the id does not get an object either.
   */
  create<T extends IommufdObject>(
    make: (id: number, undo: (step: () => void) => void) => T,
    reply: (object: T) => void = () => {},
  ): T {
    return transact((undo) => {
      const id = this.objects.reserve(undo);
      const object = make(id, undo);
      undo(() => object.destroy());
      reply(object);
      this.objects.install(object);
      return object;
    });
  }

  /** The object of that id and kind. Throws `absent` (ENOENT unless told otherwise). */
  get<T extends IommufdObject>(id: number, kinds: readonly ObjectKind[]): T {
    const object = this.objects.find(id);
    if (object === undefined || !kinds.includes(object.kind)) {
      refuse('ENOENT', `there is no ${kinds.join(' or ')} ${id}`);
    }
    return object as T;
  }

  ioas(id: number): Ioas {
    return this.get<Ioas>(id, ['ioas']);
  }

  /** Publishes bytes for mmap; returns the offset to use. */
  publish(bytes: Uint8Array, owner: IommufdObject): bigint {
    const offset = this.#nextOffset;
    this.#nextOffset += BigInt(bytes.length);
    this.regions.push({ offset, bytes, owner });
    return offset;
  }

  withdraw(owner: IommufdObject): void {
    const at = this.regions.findIndex((region) => region.owner === owner);
    if (at >= 0) this.regions.splice(at, 1);
  }

  /** Another file or device needs the context after the iommufd is closed. */
  hold(): void {
    this.#holders++;
  }

  drop(): void {
    this.#holders--;
    this.#end();
  }

  close(): void {
    this.#closed = true;
    this.#end();
  }

  get closed(): boolean {
    return this.#closed && this.#holders === 0;
  }

  #end(): void {
    if (this.closed) this.objects.destroyAll();
  }

  /** Flags that are not known. */
  static checkFlags(flags: number, known: number, what: string): void {
    demand(
      (flags & ~known) === 0,
      'EOPNOTSUPP',
      `${what} has unknown flags 0x${(flags & ~known).toString(16)}`,
    );
  }
}

/** CAP_IPC_LOCK: nothing is counted. */
const FREE: LockAccount = {
  limit: (1n << 64n) - 1n,
  get locked() {
    return 0n;
  },
  set locked(_: bigint) {},
};
