import { demand } from '../kernel/errno.ts';
import { type HostFile, POLL } from '../kernel/files.ts';
import { partly } from '../kernel/partly.ts';
import type { Process } from '../kernel/process.ts';
import { encode } from '../kernel/struct.ts';
import { VEVENT_HEADER, VEVENT_LOST } from './abi.ts';
import type { IommufdContext } from './context.ts';
import type { IommufdObject } from './objects.ts';
import type { Viommu } from './viommu.ts';

/** Sequence numbers count from 0 to INT_MAX, and begin again. */
const LAST_SEQUENCE = 0x7fff_ffff;

interface Event {
  readonly sequence: number;
  /** `undefined`: events were lost here. */
  readonly bytes: Uint8Array | undefined;
}

/** Events of a vIOMMU on their way to user space: at most `depth`, then one header that says that some were lost. */
export class EventQueue implements IommufdObject {
  readonly kind = 'veventq';
  readonly id: number;
  users = 0;
  readonly type: number;
  readonly #viommu: Viommu;
  readonly #context: IommufdContext;
  readonly #depth: number;
  readonly #events: Event[] = [];
  readonly #listeners = new Set<() => void>();
  #sequence = 0;

  constructor(id: number, context: IommufdContext, viommu: Viommu, type: number, depth: number) {
    this.id = id;
    this.type = type;
    this.#viommu = viommu;
    this.#context = context;
    this.#depth = depth;
    viommu.users++;
    viommu.eventQueues.set(type, this);
  }

  /** One event. Where there is no room (or no memory), it is lost, and the queue says so at this place. */
  push(bytes: Uint8Array): void {
    const sequence = this.#sequence;
    this.#sequence = sequence === LAST_SEQUENCE ? 0 : sequence + 1;
    const last = this.#events[this.#events.length - 1];
    if (last?.bytes === undefined && last !== undefined) this.#events.pop();
    const queued = this.#events.length;
    this.#events.push({ sequence, bytes: queued < this.#depth ? bytes : undefined });
    for (const listener of [...this.#listeners]) listener();
  }

  get queued(): number {
    return this.#events.length;
  }

  /** The file that user space reads events from. It keeps the queue and the iommufd. */
  file(): HostFile {
    this.#context.allocations.take('file');
    this.users++;
    this.#context.hold();
    return {
      name: '[iommufd-viommu-event]',
      read: (caller, address, length) => this.#read(caller, address, length),
      poll: () => (this.#events.length > 0 ? POLL.IN : 0),
      listen: (listener) => {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
      },
      release: () => {
        this.#listeners.clear();
        this.users--;
        this.#context.allocations.give('file');
        this.#context.drop();
      },
    };
  }

  destroy(): void {
    this.#viommu.eventQueues.delete(this.type);
    this.#viommu.users--;
  }

  /** Whole events only. Throws EINVAL where not even the first header fits, EFAULT. */
  #read(caller: Process, address: bigint, length: number): number {
    let done = 0;
    for (let event = this.#events[0]; event !== undefined; event = this.#events[0]) {
      const bytes = VEVENT_HEADER.bytes + (event.bytes?.length ?? 0);
      if (done + bytes > length) {
        demand(done > 0, 'EINVAL', `the next event has ${bytes} bytes`);
        break;
      }
      const target = partly(done, () => caller.bytes(address + BigInt(done), bytes, true));
      if (target === undefined) break;
      const flags = event.bytes === undefined ? VEVENT_LOST : 0;
      encode(VEVENT_HEADER, { flags, sequence: event.sequence }, target.subarray(0, VEVENT_HEADER.bytes));
      if (event.bytes !== undefined) target.set(event.bytes, VEVENT_HEADER.bytes);
      this.#events.shift();
      done += bytes;
    }
    return done;
  }
}
