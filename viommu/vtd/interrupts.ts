import { AT_UNTRANSLATED, DMA_OK, DMA_UR, type DmaPort, NO_PASID } from '../../vmm/bus/dma.ts';
import { deliverCompatible } from '../../vmm/bus/interrupts.ts';
import {
  IR_COMPATIBILITY,
  IR_INDEX,
  IR_INVALID_REQUEST,
  IR_NOT_PRESENT,
  IR_READ_ERROR,
  IR_REQUEST_RESERVED,
  IR_RESERVED,
  IR_SOURCE,
  LGN_INTERRUPT,
} from '../spec/vtd/faults.ts';
import { GSTS } from '../spec/vtd/registers.ts';
import { FROM_CACHE, FROM_MEMORY, NOT_READ } from '../watch/entry-steps.ts';
import { ALL_ENTRIES, type RemappingCaches } from './caches.ts';
import type { VtdState } from './state.ts';
import type { VtdWiring } from './wiring.ts';

const TES = 0x80000000;
const IRES = 0x02000000;
const CFIS = 0x00800000;
const GSTS_WORD = GSTS.offset / 4;

const EIME = 0x800;
const IRTE_P = 1;
const IRTE_FPD = 2;
/** Bits 14:12 and 31:24, and IM (15), which is reserved without CAP.PI. */
const IRTE_RESERVED_0 = 0xff00f000;
/** Destination bits that only extended interrupt mode has. */
const IRTE_RESERVED_DST = 0xffff00ff;
const IRTE_RESERVED_2 = 0xfff00000;

/** Requester-id bits that SQ leaves out of the comparison. */
const QUALIFIER = [0xffff, 0xfffb, 0xfff9, 0xfff8] as const;

/** What the last interrupt request read, for explanations. */
export interface InterruptRecord {
  index: number;
  source: number;
  address: number;
  upper: number;
  readonly entry: Uint32Array;
}

export type InterruptFaultSink = (port: DmaPort, code: number, index: number, address: number) => void;

/** Interrupt remapping (VT-d: Interrupt Remapping). */
export class InterruptRemapper {
  readonly record: InterruptRecord = {
    index: 0,
    source: NOT_READ,
    address: 0,
    upper: 0,
    entry: new Uint32Array(4),
  };
  readonly #s: VtdState;
  readonly #w: VtdWiring;
  readonly #caches: RemappingCaches;
  readonly #onFault: InterruptFaultSink;
  readonly #sawEntry: (address: number) => void;
  readonly #keepsAbsent: boolean;
  readonly #keeps: boolean;

  constructor(
    s: VtdState,
    w: VtdWiring,
    caches: RemappingCaches,
    onFault: InterruptFaultSink,
    sawEntry: (address: number) => void,
  ) {
    this.#s = s;
    this.#w = w;
    this.#caches = caches;
    this.#onFault = onFault;
    this.#sawEntry = sawEntry;
    this.#keeps = w.config.cache !== 'none';
    this.#keepsAbsent = this.#keeps && w.config['caching-mode'];
  }

  /** DmaTranslator.message: a write of `length` bytes to FEEx_xxxxh. */
  message(port: DmaPort, lo: number, data: number, length: number): number {
    const status = this.#s.regs[GSTS_WORD]!;
    this.record.source = NOT_READ;
    if (length !== 4 || port.pasid !== NO_PASID || port.at !== AT_UNTRANSLATED) {
      if ((status & TES) !== 0) return this.#fault(port, LGN_INTERRUPT, 0, lo);
      return (status & IRES) !== 0 ? this.#fault(port, IR_INVALID_REQUEST, 0, lo) : DMA_UR;
    }
    if ((status & IRES) === 0) return this.#passes(lo, data);
    if ((lo & 0x10) === 0) {
      const open = (status & CFIS) !== 0 && (this.#s.irtaLo & EIME) === 0;
      return open ? this.#passes(lo, data) : this.#fault(port, IR_COMPATIBILITY, 0, lo);
    }
    return this.#remap(port, lo, data);
  }

  #passes(lo: number, data: number): number {
    deliverCompatible(this.#w.services.interrupts, lo, data);
    return DMA_OK;
  }

  #remap(port: DmaPort, lo: number, data: number): number {
    const withSubhandle = (lo & 8) !== 0;
    const handle = ((lo >>> 5) & 0x7fff) | ((lo & 4) << 13);
    const index = handle + (withSubhandle ? data & 0xffff : 0);
    this.record.index = index;
    // An I/O APIC's data is not a message with a subhandle: only 15:0 exist.
    if (data >>> 16 !== 0) return this.#fault(port, IR_REQUEST_RESERVED, index, lo);
    if (index >= 2 << (this.#s.irtaLo & 0xf)) return this.#fault(port, IR_INDEX, index, lo);
    const code = this.entry(index, true) || this.#check(port);
    return code === 0 ? this.#deliver(port, index) : this.#fault(port, code, index, lo);
  }

  /** Caches the entry beside the one that the last request read. */
  fetchAhead(): void {
    const beside = this.record.index ^ 1;
    if (this.record.source !== NOT_READ && beside < 2 << (this.#s.irtaLo & 0xf)) this.entry(beside, true);
  }

  /** Leaves the IRTE of `index` in record.entry, cached or fetched. Returns 0 or IR_READ_ERROR. */
  entry(index: number, live: boolean): number {
    const record = this.record;
    const cache = this.#caches.interrupts;
    const r = cache.find(index);
    if (r >= 0) {
      record.source = FROM_CACHE;
      for (let i = 0; i < 4; i++) record.entry[i] = cache.rows[r + 2 + i]!;
      return 0;
    }
    const memory = this.#w.services.memory.ram;
    const at = (this.#s.irtaLo & 0xfffff000) + index * 16;
    record.address = at;
    record.upper = this.#s.irtaHi;
    const place = at > 0xffffffff ? -1 : memory.locate(at, this.#s.irtaHi, 16);
    if (place < 0) return IR_READ_ERROR;
    for (let i = 0; i < 4; i++) record.entry[i] = memory.u32[(place >>> 2) + i]!;
    record.source = FROM_MEMORY;
    if (live) {
      if (this.#s.irtaHi === 0) this.#sawEntry(at);
      this.#keep(index);
    }
    return 0;
  }

  #keep(index: number): void {
    const e = this.record.entry;
    const good = (e[0]! & IRTE_P) !== 0 && !this.#reserved();
    if (good ? this.#keeps : this.#keepsAbsent) {
      this.#caches.interrupts.insert(index, ALL_ENTRIES, e[0]!, e[1]!, e[2]!, e[3]!, 0);
    }
  }

  /** Checks of a remapped IRTE in the order of the specification. */
  #check(port: DmaPort): number {
    if ((this.record.entry[0]! & IRTE_P) === 0) return IR_NOT_PRESENT;
    if (this.#reserved()) return IR_RESERVED;
    return this.#sourceAllowed(port) ? 0 : IR_SOURCE;
  }

  #reserved(): boolean {
    const e = this.record.entry;
    const destination = (this.#s.irtaLo & EIME) === 0 ? e[1]! & IRTE_RESERVED_DST : 0;
    const validation = (e[2]! >>> 18) & 3;
    return (
      ((e[0]! & IRTE_RESERVED_0) | destination | (e[2]! & IRTE_RESERVED_2) | e[3]!) !== 0 || validation === 3
    );
  }

  /** SVT, SQ and SID; messages of an I/O APIC by the machine's policy. */
  #sourceAllowed(port: DmaPort): boolean {
    const policy = this.#w.config['ioapic-sid'];
    if (!port.interruptController || policy === 'real') return this.#matches(port.requester);
    if (policy === 'any') return true;
    return this.#matches(port.requester) || (port.pinOwner >= 0 && this.#matches(port.pinOwner));
  }

  #matches(requester: number): boolean {
    const e2 = this.record.entry[2]!;
    const sid = e2 & 0xffff;
    switch ((e2 >>> 18) & 3) {
      case 0:
        return true;
      case 1:
        return ((requester ^ sid) & QUALIFIER[(e2 >>> 16) & 3]!) === 0;
      default: {
        const bus = requester >>> 8;
        return bus >= sid >>> 8 && bus <= (sid & 0xff);
      }
    }
  }

  #deliver(port: DmaPort, index: number): number {
    const [e0, e1] = this.record.entry as unknown as [number, number];
    const extended = (this.#s.irtaLo & EIME) !== 0;
    const destination = extended ? e1 : (e1 >>> 8) & 0xff;
    const vector = (e0 >>> 16) & 0xff;
    const { trace, services } = this.#w;
    if (trace.vtd_ir_remap.on) trace.vtd_ir_remap.emit(port.requester, index, vector, destination);
    services.interrupts.deliver(vector, (e0 >>> 5) & 7, (e0 & 4) !== 0, destination, (e0 & 0x10) !== 0);
    return DMA_OK;
  }

  #fault(port: DmaPort, code: number, index: number, address: number): number {
    this.#onFault(port, code, index, address);
    return DMA_UR;
  }

  /** FPD of the entry that the last request read. */
  get faultDisabled(): boolean {
    return this.record.source !== NOT_READ && (this.record.entry[0]! & IRTE_FPD) !== 0;
  }
}
