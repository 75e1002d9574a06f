import { type DmaTranslator, NO_PASID, PAGE_RESPONSE_SUCCESS } from '../bus/dma.ts';
import { PAGE_RESPONSE, PGFAULT, PGFAULT_FLAGS } from '../host/iommufd/abi.ts';
import { decode, encode } from '../host/kernel/struct.ts';
import type { GuestDevice } from './guest-device.ts';
import type { HostCalls } from './host-calls.ts';
import type { PassthroughLog } from './log.ts';

/** Page requests that are read at once. */
const BATCH = 64;
const RESPONSE = { success: 0, invalid: 1 } as const;
const PRIVILEGED = 8;
const ACCESS = 7;

interface Waiting {
  readonly device: GuestDevice;
  readonly pasid: number;
  readonly group: number;
  readonly cookie: number;
}

/**
 * Page requests of assigned devices: those that the host's IOMMU passes on go into the guest's own queue, in the name of the
 * requester that the guest knows, and what the guest answers goes back.
 */
export class PageFaults {
  readonly #calls: HostCalls;
  readonly #translator: DmaTranslator;
  readonly #log: PassthroughLog;
  readonly #devices = new Map<number, GuestDevice>();
  readonly #waiting: Waiting[] = [];
  #fd = -1;

  constructor(calls: HostCalls, translator: DmaTranslator, log: PassthroughLog) {
    this.#calls = calls;
    this.#translator = translator;
    this.#log = log;
  }

  /** From now on what comes in at this fault queue is passed on. */
  listen(fd: number): void {
    if (this.#fd >= 0) return;
    this.#fd = fd;
    this.#calls.sys.listen(fd, () => this.#read());
  }

  add(device: GuestDevice): void {
    this.#devices.set(device.host.id, device);
  }

  remove(device: GuestDevice): void {
    this.drop(device);
    this.#devices.delete(device.host.id);
  }

  /** Nobody answers what the device has asked for so far: it was reset, or is gone. */
  drop(device: GuestDevice): void {
    const dropped = this.#waiting.filter((one) => one.device === device);
    for (const one of dropped) {
      this.#waiting.splice(this.#waiting.indexOf(one), 1);
      this.#answer(one.cookie, RESPONSE.invalid);
    }
  }

  #read(): void {
    const { sys, data } = this.#calls;
    for (;;) {
      const done = sys.read(this.#fd, data, BATCH * PGFAULT.bytes);
      if (done <= 0) return;
      const bytes = this.#calls.bytes(done).slice();
      for (let at = 0; at < done; at += PGFAULT.bytes)
        this.#pass(decode(PGFAULT, bytes.subarray(at, at + PGFAULT.bytes)));
    }
  }

  #pass(fault: ReturnType<typeof decode<(typeof PGFAULT)['fields']>>): void {
    const device = this.#devices.get(fault.dev_id);
    const pasid = (fault.flags & PGFAULT_FLAGS.PASID_VALID) !== 0 ? fault.pasid : NO_PASID;
    const last = (fault.flags & PGFAULT_FLAGS.LAST_PAGE) !== 0;
    if (device === undefined) {
      this.#answer(fault.cookie, RESPONSE.invalid);
      return;
    }
    const { dma } = device;
    // Answered maybe before pageRequest returns.
    if (last) this.#waiting.push({ device, pasid, group: fault.grpid, cookie: fault.cookie });
    const before = { pasid: dma.pasid, privileged: dma.privileged };
    dma.pasid = pasid;
    dma.privileged = (fault.perm & PRIVILEGED) !== 0;
    const lo = Number(fault.addr & 0xffffffffn) | 0;
    const hi = Number(fault.addr >> 32n) | 0;
    const taken = this.#translator.pageRequest?.(dma, lo, hi, fault.perm & ACCESS, fault.grpid, last);
    dma.pasid = before.pasid;
    dma.privileged = before.privileged;
    if (taken === undefined || taken !== 0) this.respond(device, pasid, fault.grpid, -1);
  }

  /** The guest's answer to a group, with or without its PASID. */
  respond(device: GuestDevice, pasid: number, group: number, code: number): void {
    const at = this.#waiting.findIndex(
      (one) => one.device === device && one.group === group && (pasid === NO_PASID || one.pasid === pasid),
    );
    const found = this.#waiting[at];
    if (found === undefined) return;
    this.#waiting.splice(at, 1);
    this.#answer(found.cookie, code === PAGE_RESPONSE_SUCCESS ? RESPONSE.success : RESPONSE.invalid);
  }

  #answer(cookie: number, code: number): void {
    const { sys, data } = this.#calls;
    encode(PAGE_RESPONSE, { cookie, code }, this.#calls.bytes(PAGE_RESPONSE.bytes));
    const result = sys.write(this.#fd, data, PAGE_RESPONSE.bytes);
    if (result < 0) this.#log.refused(this.#calls.refusal('write to the fault queue', result));
  }
}
