import { CAP } from '../../../viommu/spec/vtd/capabilities.ts';
import { PAGE_REQUEST_BYTES, PAGE_REQUEST_DESCRIPTOR } from '../../../viommu/spec/vtd/descriptors.ts';
import { FAULT_REGISTERS, FRCD_BYTES, FSTS, PQA, PQH, PQT, PRS } from '../../../viommu/spec/vtd/registers.ts';
import { PAGE_RESPONSE_INVALID, PAGE_RESPONSE_SUCCESS } from '../../bus/dma.ts';
import type { PageRequest } from '../iommufd/driver.ts';
import type { PhysicalDevice } from './device.ts';
import { PageRequestGroups } from './page-request-groups.ts';
import { PAGE_BYTES } from './physical-memory.ts';
import type { PhysicalUnit } from './unit.ts';
import type { VtdQueue } from './vtd-queue.ts';

/** 4 pages of page requests. */
const QUEUE_ORDER = 2;
const QUEUE_BYTES = PAGE_BYTES << QUEUE_ORDER;
/** Of PRS: pending, overflow. */
const PPR = 1;
const PRO = 2;
/** Of FSTS: overflow, pending. */
const PFO = 1;
const PPF = 2;
/** Of the last word of a fault record. */
const F = 0x80000000;
/** Permissions of a request in iommufd. */
const READ = 1;
const WRITE = 2;
const EXECUTE = 4;
const PRIVILEGED = 8;

/** What the unit tells its host by interrupts: fault records and page requests. */
export class VtdFaults {
  /** Fault records taken out of the unit. */
  recorded = 0;
  readonly #unit: PhysicalUnit;
  readonly #queue: VtdQueue;
  readonly #base: number;
  readonly #groups: PageRequestGroups;

  /** Throws ENOMEM. @param pageRequests the unit takes them */
  constructor(
    unit: PhysicalUnit,
    queue: VtdQueue,
    pageRequests: boolean,
    deviceOf: (requester: number) => PhysicalDevice | undefined,
  ) {
    this.#unit = unit;
    this.#queue = queue;
    this.#groups = new PageRequestGroups(deviceOf, (requester, pasid, group) =>
      this.#answer(requester, pasid, group, PAGE_RESPONSE_INVALID),
    );
    this.#base = pageRequests ? unit.memory.pages.take(1 << QUEUE_ORDER) : 0;
    if (!pageRequests) return;
    unit.writeWide(PQA.offset, this.#base | QUEUE_ORDER, 0);
    unit.writeWide(PQH.offset, 0, 0);
    unit.writeWide(PQT.offset, 0, 0);
  }

  free(): void {
    if (this.#base !== 0) this.#unit.memory.pages.give(this.#base, 1 << QUEUE_ORDER);
  }

  interrupt(pages: boolean): void {
    if (pages) this.#pageRequests();
    else this.#faultRecords();
  }

  respond(device: PhysicalDevice, { pasid, group }: PageRequest, success: boolean): void {
    this.#answer(device.requester, pasid, group, success ? PAGE_RESPONSE_SUCCESS : PAGE_RESPONSE_INVALID);
  }

  /** Requests of the PASID that are not complete are nobody's any more. */
  forget(device: PhysicalDevice, pasid: number): void {
    this.#groups.forget(device, pasid);
  }

  abandon(device: PhysicalDevice): void {
    this.#groups.abandon(device);
  }

  /** VT-d: Fault Recording: read, then cleared, in the order in which they were recorded. */
  #faultRecords(): void {
    const unit = this.#unit;
    const records = CAP.get.NFR(Uint32Array.of(unit.read(CAP.offset), unit.read(CAP.offset + 4)), 0) + 1;
    const first = (unit.read(FSTS.offset) >>> 8) & 0xff;
    for (let n = 0; n < records; n++) {
      const at = FAULT_REGISTERS + ((first + n) % records) * FRCD_BYTES + 12;
      if ((unit.read(at) & F) === 0) continue;
      this.recorded++;
      unit.write(at, F);
    }
    this.#queue.timedOut();
    const status = unit.read(FSTS.offset);
    unit.write(FSTS.offset, status & ~PPF & (PFO | 0x70));
  }

  /** Pending is cleared before the queue is read: a request that comes in between raises the interrupt again. */
  #pageRequests(): void {
    const unit = this.#unit;
    unit.write(PRS.offset, PPR);
    const words = unit.memory.ram.u32;
    for (;;) {
      const head = unit.read(PQH.offset);
      if (head === unit.read(PQT.offset)) break;
      const request = PAGE_REQUEST_DESCRIPTOR.decode(words, (this.#base + head) >>> 2);
      const addressLo = words[((this.#base + head) >>> 2) + 2] as number;
      const addressHi = words[((this.#base + head) >>> 2) + 3] as number;
      unit.writeWide(PQH.offset, (head + PAGE_REQUEST_BYTES) & (QUEUE_BYTES - 1), 0);
      const permissions =
        (request.R ? READ : 0) |
        (request.W ? WRITE : 0) |
        (request.EXE ? EXECUTE : 0) |
        (request.PRIV ? PRIVILEGED : 0);
      // A stop marker ends a PASID's use; there is nothing to answer.
      if (request.R + request.W === 0 && request.LPIG === 1 && request.PP === 1) continue;
      this.#groups.add(request.RID, {
        pasid: request.PP === 1 ? request.PASID : undefined,
        group: request.PRGI,
        last: request.LPIG === 1,
        permissions,
        address: (BigInt(addressHi) << 32n) | BigInt((addressLo & -PAGE_BYTES) >>> 0),
      });
    }
    // Whoever was refused asks again.
    if ((unit.read(PRS.offset) & PRO) !== 0) unit.write(PRS.offset, PRO);
  }

  #answer(requester: number, pasid: number | undefined, group: number, code: number): void {
    this.#queue.pageResponse(requester, pasid, group, code);
    this.#queue.wait();
  }
}
