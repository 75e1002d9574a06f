import type { MmioBus, MmioHandler } from '../../vmm/bus/mmio.ts';
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
  PMEN,
} from '../spec/vtd/registers.ts';
import type { RemappingCaches } from './caches.ts';
import type { GlobalCommands } from './commands.ts';
import { MAMV } from './config.ts';
import type { EventInterrupt } from './events.ts';
import { type FaultLog, IQE, ITE } from './faults.ts';
import { type Announce, DESCRIPTOR_NS, type InvalidationQueue } from './queue.ts';
import type { VtdState } from './state.ts';
import type { VtdWiring } from './wiring.ts';

const QIES = 0x04000000;
const BUSY = 0x80000000;
const EPM = 0x80000000;
const RTTM = 0xc00;
const GSTS_WORD = GSTS.offset / 4;

export const CONTEXT_EVENT = 'ccmd';
export const IOTLB_EVENT = 'iotlb';

export interface RegisterFileParts {
  readonly caches: RemappingCaches;
  readonly faults: FaultLog;
  readonly faultEvent: EventInterrupt;
  readonly invalidationEvent: EventInterrupt;
  readonly queue: InvalidationQueue;
  readonly commands: GlobalCommands;
  readonly announce: { on: boolean; told: Announce };
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
  readonly #faultEnd: number;

  constructor(s: VtdState, w: VtdWiring, parts: RegisterFileParts) {
    this.#s = s;
    this.#w = w;
    this.#p = parts;
    this.#faultEnd = FAULT_REGISTERS + w.config['fault-records'] * FRCD_BYTES;
  }

  read(offset: number, size: number, bus: MmioBus): number {
    const block = this.#w.block;
    const regs = this.#s.regs;
    bus.hi = 0;
    let lo = block.read32(regs, offset & ~3);
    const shift = (offset & 3) * 8;
    if (size < 4 || shift !== 0) {
      const upper = shift === 0 ? 0 : block.read32(regs, (offset & ~3) + 4) << (32 - shift);
      lo = (lo >>> shift) | upper;
      if (size < 4) lo &= size === 1 ? 0xff : 0xffff;
    }
    if (size === 8) {
      const next = block.read32(regs, (offset & ~3) + 4);
      const last = shift === 0 ? 0 : block.read32(regs, (offset & ~3) + 8) << (32 - shift);
      bus.hi = (next >>> shift) | last;
    }
    const event = this.#w.trace.vtd_reg_read;
    if (event.on) event.emit(offset, size, lo >>> 0, bus.hi);
    return lo | 0;
  }

  write(offset: number, size: number, lo: number, hi: number): void {
    const event = this.#w.trace.vtd_reg_write;
    if (event.on) event.emit(offset, size, lo, hi);
    if (size < 4 || (offset & 3) !== 0) return;
    this.#write32(offset, lo);
    if (size === 8) this.#write32(offset + 4, hi);
  }

  #write32(offset: number, value: number): void {
    if (offset === GCMD.offset) {
      this.#p.commands.write(value);
      return;
    }
    this.#keepWriteOnly(offset, value);
    // Without CAP.PLMR and CAP.PHMR these registers are not there.
    if (offset >= PMEN.offset && offset < IQH.offset && !this.#w.config['protected-memory']) return;
    this.#w.block.write32(this.#s.regs, offset, value);
    this.#written(offset);
  }

  /** Write-only fields: kept for the command that follows, never read back. */
  #keepWriteOnly(offset: number, value: number): void {
    const register = (offset & ~7) === IVA.offset ? IVA : (offset & ~7) === CCMD.offset ? CCMD : undefined;
    if (register === undefined) return;
    const mask = register.mask((offset >>> 2) & 1, 'wo');
    this.#s.regs[offset >>> 2] = (this.#s.regs[offset >>> 2]! & ~mask) | (value & mask);
  }

  #written(offset: number): void {
    const regs = this.#s.regs;
    switch (offset) {
      case CCMD.offset + 4:
        if ((regs[offset >>> 2]! & BUSY) !== 0) this.#start(CONTEXT_EVENT);
        return;
      case IOTLB.offset + 4:
        if ((regs[offset >>> 2]! & BUSY) !== 0) this.#start(IOTLB_EVENT);
        return;
      case FSTS.offset:
        this.#statusWritten();
        return;
      case FECTL.offset:
        this.#p.faultEvent.unmasked();
        return;
      case IECTL.offset:
        this.#p.invalidationEvent.unmasked();
        return;
      case ICS.offset:
        if ((regs[offset >>> 2]! & 1) === 0) this.#p.invalidationEvent.serviced();
        return;
      case IQT.offset:
        this.#p.queue.kick();
        return;
      case PMEN.offset:
        this.#protectionWritten();
        return;
      default:
        if (offset >= FAULT_REGISTERS && offset < this.#faultEnd) this.#p.faults.update();
    }
  }

  /** Errors that stopped the queue and are cleared now let it go on from its head. */
  #statusWritten(): void {
    this.#p.faults.update();
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
    if (actual !== 0 && this.#p.announce.on) this.#p.announce.told('context');
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
    if (actual !== 0 && this.#p.announce.on) this.#p.announce.told('iotlb');
  }

  #traceCommand(kind: string, granularity: number, did: number): void {
    const event = this.#w.trace.vtd_inv_register;
    if (event.on) event.emit(kind, granularity, did);
  }
}
