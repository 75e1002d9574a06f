import { EVENTQ_WIRE, PRIQ_WIRE } from '../../../viommu/smmuv3/interrupts.ts';
import { EVENT, EVENT_BYTES, PRI_BYTES, PRI_ENTRY } from '../../../viommu/spec/smmuv3/events.ts';
import {
  C_BAD_CD,
  C_BAD_STE,
  C_BAD_SUBSTREAMID,
  F_ACCESS,
  F_ADDR_SIZE,
  F_PERMISSION,
  F_STREAM_DISABLED,
  F_TRANSLATION,
} from '../../../viommu/spec/smmuv3/faults.ts';
import {
  EVENTQ_BASE,
  EVENTQ_CONS,
  EVENTQ_PROD,
  GERROR,
  GERRORN,
  PRIQ_BASE,
  PRIQ_CONS,
  PRIQ_PROD,
} from '../../../viommu/spec/smmuv3/registers.ts';
import type { PageRequest } from '../iommufd/driver.ts';
import { SMMU_EVENT_BYTES, VEVENTQ_SMMUV3 } from './abi.ts';
import type { PhysicalDevice } from './device.ts';
import { PageRequestGroups } from './page-request-groups.ts';
import { PAGE_BYTES } from './physical-memory.ts';
import { SmmuNestedDomain } from './smmu-domains.ts';
import { RESP_INVALID, RESP_SUCCESS, type SmmuQueue } from './smmu-queue.ts';
import type { PhysicalUnit } from './unit.ts';

/** log2 of entries: 8 KiB of events, 8 KiB of page requests. */
const EVENTS_LOG2 = 8;
const REQUESTS_LOG2 = 9;
/** PROD.OVFLG and CONS.OVACKFLG. */
const OVERFLOW = 0x80000000;
const INDEX_MASK = 0xfffff;
/** Permissions of a request in iommufd. */
const READ = 1;
const WRITE = 2;
const EXECUTE = 4;
const PRIVILEGED = 8;
/** Events that tell of what the owner of stage 1 did (Linux, drivers/iommu/arm/arm-smmu-v3: arm_smmu_handle_event). */
const FOR_USERS = new Set([
  C_BAD_STE,
  F_STREAM_DISABLED,
  C_BAD_SUBSTREAMID,
  C_BAD_CD,
  F_TRANSLATION,
  F_ADDR_SIZE,
  F_ACCESS,
  F_PERMISSION,
]);

export interface SmmuEventsOptions {
  /** IDR1.EVENTQS. */
  readonly eventsLog2: number;
  /** IDR1.PRIQS; undefined: no PRI queue. */
  readonly requestsLog2: number | undefined;
  readonly deviceOf: (sid: number) => PhysicalDevice | undefined;
}

/** A queue that the unit fills. */
class InputQueue {
  readonly #unit: PhysicalUnit;
  readonly #base: number;
  readonly #log2: number;
  readonly #bytes: number;
  readonly #prod: number;
  readonly #cons: number;

  /** Throws ENOMEM. */
  constructor(
    unit: PhysicalUnit,
    log2: number,
    bytes: number,
    at: { readonly base: number; readonly prod: number; readonly cons: number },
  ) {
    this.#unit = unit;
    this.#log2 = log2;
    this.#bytes = bytes;
    this.#prod = at.prod;
    this.#cons = at.cons;
    this.#base = unit.memory.pages.take(this.#pages);
    unit.writeWide(at.base, this.#base | log2, 0);
    unit.write(at.prod, 0);
    unit.write(at.cons, 0);
  }

  get #pages(): number {
    return Math.max(1, (this.#bytes << this.#log2) / PAGE_BYTES);
  }

  free(): void {
    this.#unit.memory.pages.give(this.#base, this.#pages);
  }

  /** Every entry that is there, by its place in memory; then it is consumed. An overflow is acknowledged. */
  drain(take: (word: number) => void): void {
    const unit = this.#unit;
    const wrap = (2 << this.#log2) - 1;
    for (;;) {
      const prod = unit.read(this.#prod);
      const cons = unit.read(this.#cons);
      if (((prod ^ cons) & wrap) === 0) {
        if (((prod ^ cons) & OVERFLOW) !== 0) unit.write(this.#cons, (prod & OVERFLOW) | (cons & INDEX_MASK));
        return;
      }
      const at = this.#base + (cons & ((1 << this.#log2) - 1)) * this.#bytes;
      take(at >>> 2);
      unit.write(this.#cons, (cons & OVERFLOW) | ((cons + 1) & wrap));
    }
  }
}

/** What the unit tells its host by interrupts: events, stalled transactions among them, and page requests. */
export class SmmuEvents {
  /** Events that nobody was told of. */
  unclaimed = 0;
  readonly #unit: PhysicalUnit;
  readonly #queue: SmmuQueue;
  readonly #deviceOf: (sid: number) => PhysicalDevice | undefined;
  readonly #events: InputQueue;
  readonly #requests: InputQueue | undefined;
  readonly #groups: PageRequestGroups;
  /** Requests that stand for a stalled transaction: their group is its tag. */
  readonly #stalls = new Set<PageRequest>();

  /** Throws ENOMEM. */
  constructor(unit: PhysicalUnit, queue: SmmuQueue, options: SmmuEventsOptions) {
    this.#unit = unit;
    this.#queue = queue;
    this.#deviceOf = options.deviceOf;
    this.#groups = new PageRequestGroups(options.deviceOf, (sid, pasid, group) =>
      this.#answer(sid, pasid, group, RESP_INVALID),
    );
    const { eventsLog2, requestsLog2 } = options;
    this.#events = new InputQueue(unit, Math.min(EVENTS_LOG2, eventsLog2), EVENT_BYTES, {
      base: EVENTQ_BASE.offset,
      prod: EVENTQ_PROD.offset,
      cons: EVENTQ_CONS.offset,
    });
    this.#requests =
      requestsLog2 === undefined
        ? undefined
        : new InputQueue(unit, Math.min(REQUESTS_LOG2, requestsLog2), PRI_BYTES, {
            base: PRIQ_BASE.offset,
            prod: PRIQ_PROD.offset,
            cons: PRIQ_CONS.offset,
          });
  }

  free(): void {
    this.#events.free();
    this.#requests?.free();
  }

  interrupt(wire: number): void {
    if (wire === EVENTQ_WIRE) this.#events.drain((word) => this.#event(word));
    else if (wire === PRIQ_WIRE) this.#requests?.drain((word) => this.#request(word));
    else this.#unit.write(GERRORN.offset, this.#unit.read(GERROR.offset));
  }

  respond(device: PhysicalDevice, request: PageRequest, success: boolean): void {
    if (this.#stalls.delete(request)) {
      this.#queue.resume(device.requester, request.group, success);
      this.#queue.sync();
    } else {
      const response = success ? RESP_SUCCESS : RESP_INVALID;
      this.#answer(device.requester, request.pasid, request.group, response);
    }
  }

  forget(device: PhysicalDevice, pasid: number): void {
    this.#groups.forget(device, pasid);
  }

  abandon(device: PhysicalDevice): void {
    this.#groups.abandon(device);
  }

  #event(word: number): void {
    const words = this.#unit.memory.ram.u32;
    const event = EVENT.decode(words, word);
    const device = this.#deviceOf(event.StreamID);
    const told =
      device !== undefined &&
      FOR_USERS.has(event.Type) &&
      (event.Stall === 1 ? this.#stalled(device, event) : event.S2 === 0 && this.#pass(device, word));
    if (told) return;
    this.unclaimed++;
    if (event.Stall === 0) return;
    this.#queue.resume(event.StreamID, event.STAG, false);
    this.#queue.sync();
  }

  /** A stalled transaction is a request for a page. False: nobody wants it, and it is aborted. */
  #stalled(device: PhysicalDevice, event: Record<keyof typeof EVENT.fields & string, number>): boolean {
    const request: PageRequest = {
      pasid: event.SSV === 1 ? event.SubstreamID : undefined,
      group: event.STAG,
      last: true,
      permissions: (event.RnW ? READ : WRITE) | (event.InD ? EXECUTE : 0) | (event.PnU ? PRIVILEGED : 0),
      address: (BigInt(event.InputAddr_HI) << 32n) | BigInt(event.InputAddr_LO),
    };
    this.#stalls.add(request);
    if (this.#groups.report(device, [request])) return true;
    this.#stalls.delete(request);
    return false;
  }

  /** An event of a nested stream goes to its user, under the StreamID that the user knows. */
  #pass(device: PhysicalDevice, word: number): boolean {
    const own = device.attached.get(0);
    if (!(own instanceof SmmuNestedDomain)) return false;
    const { viommu } = own;
    const sid = viommu.streamOf(device);
    if (sid === undefined || viommu.deliver === undefined) return false;
    const { u32 } = this.#unit.memory.ram;
    const record = new Uint32Array(u32.slice(word, word + SMMU_EVENT_BYTES / 4));
    record[1] = sid;
    viommu.deliver(VEVENTQ_SMMUV3, new Uint8Array(record.buffer));
    return true;
  }

  #request(word: number): void {
    const words = this.#unit.memory.ram.u32;
    const request = PRI_ENTRY.decode(words, word);
    // A stop marker ends a PASID's use; there is nothing to answer.
    if (request.R + request.W + request.X === 0 && request.Last === 1 && request.SSV === 1) return;
    this.#groups.add(request.StreamID, {
      pasid: request.SSV === 1 ? request.SubstreamID : undefined,
      group: request.PRGIndex,
      last: request.Last === 1,
      permissions:
        (request.R ? READ : 0) |
        (request.W ? WRITE : 0) |
        (request.X ? EXECUTE : 0) |
        (request.Priv ? PRIVILEGED : 0),
      address:
        (BigInt(words[word + 3] as number) << 32n) |
        BigInt(((words[word + 2] as number) & -PAGE_BYTES) >>> 0),
    });
  }

  #answer(sid: number, pasid: number | undefined, group: number, response: number): void {
    this.#queue.priResponse(sid, pasid, group, response);
    this.#queue.sync();
  }
}
