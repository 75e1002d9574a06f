import type { MmioBus, MmioHandler } from '../../vmm/bus/mmio.ts';
import type { Emitter } from '../../vmm/trace/event.ts';
import { ANY, WHOLE } from '../port/vtd.ts';
import {
  CCMD,
  FAULT_REGISTERS,
  FECTL,
  FRCD_BYTES,
  FSTS,
  GCMD,
  GSTS,
  ICS,
  IECTL,
  IOTLB,
  IQH,
  IQT,
  IVA,
  PECTL,
  PMEN,
  PQH,
  PRS,
} from '../spec/vtd/registers.ts';
import { ANNOUNCES_CONTEXTS, ANNOUNCES_FUNCTIONS, ANNOUNCES_NONE, type Announcements } from './announce.ts';
import { FUNCTION_MASK, type RemappingCaches } from './caches.ts';
import { unitCapabilities } from './capabilities.ts';
import type { GlobalCommands } from './commands.ts';
import { MAMV } from './config.ts';
import type { EventInterrupt } from './events.ts';
import { type FaultLog, IQE, ITE } from './faults.ts';
import type { PageRequests } from './page-requests.ts';
import { DESCRIPTOR_NS, type InvalidationQueue } from './queue.ts';
import type { VtdState } from './state.ts';
import type { VtdWiring } from './wiring.ts';

const QIES = 0x04000000;
const BUSY = 0x80000000;
const EPM = 0x80000000;
const RTTM = 0xc00;
const GSTS_WORD = GSTS.offset / 4;

/** What a write does beside storing. */
const EFFECT = {
  none: 0,
  absent: 1,
  command: 2,
  writeOnly: 3,
  context: 4,
  iotlb: 5,
  faultStatus: 6,
  faultControl: 7,
  invalidationControl: 8,
  completion: 9,
  tail: 10,
  protection: 11,
  faultRecord: 12,
  pageStatus: 13,
  pageControl: 14,
} as const;

export const CONTEXT_EVENT = 'ccmd';
export const IOTLB_EVENT = 'iotlb';

export interface RegisterFileParts {
  readonly caches: RemappingCaches;
  readonly faults: FaultLog;
  readonly faultEvent: EventInterrupt;
  readonly invalidationEvent: EventInterrupt;
  readonly queue: InvalidationQueue;
  readonly commands: GlobalCommands;
  readonly announce: Announcements;
  readonly pages: PageRequests;
  readonly pageEvent: EventInterrupt;
}

/**
 * The register page. Registers are made of 32-bit words; an aligned 64-bit access is its two halves, low one first, so a
 * command bit in the upper half acts last. Accesses the specification leaves undefined (narrower, unaligned): reads give
 * the bytes that are there, writes are ignored.
 */
export class RegisterFile implements MmioHandler {
  readonly #s: VtdState;
  readonly #w: VtdWiring;
  readonly #p: RegisterFileParts;
  readonly #readEvent: Emitter;
  readonly #writeEvent: Emitter;
  /** By dword: what a write does beside storing. */
  readonly #effects: Uint8Array;

  constructor(s: VtdState, w: VtdWiring, parts: RegisterFileParts) {
    this.#s = s;
    this.#w = w;
    this.#p = parts;
    this.#readEvent = w.trace.vtd_reg_read;
    this.#writeEvent = w.trace.vtd_reg_write;
    this.#effects = effects(s.regs.length, w.config);
  }

  read(offset: number, size: number, bus: MmioBus): number {
    const whole = size === 4 && (offset & 3) === 0;
    const lo = whole ? this.#w.block.read32(this.#s.regs, offset) : this.#readOther(offset, size, bus);
    const event = this.#readEvent;
    if (event.on) event.emit(offset, size, lo >>> 0, size === 8 ? bus.hi : 0);
    return lo | 0;
  }

  #readOther(offset: number, size: number, bus: MmioBus): number {
    const block = this.#w.block;
    const regs = this.#s.regs;
    const first = offset & ~3;
    let lo = block.read32(regs, first);
    const shift = (offset & 3) * 8;
    if (shift !== 0) lo = (lo >>> shift) | (block.read32(regs, first + 4) << (32 - shift));
    if (size === 8) {
      const next = block.read32(regs, first + 4);
      const last = shift === 0 ? 0 : block.read32(regs, first + 8) << (32 - shift);
      bus.hi = (next >>> shift) | last;
    }
    return size === 1 ? lo & 0xff : size === 2 ? lo & 0xffff : lo;
  }

  write(offset: number, size: number, lo: number, hi: number): void {
    const event = this.#writeEvent;
    if (event.on) event.emit(offset, size, lo, hi);
    if (size < 4 || (offset & 3) !== 0) return;
    this.#write32(offset, lo | 0);
    if (size === 8) this.#write32(offset + 4, hi | 0);
  }

  #write32(offset: number, value: number): void {
    const effect = this.#effects[offset >>> 2]!;
    if (effect === 0) this.#w.block.write32(this.#s.regs, offset, value);
    else this.#writeSpecial(effect, offset, value);
  }

  #writeSpecial(effect: number, offset: number, value: number): void {
    if (effect === EFFECT.absent) return;
    if (effect === EFFECT.command) {
      this.#p.commands.write(value >>> 0);
      return;
    }
    this.#keepWriteOnly(offset, value);
    this.#w.block.write32(this.#s.regs, offset, value);
    this.#written(effect, offset);
  }

  /** Write-only fields: kept for the command that follows, never read back. */
  #keepWriteOnly(offset: number, value: number): void {
    const register = (offset & ~7) === IVA.offset ? IVA : (offset & ~7) === CCMD.offset ? CCMD : undefined;
    if (register === undefined) return;
    const mask = register.mask((offset >>> 2) & 1, 'wo');
    this.#s.regs[offset >>> 2] = (this.#s.regs[offset >>> 2]! & ~mask) | (value & mask);
  }

  #written(effect: number, offset: number): void {
    const regs = this.#s.regs;
    switch (effect) {
      case EFFECT.context:
        if ((regs[offset >>> 2]! & BUSY) !== 0) this.#start(CONTEXT_EVENT);
        return;
      case EFFECT.iotlb:
        if ((regs[offset >>> 2]! & BUSY) !== 0) this.#start(IOTLB_EVENT);
        return;
      case EFFECT.faultStatus:
        this.#statusWritten();
        return;
      case EFFECT.faultControl:
        this.#p.faultEvent.unmasked();
        return;
      case EFFECT.invalidationControl:
        this.#p.invalidationEvent.unmasked();
        return;
      case EFFECT.completion:
        if ((regs[offset >>> 2]! & 1) === 0) this.#p.invalidationEvent.serviced();
        return;
      case EFFECT.tail:
        this.#p.queue.kick();
        return;
      case EFFECT.protection:
        this.#protectionWritten();
        return;
      case EFFECT.faultRecord:
        this.#p.faults.update();
        return;
      case EFFECT.pageStatus:
        this.#p.pages.statusWritten();
        return;
      case EFFECT.pageControl:
        this.#p.pageEvent.unmasked();
    }
  }

  /** Errors that stopped the queue and are cleared now let it go on from its head. */
  #statusWritten(): void {
    this.#p.faults.update();
    // docs/deviations.md: vtd-queue-error-cleared.
    if (this.#w.config.profile === 'qemu') return;
    if ((this.#s.regs[FSTS.offset / 4]! & (IQE | ITE)) === 0) this.#p.queue.kick();
  }

  #protectionWritten(): void {
    const regs = this.#s.regs;
    const word = PMEN.offset / 4;
    regs[word] = (regs[word]! & EPM) !== 0 ? EPM | 1 : 0;
    this.#p.caches.forgetRequesters();
  }

  #start(event: string): void {
    const { config, services } = this.#w;
    if (config.invalidation === 'immediate') this.complete(event);
    else services.clock.after(DESCRIPTOR_NS, services.id, event);
  }

  /** Ends a register-based invalidation: in the trap, or when the virtual clock says so. */
  complete(event: string): void {
    if (event === CONTEXT_EVENT) this.#contextCommand();
    else this.#iotlbCommand();
  }

  /**
   * Register-based invalidation while the queue is enabled, or outside legacy mode, is undefined or not offered: it is
   * ignored and an actual granularity of 0 says so (VT-d: Context Command Register, IOTLB Invalidate Register).
   */
  #refused(): boolean {
    return (this.#s.regs[GSTS_WORD]! & QIES) !== 0 || (this.#s.rootLo & RTTM) !== 0;
  }

  #contextCommand(): void {
    const regs = this.#s.regs;
    const word = CCMD.offset / 4;
    const lo = regs[word]!;
    const granularity = (regs[word + 1]! >>> 29) & 3;
    const done = granularity === 2 && this.#w.config.profile === 'qemu' ? 1 : granularity;
    const actual = this.#refused() ? 0 : done;
    this.#traceCommand('context', granularity, lo & 0xffff);
    if (actual === 1) this.#p.caches.contextGlobal();
    else if (actual === 2) this.#p.caches.contextDomain(lo & 0xffff);
    else if (actual === 3) this.#p.caches.contextDevice(lo >>> 16, regs[word + 1]! & 3);
    regs[word + 1] = (regs[word + 1]! & 0x67ffffff) | (actual << 27);
    const free = FUNCTION_MASK[regs[word + 1]! & 3]!;
    const { to } = this.#w.forward;
    if (to !== null && actual === 3) to.contextsChanged((lo >>> 16) & ~free, free);
    else if (to !== null && actual !== 0) to.contextsChanged(0, 0xffff);
    if (actual === 0 || !this.#p.announce.on) return;
    if (actual === 1) this.#p.announce.told('context', ANNOUNCES_CONTEXTS, 0, 0);
    else if (actual === 2) this.#p.announce.told('context', ANNOUNCES_NONE, 0, 0);
    else this.#p.announce.told('context', ANNOUNCES_FUNCTIONS, (lo >>> 16) & ~free, free);
  }

  #iotlbCommand(): void {
    const regs = this.#s.regs;
    const word = IOTLB.offset / 4;
    const hi = regs[word + 1]!;
    const did = hi & 0xffff;
    const granularity = (hi >>> 28) & 3;
    const address = regs[IVA.offset / 4]!;
    const order = address & 0x3f;
    const actual = this.#refused() || (granularity === 3 && order > MAMV) ? 0 : granularity;
    this.#traceCommand('iotlb', granularity, did);
    if (actual === 1) this.#p.caches.iotlbGlobal();
    else if (actual === 2) this.#p.caches.iotlbDomain(did);
    else if (actual === 3) {
      this.#p.caches.iotlbPages(did, address, regs[IVA.offset / 4 + 1]!, order, (address & 0x40) !== 0);
    }
    regs[word + 1] = (hi & 0x79ffffff) | (actual << 25);
    const { to } = this.#w.forward;
    if (to !== null && actual === 3)
      to.domainInvalidated(
        did,
        address & -4096,
        regs[IVA.offset / 4 + 1]! | 0,
        order,
        (address & 0x40) !== 0,
      );
    else if (to !== null && actual !== 0) to.domainInvalidated(actual === 1 ? ANY : did, 0, 0, WHOLE, false);
    to?.sync();
    if (actual !== 0 && this.#p.announce.on) this.#p.announce.told('iotlb', ANNOUNCES_NONE, 0, 0);
  }

  #traceCommand(kind: string, granularity: number, did: number): void {
    const event = this.#w.trace.vtd_inv_register;
    if (event.on) event.emit(kind, granularity, did);
  }
}

/** What each dword's writes do; dwords beyond the block do nothing. */
function effects(words: number, config: VtdWiring['config']): Uint8Array {
  const table = new Uint8Array(words);
  const set = (offset: number, effect: number) => {
    table[offset >>> 2] = effect;
  };
  // Without CAP.PLMR and CAP.PHMR these registers are not there.
  if (!config['protected-memory']) table.fill(EFFECT.absent, PMEN.offset >>> 2, IQH.offset >>> 2);
  else set(PMEN.offset, EFFECT.protection);
  if (!unitCapabilities(config).pageRequests) table.fill(EFFECT.absent, PQH.offset >>> 2, IVA.offset >>> 2);
  else {
    set(PRS.offset, EFFECT.pageStatus);
    set(PECTL.offset, EFFECT.pageControl);
  }
  set(GCMD.offset, EFFECT.command);
  for (const { offset } of [CCMD, IVA]) for (const at of [offset, offset + 4]) set(at, EFFECT.writeOnly);
  set(CCMD.offset + 4, EFFECT.context);
  set(IOTLB.offset + 4, EFFECT.iotlb);
  set(FSTS.offset, EFFECT.faultStatus);
  set(FECTL.offset, EFFECT.faultControl);
  set(IECTL.offset, EFFECT.invalidationControl);
  set(ICS.offset, EFFECT.completion);
  set(IQT.offset, EFFECT.tail);
  const end = FAULT_REGISTERS + config['fault-records'] * FRCD_BYTES;
  table.fill(EFFECT.faultRecord, FAULT_REGISTERS >>> 2, end >>> 2);
  return table;
}
