import type { SmmuConfig } from '../../viommu/smmuv3/config.ts';
import { CD, STE } from '../../viommu/spec/smmuv3/structures.ts';
import { type DmaPort, NO_PASID } from '../../vmm/bus/dma.ts';
import { Rng } from '../../vmm/core/rng.ts';
import type { SavedUnit } from '../../vmm/state/define.ts';
import { COMMANDS, CONTEXT, SmmuMachine, STREAMS } from './smmu-machine.ts';

const PAGES = 64;
const FIRST_PAGE = 0x40010000;
const REGISTERS = [
  0x20, 0x20, 0x24, 0x28, 0x2c, 0x44, 0x50, 0x60, 0x64, 0x68, 0x70, 0x80, 0x88, 0x90, 0x98, 0x98, 0x9c, 0xa0,
  0xb0, 0xb8, 0xc0, 0xd0, 0xd8, 0xdc, 0x100a8, 0x100ac, 0x100ac, 0x100c8, 0x100cc, 0x100cc,
] as const;
const OPCODES = [
  0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x10, 0x11, 0x12, 0x12, 0x13, 0x20, 0x21, 0x22, 0x23, 0x28, 0x2a, 0x30,
  0x40, 0x40, 0x41, 0x44, 0x44, 0x44, 0x45, 0x46, 0x46, 0x1046, 0x2046,
] as const;
/** Low bits of descriptors: tables, pages and blocks with and without access flag, nothing. */
const DESCRIPTOR_BITS = [0x3, 0x3, 0x743, 0x7c3, 0x701, 0x343, 0x743, 0x403, 0] as const;
/** First words of STEs (abort, bypass, stage 1, stage 2, nested) and of CDs. */
const ENTRY_BITS = [0x1, 0x9, 0xb, 0xb, 0xb, 0xd, 0xf, 0xf, 0] as const;
const SIDS = [0, 1, 2, 3, 0xff, 0x100] as const;

/** A unit that is handed nonsense. */
export class SmmuTorment {
  readonly #rng: Rng;
  readonly machine: SmmuMachine;
  readonly #ports: DmaPort[];
  readonly #bytes = new Uint8Array(8192);
  #depth = 0;

  constructor(options: Partial<SmmuConfig>, seed: number) {
    this.#rng = new Rng(seed);
    this.machine = new SmmuMachine({
      config: options,
      invalidated: () => this.#rng.below(8) >>> 1,
      resumed: (requester) => this.#answered(requester),
      responded: (requester) => this.#answered(requester),
    });
    this.#ports = SIDS.map((sid) => this.machine.port(sid));
    for (const port of this.#ports) port.mayStall = true;
    this.machine.start(0xf, 4);
  }

  get device() {
    return this.machine.device;
  }

  /** Does one random thing. */
  step(): void {
    const kind = this.#rng.below(22);
    if (kind < 4) this.#register();
    else if (kind < 8) this.#table();
    else if (kind < 13) this.#request();
    else if (kind < 15) this.#pageRequest();
    else if (kind < 17) this.#commands();
    else if (kind === 17) this.#setUp();
    else if (kind === 18) this.#drain();
    else if (kind >= 20) this.#structure();
    else this.#time();
  }

  /** A function that is answered may do anything: ask again, or write to the unit's registers. */
  #answered(requester: number): void {
    const port = this.#ports.find((p) => p.requester === requester);
    if (port === undefined || this.#depth > 8) return;
    this.#depth++;
    if (this.#rng.below(2) === 0) port.translate(this.#rng.below(PAGES) << 12, 0, 1 + this.#rng.below(2));
    if (this.#rng.below(4) === 0) port.pageRequest(0x1000, 0, 1, 1, this.#rng.below(2) === 0);
    if (this.#rng.below(8) === 0) this.#register();
    this.#depth--;
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#rng.below(list.length)]!;
  }

  #page(): number {
    return FIRST_PAGE + (this.#rng.below(PAGES) << 12);
  }

  #value(): number {
    const rng = this.#rng;
    switch (rng.below(7)) {
      case 0:
        return 0;
      case 1:
        return 0xffffffff;
      case 2:
        return this.#page() | rng.below(16);
      case 3:
        return (1 << rng.below(32)) >>> 0;
      case 4:
        return rng.below(32);
      case 5:
        // The unit's own registers, for its messages.
        return this.machine.config.base + this.#pick(REGISTERS);
      default:
        return rng.next();
    }
  }

  #register(): void {
    const rng = this.#rng;
    const size = this.#pick([4, 4, 4, 8, 8, 1, 2] as const);
    let offset: number = rng.below(8) === 0 ? rng.below(0x20000) : this.#pick(REGISTERS);
    if (offset + size > 0x20000) offset = 0x20000 - size;
    const { bus, config } = this.machine;
    if (rng.below(4) === 0) bus.read(config.base + offset, size);
    else bus.write(config.base + offset, size, this.#value() >>> 0, size === 8 ? this.#value() >>> 0 : 0);
  }

  /** Entries of every kind look alike: an address in the first pages and a few low bits, sometimes anything. */
  #table(): void {
    const rng = this.#rng;
    const at = this.#page() + (rng.below(512) << 3);
    const bits = this.#pick(rng.below(2) === 0 ? DESCRIPTOR_BITS : ENTRY_BITS);
    const lo = rng.below(4) === 0 ? this.#value() : this.#page() | bits;
    const hi = rng.below(4) === 0 ? this.#value() : 0;
    this.machine.store(at, (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0));
  }

  /** A whole STE or CD: one that is right but for a few bits of its 512, or random bytes. */
  #structure(): void {
    const rng = this.#rng;
    const context = rng.below(3) === 0;
    const at = context ? CONTEXT + (rng.below(4) << 6) : STREAMS + (this.#pick(SIDS) << 6);
    if (rng.below(4) === 0) {
      for (let i = 0; i < 64; i += 8)
        this.machine.store(at + i, (BigInt(rng.next()) << 32n) | BigInt(rng.next()));
      return;
    }
    const words = context ? this.#context() : this.#stream();
    for (let flips = rng.below(4); flips > 0; flips--) words[rng.below(16)]! ^= 1 << rng.below(32);
    this.machine.storeWords(at, words);
  }

  #stream(): Uint32Array {
    const rng = this.#rng;
    // 39-bit input from level 1 with 4 KiB pages, or a shape that may need concatenated tables, or none there is.
    const usual = rng.below(3) !== 0;
    const words = STE.pack({
      V: 1,
      Config: 4 + rng.below(4),
      S1Fmt: rng.below(4),
      S1CDMax: rng.below(8),
      S1DSS: rng.below(4),
      S1STALLD: rng.below(2),
      EATS: rng.below(4),
      STRW: rng.below(4),
      PRIVCFG: rng.below(4),
      INSTCFG: rng.below(4),
      S2VMID: rng.below(4),
      S2T0SZ: usual ? 25 : 16 + rng.below(33),
      S2SL0: usual ? 1 : rng.below(4),
      S2TG: usual ? 0 : rng.below(4),
      S2PS: rng.below(8),
      S2AA64: 1,
      S2AFFD: rng.below(2),
      S2PTW: rng.below(2),
      S2HA: rng.below(2),
      S2HD: rng.below(2),
      S2S: rng.below(2),
      S2R: rng.below(2),
    });
    words[0]! |= rng.below(2) === 0 ? CONTEXT : this.#page();
    words[6]! |= this.#page();
    return words;
  }

  #context(): Uint32Array {
    const rng = this.#rng;
    const usual = rng.below(3) !== 0;
    const words = CD.pack({
      V: 1,
      AA64: 1,
      A: 1,
      T0SZ: usual ? 25 : 16 + rng.below(33),
      TG0: usual ? 0 : rng.below(4),
      T1SZ: usual ? 25 : 16 + rng.below(33),
      TG1: usual ? 2 : rng.below(4),
      EPD0: rng.below(4) === 0 ? 1 : 0,
      EPD1: rng.below(2),
      IPS: rng.below(8),
      TBI0: rng.below(2),
      TBI1: rng.below(2),
      AFFD: rng.below(2),
      WXN: rng.below(2),
      PAN: rng.below(2),
      HA: rng.below(2),
      HD: rng.below(2),
      S: rng.below(2),
      R: rng.below(2),
      ASET: rng.below(2),
      ASID: rng.below(4),
      HAD0: rng.below(2),
      E0PD0: rng.below(2),
    });
    words[2]! |= this.#page();
    words[4]! |= this.#page();
    return words;
  }

  /** Something that works now and then. */
  #setUp(): void {
    const rng = this.#rng;
    const m = this.machine;
    const sid = this.#pick(SIDS);
    if (rng.below(2) === 0)
      m.stage1(sid, { S: rng.below(2), R: rng.below(2), ASID: rng.below(4), HA: rng.below(2) });
    else m.store(STREAMS + sid * 64, this.#pick([1, 9, 0xb, 0]));
    if (rng.below(4) === 0) m.map();
    if (rng.below(4) === 0) m.start(rng.below(8) === 0 ? rng.below(32) : 0xf, rng.below(6));
  }

  #request(): void {
    const rng = this.#rng;
    const port = this.#pick(this.#ports);
    port.at = rng.below(6) === 0 ? rng.below(3) : 0;
    port.pasid = this.#pasid();
    port.privileged = rng.below(8) === 0;
    const hi = this.#pick([0, 0, 0, 0x7f, 0xffff, 0xffffffff, rng.next()]);
    const lo = rng.below(4) === 0 ? rng.next() : rng.below(PAGES << 12);
    switch (rng.below(6)) {
      case 0:
        port.read(lo, hi, this.#bytes, 0, 1 + rng.below(8192));
        break;
      case 1:
        rng.fill(this.#bytes.subarray(0, 64));
        port.write(lo, hi, this.#bytes, 0, 1 + rng.below(256));
        break;
      case 2:
        this.device.explain(port, lo, hi, rng.below(4));
        break;
      default:
        port.translate(lo, hi, rng.below(8));
    }
    port.at = 0;
    port.pasid = NO_PASID;
  }

  #pasid(): number {
    const rng = this.#rng;
    if (rng.below(3) !== 0) return NO_PASID;
    return rng.below(4) === 0 ? rng.below(1 << 20) : rng.below(4);
  }

  #pageRequest(): void {
    const rng = this.#rng;
    const port = this.#pick(this.#ports);
    port.pasid = this.#pasid();
    if (rng.below(4) === 0) port.invalidationComplete(rng.below(4));
    else port.pageRequest(rng.next(), rng.below(2), rng.below(8), rng.below(512), rng.below(2) === 0);
    port.pasid = NO_PASID;
  }

  /** A queue that runs: commands mostly of known types for streams there are. */
  #commands(): void {
    const rng = this.#rng;
    const m = this.machine;
    const count = 1 + rng.below(16);
    for (let i = 0; i < 16; i++) {
      const upper = rng.below(4) === 0 ? rng.next() : this.#pick(SIDS);
      const w0 = (this.#pick(OPCODES) | (rng.below(8) === 0 ? rng.next() & -4096 : 0)) >>> 0;
      m.store(COMMANDS + i * 16, (BigInt(upper) << 32n) | BigInt(w0));
      const w2 = rng.below(2) === 0 ? rng.below(70) : this.#value();
      m.store(COMMANDS + i * 16 + 8, rng.below(3) === 0 ? 0 : w2 >>> 0);
    }
    const enables = m.read32(0x24) & ~8;
    m.write32(0x20, enables);
    m.write64(0x90, COMMANDS | 4);
    m.write32(0x9c, 0);
    m.write32(0x98, count);
    m.write32(0x20, enables | 8);
    // Over what stopped it.
    for (let i = 0; i < 4 && ((m.read32(0x60) ^ m.read32(0x64)) & 1) !== 0; i++) {
      m.store(COMMANDS + (m.read32(0x9c) & 15) * 16, 0x46);
      m.write32(0x64, m.read32(0x60));
    }
  }

  /** As a driver does: everything is consumed and acknowledged. */
  #drain(): void {
    const m = this.machine;
    for (const at of [0xa8, 0xc8]) m.write32(0x10000 + at + 4, m.read32(0x10000 + at));
    m.write32(0x64, m.read32(0x60));
  }

  #time(): void {
    const { clock } = this.machine;
    clock.advanceTo(clock.now + this.#rng.below(100_000));
    if (this.#rng.below(500) === 0) this.device.dropCache();
    if (this.#rng.below(2000) === 0) this.device.reset(this.#pick(['cold', 'warm', 'flr'] as const));
  }

  /** What came out of the unit so far. */
  seen(): readonly number[] {
    const { faults, pulses, responses, resumes, invalidations, clock } = this.machine;
    return [faults.length, pulses.length, responses.length, resumes.length, invalidations.length, clock.now];
  }

  save(): SavedUnit {
    return this.device.stateDef().save(this.device.s);
  }

  load(unit: SavedUnit): void {
    this.device.stateDef().load(this.device.s, unit, 'smmu0');
    this.device.dropCache();
  }
}
