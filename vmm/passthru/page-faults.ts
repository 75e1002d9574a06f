import { NOT_HELD } from '../../viommu/port/smmuv3.ts';
import { type DmaPort, type DmaTranslator, NO_PASID, PAGE_RESPONSE_SUCCESS } from '../bus/dma.ts';
import { PAGE_RESPONSE, PGFAULT, PGFAULT_FLAGS } from '../host/iommufd/abi.ts';
import type { GuestDevice } from './guest-device.ts';
import type { HostCalls } from './host-calls.ts';
import type { PassthroughLog } from './log.ts';

/** Page requests that are read at once. */
const BATCH = 64;
const RESPONSE = { success: 0, invalid: 1 } as const;
const PRIVILEGED = 8;
const ACCESS = 7;
const IN_PAGE = 4095;
/** In place of a PASID: whatever a requester has bound. */
export const EVERY_PASID = -2;

/** Where fields of a request lie, read one by one: page requests are many. */
const { flags, dev_id, pasid: pasidAt, grpid, perm, addr, cookie: cookieAt } = PGFAULT.fields;

/** A group of page requests, or a transaction that is held, that waits for the guest's answer. */
interface Waiting {
  readonly device: GuestDevice;
  /** A transaction is held: `group` is the tag that the guest knows. */
  readonly held: boolean;
  readonly pasid: number;
  readonly group: number;
  readonly cookie: number;
  /** The fault queue that it came from. */
  readonly fd: number;
}

/** Tells the guest of a transaction that the host's IOMMU holds: SmmuPort.hold. */
export type Hold = (port: DmaPort, lo: number, hi: number, access: number) => number;

export interface PageFaultParts {
  readonly calls: HostCalls;
  readonly translator: DmaTranslator;
  /** Undefined: the guest's IOMMU holds nothing. */
  readonly hold: Hold | undefined;
  /** The PASID that the guest knows a request's by. */
  readonly guestPasid: (pasid: number) => number;
  readonly log: PassthroughLog;
  /** Told of every page that a device asks for, before the guest is. */
  readonly asked?: (device: GuestDevice, pasid: number, lo: number, hi: number) => void;
}

/**
 * Page requests of assigned devices, and transactions of theirs that the host's IOMMU holds, which iommufd tells of in the same
 * words. What the host passes on is told to the guest in the name of the requester that the guest knows, and what the guest answers
 * goes back.
 */
export class PageFaults {
  readonly #calls: HostCalls;
  readonly #p: PageFaultParts;
  readonly #devices = new Map<number, GuestDevice>();
  readonly #waiting: Waiting[] = [];
  readonly #records = new DataView(new ArrayBuffer(BATCH * PGFAULT.bytes));
  /** Fault queues that are listened to; of one device alone: its id. */
  readonly #queues = new Map<number, number | undefined>();

  constructor(parts: PageFaultParts) {
    this.#p = parts;
    this.#calls = parts.calls;
  }

  /** From now on what comes in at this fault queue is passed on. @param only whatever comes is of the device with this id */
  listen(fd: number, only?: number): void {
    if (this.#queues.has(fd)) return;
    this.#queues.set(fd, only);
    this.#calls.sys.listen(fd, () => this.#read(fd));
  }

  /** The fault queue is gone; its descriptor may be given to another file. */
  unlisten(fd: number): void {
    this.#queues.delete(fd);
  }

  add(device: GuestDevice): void {
    this.#devices.set(device.host.id, device);
  }

  remove(device: GuestDevice): void {
    this.drop(device);
    this.#devices.delete(device.host.id);
    for (const [fd, only] of this.#queues) if (only === device.host.id) this.#queues.delete(fd);
  }

  /** What waits for an answer of the guest. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** The host waits for an answer to the device, or has told the guest of a part of a group. */
  busy(device: GuestDevice): boolean {
    return device.requests.any || this.#waiting.some((one) => one.device === device);
  }

  /** Nobody answers what the device has asked for so far: it was reset, or is gone. */
  drop(device: GuestDevice): void {
    for (const one of this.#taken(device, EVERY_PASID)) this.#answer(one.fd, one.cookie, RESPONSE.invalid);
  }

  /**
   * A page table of the device was taken away: iommufd has answered what came by it, and gives its cookies to others. An answer of
   * the guest that comes later is nobody's.
   * @param pasid NO_PASID: that of requests without one; EVERY_PASID: one for all
   */
  unbound(device: GuestDevice, pasid: number): void {
    if (this.#waiting.length > 0) this.#taken(device, pasid);
  }

  #taken(device: GuestDevice, pasid: number): readonly Waiting[] {
    const waiting = this.#waiting;
    const taken: Waiting[] = [];
    for (let i = waiting.length - 1; i >= 0; i--) {
      const one = waiting[i]!;
      if (one.device !== device || (pasid !== EVERY_PASID && one.pasid !== pasid)) continue;
      taken.unshift(one);
      waiting.splice(i, 1);
      if (!one.held) device.requests.answered(one.group);
    }
    return taken;
  }

  #read(fd: number): void {
    const { sys, data, view } = this.#calls;
    const records = this.#records;
    for (;;) {
      const done = sys.read(fd, data, BATCH * PGFAULT.bytes);
      if (done <= 0) return;
      // What is done for one uses the place where they lie.
      for (let at = 0; at < done; at += 4) records.setUint32(at, view.getUint32(data + at, true), true);
      for (let at = 0; at < done; at += PGFAULT.bytes) this.#pass(at, fd);
      if (done < BATCH * PGFAULT.bytes) return;
    }
  }

  #pass(at: number, fd: number): void {
    const r = this.#records;
    const cookie = r.getUint32(at + cookieAt.at, true);
    const device = this.#devices.get(this.#queues.get(fd) ?? r.getUint32(at + dev_id.at, true));
    if (device === undefined) {
      this.#answer(fd, cookie, RESPONSE.invalid);
      return;
    }
    const given = r.getUint32(at + flags.at, true);
    const hasPasid = (given & PGFAULT_FLAGS.PASID_VALID) !== 0;
    const pasid = hasPasid ? this.#p.guestPasid(r.getUint32(at + pasidAt.at, true)) : NO_PASID;
    const last = (given & PGFAULT_FLAGS.LAST_PAGE) !== 0;
    const group = r.getUint32(at + grpid.at, true);
    const lo = r.getInt32(at + addr.at, true);
    const hi = r.getInt32(at + addr.at + 4, true);
    const permissions = r.getUint32(at + perm.at, true);
    const access = permissions & ACCESS;
    const { dma } = device;
    const { pasid: before, privileged } = dma;
    dma.pasid = pasid;
    dma.privileged = (permissions & PRIVILEGED) !== 0;
    this.#p.asked?.(device, pasid, lo, hi);
    if (!this.#mayBeHeld(device, lo) || !this.#held(device, lo, hi, access, cookie, fd))
      this.#request(device, lo, hi, access, { device, held: false, pasid, group, cookie, fd }, last);
    dma.pasid = before;
    dma.privileged = privileged;
  }

  /**
   * The words are the same for both. A function whose guest has not switched page requests on makes none; of one that does, requests
   * are for whole pages. LIMIT passthru-stalls.
   */
  #mayBeHeld(device: GuestDevice, lo: number): boolean {
    if (this.#p.hold === undefined) return false;
    const { ats, pri } = device.enables;
    return !ats || !pri || (lo & IN_PAGE) !== 0;
  }

  /** False: the guest's tables hold no such transactions. */
  #held(device: GuestDevice, lo: number, hi: number, access: number, cookie: number, fd: number): boolean {
    const { dma } = device;
    const { mayStall } = dma;
    dma.mayStall = true;
    const group = this.#p.hold!(dma, lo, hi, access);
    dma.mayStall = mayStall;
    if (group === NOT_HELD) return false;
    if (group < 0) this.#answer(fd, cookie, RESPONSE.invalid);
    else this.#waiting.push({ device, held: true, pasid: dma.pasid, group, cookie, fd });
    return true;
  }

  #request(
    device: GuestDevice,
    lo: number,
    hi: number,
    access: number,
    waiting: Waiting,
    last: boolean,
  ): void {
    // Answered maybe before pageRequest returns.
    device.requests.asked(waiting.group);
    if (last) this.#waiting.push(waiting);
    const { group, pasid } = waiting;
    const taken = this.#p.translator.pageRequest?.(device.dma, lo, hi, access, group, last);
    if (taken === undefined || taken !== 0) {
      device.requests.answered(group);
      this.respond(device, pasid, group, -1);
    }
  }

  /** The guest's answer to a group, with or without its PASID. */
  respond(device: GuestDevice, pasid: number, group: number, code: number): void {
    this.#end(
      this.#waiting.findIndex(
        (one) =>
          one.device === device &&
          !one.held &&
          one.group === group &&
          (pasid === NO_PASID || one.pasid === pasid),
      ),
      code === PAGE_RESPONSE_SUCCESS,
    );
  }

  /** The guest's word on a transaction that is held: try it again, or end it. */
  resume(device: GuestDevice, tag: number, retry: boolean): void {
    this.#end(
      this.#waiting.findIndex((one) => one.device === device && one.held && one.group === tag),
      retry,
    );
  }

  #end(at: number, success: boolean): void {
    const found = this.#waiting[at];
    if (found === undefined) return;
    this.#waiting.splice(at, 1);
    this.#answer(found.fd, found.cookie, success ? RESPONSE.success : RESPONSE.invalid);
  }

  #answer(fd: number, cookie: number, code: number): void {
    const { sys, data, view } = this.#calls;
    view.setUint32(data, cookie, true);
    view.setUint32(data + PAGE_RESPONSE.fields.code.at, code, true);
    const result = sys.write(fd, data, PAGE_RESPONSE.bytes);
    if (result < 0) this.#p.log.refused(this.#calls.refusal('write to the fault queue', result));
  }
}
