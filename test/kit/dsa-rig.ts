import type { Dsa } from '../../devices/ep/dsa/dsa.ts';
import { RETRY_NS } from '../../devices/ep/dsa/executor.ts';
import { DSA, type DsaConfig } from '../../devices/ep/dsa/kind.ts';
import { READ, WRITE } from '../../vmm/bus/dma.ts';
import { FakeIommu } from './ats-world.ts';
import { PciRig } from './pci-rig.ts';

const BAR0 = 0xe0000000;
const BAR2 = 0xe0100000;
/** Config space: PASID, ATS, PRI at 100h, 108h, 110h. */
const PASID_CONTROL = 0x106;
const ATS_CONTROL = 0x10e;
const PRI_CONTROL = 0x114;
const PRI_ALLOCATION = 0x11c;

const CMD = 0xa0;
const CMDSTS = 0xa8;

/** What a queue is set up as; PASID 5 unless said. */
export interface QueueSetup {
  readonly shared?: boolean;
  readonly size?: number;
  readonly threshold?: number;
  readonly pasid?: number;
  readonly blockOnFault?: boolean;
  readonly privileged?: boolean;
  readonly priority?: number;
  readonly maxTransfer?: number;
  readonly maxBatch?: number;
}

/** A descriptor by its parts; everything else is 0. */
export interface Parts {
  readonly op: number;
  readonly flags?: number;
  readonly pasid?: number;
  readonly privileged?: boolean;
  readonly cr?: number;
  readonly src?: number;
  readonly dst?: number;
  readonly size?: number;
  readonly handle?: number;
  /** Words 10 to 15. */
  readonly rest?: readonly number[];
}

/** Where completion records go in tests, in the process's addresses. */
export const CR = 0x8000;
/** Completion record address valid, and a record wanted. */
export const WITH_RECORD = 0xc;

/** Operations of descriptors. */
export const NOOP = 0;
export const BATCH = 1;
export const DRAIN = 2;
export const MEMMOVE = 3;
export const FILL = 4;
export const COMPARE = 5;
export const COMPARE_PATTERN = 6;
export const CREATE_DELTA = 7;
export const APPLY_DELTA = 8;
export const DUALCAST = 9;
export const CRC = 0x10;
export const COPY_CRC = 0x11;
export const CACHE_FLUSH = 0x20;
/** A record wanted, and Block On Fault. */
export const BLOCK = WITH_RECORD | 2;

/** An accelerator on a rig whose IOMMU is a list of pages: addresses are mapped one to one unless a test says otherwise. */
export class DsaRig {
  readonly iommu = new FakeIommu();
  readonly rig = new PciRig(this.iommu);
  readonly plugged;
  readonly dsa: Dsa;
  /** Where the registers and the portals are that the methods speak to. */
  registers = BAR0;
  portals = BAR2;

  constructor(config: Partial<DsaConfig> = {}) {
    this.plugged = this.rig.plug(DSA, { device: 2, config });
    this.dsa = this.plugged.device as Dsa;
    const { fn } = this.plugged;
    fn.configWrite(0x10, 4, BAR0);
    fn.configWrite(0x18, 4, BAR2);
    fn.configWrite(0x04, 2, 6);
    fn.configWrite(PASID_CONTROL, 2, 1 | 4);
    fn.configWrite(ATS_CONTROL, 2, 0x8000);
    fn.configWrite(PRI_ALLOCATION, 4, 32);
    fn.configWrite(PRI_CONTROL, 2, 1);
  }

  read(offset: number): number {
    return this.rig.mmio.read(this.registers + offset, 4);
  }

  write(offset: number, value: number): void {
    this.rig.mmio.write(this.registers + offset, 4, value >>> 0, 0);
  }

  /** Runs a command; returns CMDSTS. */
  command(command: number, operand = 0): number {
    this.write(CMD, (command << 20) | operand);
    return this.read(CMDSTS);
  }

  map(page: number, to = page, { pasid = 5, access = READ | WRITE } = {}): void {
    this.iommu.pages.push({ pasid, at: page, to, access });
  }

  mapAll(pasid = 5): void {
    this.iommu.pages.push({ pasid, at: 0, to: 0, bytes: 1 << 20, access: READ | WRITE });
  }

  /** Puts queues 0, 1, ... and all four engines into group 0, then enables device and queues. */
  start(...queues: QueueSetup[]): void {
    this.configure(...queues);
    this.command(1);
    for (const [wq] of queues.entries()) this.command(6, wq);
  }

  configure(...queues: QueueSetup[]): void {
    this.write(0x200, (1 << queues.length) - 1);
    this.write(0x220, 0xf);
    for (const [wq, q] of queues.entries()) {
      const at = 0x400 + wq * 32;
      this.write(at, q.size ?? 16);
      this.write(at + 4, q.threshold ?? 0);
      const mode = (q.shared ? 0 : 1) | (q.blockOnFault ? 2 : 0) | ((q.priority ?? 10) << 4);
      this.write(at + 8, mode | ((q.pasid ?? 5) << 8) | (1 << 28) | (q.privileged ? 1 << 29 : 0));
      this.write(at + 12, (q.maxTransfer ?? 20) | ((q.maxBatch ?? 6) << 5));
    }
  }

  words(p: Parts): Uint32Array {
    const words = new Uint32Array(16);
    words[0] = (p.pasid ?? 0) | (p.privileged ? 0x80000000 : 0);
    words[1] = ((p.op << 24) | (p.flags ?? WITH_RECORD)) >>> 0;
    words[2] = p.cr ?? CR;
    words[4] = p.src ?? 0;
    words[6] = p.dst ?? 0;
    words[8] = p.size ?? 0;
    words[9] = p.handle ?? 0;
    for (const [i, w] of (p.rest ?? []).entries()) words[10 + i] = w;
    return words;
  }

  /** By MOVDIR64B to the unlimited portal of a dedicated queue. */
  submit(parts: Parts, wq = 0): number {
    return this.rig.mmio.line(this.portals + wq * 0x4000, this.words(parts), false);
  }

  /** By ENQCMD to a portal of a shared queue: 0 taken, 1 retry, 2 refused. */
  enqueue(parts: Parts, { wq = 0, limited = false } = {}): number {
    const portal = this.portals + wq * 0x4000 + (limited ? 0x1000 : 0);
    return this.rig.mmio.line(portal, this.words(parts), true);
  }

  /** A descriptor in memory, for a batch. */
  put(at: number, parts: Parts): void {
    this.rig.ram.u8.set(new Uint8Array(this.words(parts).buffer), at);
  }

  bytes(at: number, n: number): number[] {
    return [...this.rig.ram.u8.subarray(at, at + n)];
  }

  fill(at: number, values: readonly number[]): void {
    this.rig.ram.u8.set(values, at);
  }

  /** The completion record: status, result, bytes completed, fault address, word at 16. */
  record(at = CR) {
    const w = new Uint32Array(this.rig.ram.u8.slice(at, at + 32).buffer);
    return {
      status: w[0]! & 0xff,
      result: (w[0]! >>> 8) & 0xff,
      bytes: w[1]!,
      fault: w[2]!,
      specific: w[4]!,
    };
  }

  /** The page requests that were sent: address and group. */
  get pageRequests(): string[] {
    return this.iommu.seen.filter((s) => s.startsWith('page request'));
  }

  /** Lets engines go on whose requests were answered. */
  settle(): void {
    this.rig.clock.advanceTo(this.rig.clock.now + RETRY_NS);
  }

  respond(group: number, code = 0, pasid = 5): void {
    this.dsa.agent.pageResponse(pasid, group, code);
    this.settle();
  }
}

/** Queue 0, dedicated, with PASID 5 and Block On Fault, and all pages are there. */
export function started(): DsaRig {
  const rig = new DsaRig();
  rig.mapAll();
  rig.start({ blockOnFault: true });
  return rig;
}
