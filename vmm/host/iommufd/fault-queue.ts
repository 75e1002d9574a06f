import { demand, refuse } from '../kernel/errno.ts';
import { type HostFile, POLL } from '../kernel/files.ts';
import { partly } from '../kernel/partly.ts';
import type { Process } from '../kernel/process.ts';
import { decode, encode } from '../kernel/struct.ts';
import { PAGE_RESPONSE, PGFAULT, PGFAULT_FLAGS } from './abi.ts';
import type { IommufdContext } from './context.ts';
import type { IommufdDevice } from './device.ts';
import type { PageRequest } from './driver.ts';
import type { Hwpt } from './hwpt.ts';
import type { IommufdObject } from './objects.ts';

/** `enum iommufd_page_response_code`. */
const RESPONSE = { SUCCESS: 0, INVALID: 1 } as const;

/** Page requests of one group, which are answered together. */
interface FaultGroup {
  readonly hwpt: Hwpt;
  readonly device: IommufdDevice;
  readonly requests: readonly PageRequest[];
  cookie: number;
}

/** Page requests on their way to user space, and the groups that wait for its answer. */
export class FaultQueue implements IommufdObject {
  readonly kind = 'fault';
  readonly id: number;
  users = 0;
  readonly #context: IommufdContext;
  readonly #queued: FaultGroup[] = [];
  readonly #waiting = new Map<number, FaultGroup>();
  readonly #listeners = new Set<() => void>();

  constructor(id: number, context: IommufdContext) {
    this.id = id;
    this.#context = context;
  }

  /** A whole group of requests arrived for a device whose `hwpt` has this queue. Throws ENOMEM: the caller answers. */
  push(hwpt: Hwpt, device: IommufdDevice, requests: readonly PageRequest[]): void {
    this.#context.allocations.take('fault');
    this.#queued.push({ hwpt, device, requests, cookie: -1 });
    for (const listener of [...this.#listeners]) listener();
  }

  /** Requests of a page table that is detached, replaced or destroyed are answered INVALID. */
  flush(hwpt: Hwpt, device: IommufdDevice): void {
    const gone = (group: FaultGroup) => group.hwpt === hwpt && group.device === device;
    for (let at = this.#queued.length - 1; at >= 0; at--) {
      const group = this.#queued[at] as FaultGroup;
      if (!gone(group)) continue;
      this.#queued.splice(at, 1);
      this.#respond(group, false);
    }
    for (const [cookie, group] of [...this.#waiting]) {
      if (!gone(group)) continue;
      this.#waiting.delete(cookie);
      this.#respond(group, false);
    }
  }

  /** Groups that nobody has answered: queued, and read. */
  get open(): { readonly queued: number; readonly waiting: number } {
    return { queued: this.#queued.length, waiting: this.#waiting.size };
  }

  /** The file that user space reads requests from and writes responses to. It keeps the queue and the iommufd. */
  file(): HostFile {
    this.#context.allocations.take('file');
    this.users++;
    this.#context.hold();
    return {
      name: '[iommufd-pgfault]',
      read: (caller, address, length) => this.#read(caller, address, length),
      write: (caller, address, length) => this.#write(caller, address, length),
      poll: () => POLL.OUT | (this.#queued.length > 0 ? POLL.IN : 0),
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
    for (const group of [...this.#queued, ...this.#waiting.values()]) this.#respond(group, false);
    this.#queued.length = 0;
    this.#waiting.clear();
  }

  /** Whole groups only: one that does not fit stays for the next read. Throws ESPIPE, EFAULT. */
  #read(caller: Process, address: bigint, length: number): number {
    demand(length % PGFAULT.bytes === 0, 'ESPIPE', `reads are multiples of ${PGFAULT.bytes} bytes`);
    let done = 0;
    for (let group = this.#queued[0]; group !== undefined; group = this.#queued[0]) {
      const bytes = group.requests.length * PGFAULT.bytes;
      if (done + bytes > length) break;
      const target = partly(done, () => caller.bytes(address + BigInt(done), bytes, true));
      if (target === undefined) break;
      const cookie = this.#freeCookie();
      group.requests.forEach((request, index) => {
        const record = target.subarray(index * PGFAULT.bytes, (index + 1) * PGFAULT.bytes);
        record.fill(0);
        encode(PGFAULT, recordOf(group as FaultGroup, request, cookie), record);
      });
      group.cookie = cookie;
      this.#waiting.set(cookie, group);
      this.#queued.shift();
      done += bytes;
    }
    return done;
  }

  /** Each response ends a group; where one is refused, the bytes before it count. Throws ESPIPE, EINVAL, EFAULT. */
  #write(caller: Process, address: bigint, length: number): number {
    demand(
      length % PAGE_RESPONSE.bytes === 0,
      'ESPIPE',
      `writes are multiples of ${PAGE_RESPONSE.bytes} bytes`,
    );
    for (let done = 0; done < length; done += PAGE_RESPONSE.bytes) {
      const bytes = partly(done, () => caller.bytes(address + BigInt(done), PAGE_RESPONSE.bytes, false));
      if (bytes === undefined) return done;
      const { cookie, code } = decode(PAGE_RESPONSE, bytes);
      const group = this.#waiting.get(cookie);
      if (group === undefined || (code !== RESPONSE.SUCCESS && code !== RESPONSE.INVALID)) {
        if (done > 0) return done;
        refuse(
          'EINVAL',
          group === undefined ? `no group waits with cookie ${cookie}` : `${code} is no response code`,
        );
      }
      this.#waiting.delete(cookie);
      this.#respond(group, code === RESPONSE.SUCCESS);
    }
    return length;
  }

  #respond({ device, requests }: FaultGroup, success: boolean): void {
    this.#context.allocations.give('fault');
    const last = requests[requests.length - 1] as PageRequest;
    device.host.driver.respond?.(device.host, last, success);
  }

  #freeCookie(): number {
    let cookie = 0;
    while (this.#waiting.has(cookie)) cookie++;
    return cookie;
  }
}

function recordOf(group: FaultGroup, request: PageRequest, cookie: number) {
  const flags =
    (request.pasid === undefined ? 0 : PGFAULT_FLAGS.PASID_VALID) |
    (request.last ? PGFAULT_FLAGS.LAST_PAGE : 0);
  return {
    flags,
    dev_id: group.device.id,
    pasid: request.pasid ?? 0,
    grpid: request.group,
    perm: request.permissions,
    addr: request.address,
    length: 0,
    cookie,
  };
}
