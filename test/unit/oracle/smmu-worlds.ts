import type { Rng } from '../../../vmm/core/rng.ts';
import { addressSize, type Registers, type Request, type Unit } from '../../oracle/smmuv3/types.ts';
import { bits } from '../../oracle/vtd/bits.ts';
import { random64 } from './random-tables.ts';

/** Where the structures of a random case lie; everything beyond is data. */
const STREAMS_L1 = 0x4010_0000n;
const STREAMS = 0x4040_0000n;
const CONFIG_POOL = 0x4080_0000n;
const STAGE1_POOL = 0x4100_0000n;
const STAGE2_POOL = 0x4200_0000n;
const WINDOW = 1n << 30n;
const SIZE_CODES = [32, 36, 40, 42, 44, 48];

export interface SmmuWorld {
  readonly regs: Registers;
  /** Every quadword of every structure. */
  readonly entries: Map<bigint, bigint>;
  readonly targets: readonly Target[];
}

/** Somebody and an address that is mapped for them on purpose. */
interface Target {
  readonly sid: number;
  readonly ssid: number | undefined;
  readonly address: bigint;
  /** Where stage 1 leads, as far as it is known. */
  readonly output: bigint;
}

/** Stage 2 of one VMID. */
interface Space {
  readonly vmid: number;
  readonly granule: number;
  readonly level: number;
  readonly width: number;
  readonly outBits: number;
  readonly top: bigint;
  /** IPA at which RAM is seen, so that tables can be found whatever the leaf size. */
  readonly window: bigint;
  /** Bits by which the place of a table's page differs: a table of several pages does not lie in one piece. */
  readonly scattered: bigint;
  /** STE bits 255:160. */
  readonly q2: bigint;
  readonly q3: bigint;
  /** Two streams use it: their STEs have to agree. */
  readonly shared: boolean;
}

interface Half {
  readonly upper: boolean;
  readonly granule: number;
  readonly width: number;
  readonly level: number;
  readonly top: bigint;
}

interface Context {
  readonly halves: readonly Half[];
  readonly outBits: number;
  readonly space: Space | undefined;
  readonly tbi: boolean;
  readonly mapped: bigint[];
}

/** Random configuration and tables: mostly good, here and there with one thing wrong. */
export class SmmuTables {
  readonly #rng: Rng;
  readonly #unit: Unit;
  /** One structure in this many is spoilt; 0: none. */
  readonly #faulty: number;
  readonly #entries = new Map<bigint, bigint>();
  readonly #targets: Target[] = [];
  readonly #next = { config: CONFIG_POOL, s1: STAGE1_POOL, s2: STAGE2_POOL };
  readonly #asids = new Set<number>();
  readonly #vmids = new Set<number>();
  /** There is one context. */
  readonly #single: boolean;
  readonly #cached: boolean;
  #contexts = 0;
  #log2 = 0;
  #split = 0;

  /** @param cached the unit has caches, which one context alone fills with global pages or those of EL2 */
  constructor(rng: Rng, unit: Unit, faulty: number, cached: boolean) {
    this.#rng = rng;
    this.#unit = unit;
    this.#faulty = faulty;
    this.#cached = cached;
    this.#single = rng.below(3) === 0;
  }

  build(): SmmuWorld {
    const rng = this.#rng;
    const twoLevel = this.#unit.twoLevelStreams && rng.below(2) === 0;
    this.#log2 = this.#pick([6, 8, 10, 10, 16, 1, 0]);
    this.#split = this.#pick([6, 8, 10]);
    // Reserved splits act as 6.
    const written = this.#split === 6 && this.#chance(8) ? this.#pick([0, 7, 31]) : this.#split;
    let config = BigInt(this.#log2);
    if (twoLevel) config |= (1n << 16n) | BigInt(written << 6);
    else if (!this.#unit.twoLevelStreams && this.#chance(4)) config |= 1n << 16n;
    let base = twoLevel ? STREAMS_L1 : STREAMS;
    // Low bits are ignored; nothing is in memory beyond it.
    if (this.#chance(8)) base |= 64n;
    if (this.#log2 === 0 && !twoLevel) base = STREAMS;
    if (this.#chance(80)) base = 0x8000_0000n;
    const streams = this.#single ? 1 : 1 + rng.below(3);
    for (let i = 0; i < streams; i++) this.#stream(rng.below(2 ** this.#log2), twoLevel);
    const regs: Registers = {
      enabled: !this.#chance(40),
      atsCheck: this.#unit.ats && !this.#chance(3),
      abort: this.#chance(3),
      e2h: this.#unit.hyp && this.#chance(2),
      recordInvalidStreams: this.#chance(2),
      recordAtsErrors: this.#unit.atsErrors && this.#chance(2),
      strtabBase: base,
      strtabConfig: config,
    };
    return { regs, entries: this.#entries, targets: this.#targets };
  }

  #chance(oneIn: number): boolean {
    return this.#rng.below(oneIn) === 0;
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#rng.below(list.length)]!;
  }

  #between(least: number, most: number): number {
    return least + this.#rng.below(most - least + 1);
  }

  #spoilt(): boolean {
    return this.#faulty > 0 && this.#chance(this.#faulty);
  }

  #flip(value: bigint, candidates: readonly number[]): bigint {
    return value ^ (1n << BigInt(this.#pick(candidates)));
  }

  #alloc(pool: 'config' | 's1' | 's2', bytes: bigint): bigint {
    const align = bytes < 64n ? 64n : bytes;
    const at = (this.#next[pool] + align - 1n) & ~(align - 1n);
    this.#next[pool] = at + align;
    return at;
  }

  #unique(taken: Set<number>, wide: boolean): number {
    for (;;) {
      const id = 1 + this.#rng.below(wide ? 0xffff : 0xff);
      if (taken.has(id)) continue;
      taken.add(id);
      return id;
    }
  }

  /** Where the STE of a stream lies; the level 1 descriptor is made when it is missing. */
  #steAt(sid: number, twoLevel: boolean): bigint {
    if (!twoLevel) return STREAMS + BigInt(sid) * 64n;
    const at = STREAMS_L1 + BigInt(sid >> this.#split) * 8n;
    const index = sid & (2 ** this.#split - 1);
    const there = this.#steTables.get(at);
    if (there !== undefined) return there + BigInt(index) * 64n;
    const span = this.#split + 1;
    const table = this.#alloc('config', 64n << BigInt(span - 1));
    this.#steTables.set(at, table);
    let entry = table | BigInt(span);
    if (this.#spoilt() || this.#chance(30)) entry = (entry & ~31n) | BigInt(this.#rng.below(32));
    if (this.#spoilt()) entry |= 0x40_0000_0000n;
    this.#entries.set(at, entry);
    return table + BigInt(index) * 64n;
  }

  #stream(sid: number, twoLevel: boolean): void {
    const rng = this.#rng;
    const unit = this.#unit;
    const at = this.#steAt(sid, twoLevel);
    if (this.#entries.has(at)) return;
    const configs = [
      ...(unit.s1 ? [5, 5, 5] : []),
      ...(unit.s2 ? [6, 6] : []),
      ...(unit.s1 && unit.s2 ? [7, 7, 7, 7, 7] : []),
      ...(this.#chance(3) ? [4] : []),
      ...(this.#chance(6) ? [rng.below(8)] : []),
    ];
    const config = this.#pick(configs);
    const s1 = (config & 5) === 5;
    const s2 = (config & 6) === 6;
    const space = s2 && unit.s2 ? this.#space(config === 7) : undefined;
    const el2 = unit.hyp && config === 5 && this.#chance(2) && (this.#single || !this.#cached);
    const cdMax =
      s1 && unit.ssidSize > 0 && !this.#chance(4)
        ? this.#between(1, Math.min(unit.ssidSize, this.#pick([3, 8, 20])))
        : 0;
    /** A unit without SubstreamIDs does not look at it. */
    const ignored = unit.ssidSize === 0 && this.#chance(8) ? rng.below(32) : 0;
    const fmt = cdMax > 0 && (cdMax > 8 || this.#chance(2)) ? this.#pick([1, 2]) : this.#pick([0, 0, 3]);
    const dss = cdMax > 0 ? this.#pick([0, 1, 1, 2, 2, 3]) : rng.below(4);
    const stallDisabled = s1 && unit.stallModel === 0 && this.#chance(4);
    const usedFmt = unit.cd2l || this.#chance(8) ? fmt : 0;
    const stall2 = unit.stallModel === 2 || (unit.stallModel === 0 && this.#chance(3));
    const usable = s1 && unit.s1;
    const contextPtr = usable
      ? this.#contextTable(sid, {
          cdMax: usedFmt === 0 || usedFmt === 3 ? Math.min(cdMax, 8) : cdMax,
          fmt: usedFmt,
          dss,
          space,
          el2,
          stallDisabled,
        })
      : 0n;
    let q0 =
      1n |
      BigInt(config << 1) |
      BigInt(usedFmt << 4) |
      contextPtr |
      (BigInt(cdMax > 8 && (usedFmt === 0 || usedFmt === 3) ? 8 : cdMax | ignored) << 59n);
    // 90:66, 104:96 and 111:108 have no effect here.
    let q1 = BigInt(dss) | (random64(rng) & 0xf1ff_07ff_fffcn);
    if (stallDisabled) q1 |= 1n << 27n;
    const eats = unit.ats
      ? this.#pick(
          config === 7 && !unit.ns1ats && !stall2 ? [2, 2, 1, 0] : stall2 && s2 ? [0] : [1, 1, 1, 0, 3],
        )
      : rng.below(4);
    q1 |= BigInt(eats) << 28n;
    if (el2) q1 |= 2n << 30n;
    else if (!unit.hyp && this.#chance(4)) q1 |= BigInt(rng.below(4)) << 30n;
    if (!unit.permissionOverrides || this.#chance(4)) q1 |= BigInt(rng.below(16)) << 48n;
    let q2 =
      space === undefined ? BigInt(this.#unique(this.#vmids, unit.vmid16)) : BigInt(space.vmid) | space.q2;
    let q3 = space?.q3 ?? 0n;
    if (s2 && stall2) q2 |= 1n << 57n;
    if (!this.#chance(4)) q2 |= 1n << 58n;
    if (!s2 && this.#chance(3)) q2 |= (random64(rng) >> 32n) << 32n;
    if (this.#spoilt()) q0 = this.#flip(q0, [0, 1, 2, 3, 4, 5, 6, 12, 30, 47, 50, 59, 60, 63]);
    if (this.#spoilt()) q1 = this.#flip(q1, [0, 1, 27, 28, 29, 30, 31, 49, 51]);
    if (this.#spoilt()) q2 = unit.vmid16 || this.#chance(2) ? q2 : q2 | (1n << BigInt(this.#between(8, 15)));
    if (this.#spoilt() && space?.shared !== true)
      q2 = this.#flip(q2, [32, 33, 34, 35, 36, 37, 38, 39, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57]);
    if (this.#spoilt() && space?.shared !== true)
      q3 = this.#flip(q3, [20, 25, 31, 32, 35, 36, 37, 40, 41, 43, 44, 47]);
    const words = [q0, q1, q2, q3, 0n, 0n, 0n, 0n];
    for (const [i, word] of words.entries()) this.#entries.set(at + BigInt(i) * 8n, word);

    if (s1 && cdMax > 0 && dss !== 1)
      this.#targets.push({ sid, ssid: undefined, address: 0x1000n, output: 0x1000n });
    if (usable && !(cdMax > 0 && dss === 1)) return;
    for (let n = 1 + rng.below(3); n > 0; n--) this.#bypassed(sid, space);
  }

  /** Addresses of a stream whose transactions without SubstreamID skip stage 1. */
  #bypassed(sid: number, space: Space | undefined): void {
    const width = space?.width ?? this.#unit.oas;
    const address = random64(this.#rng) & ((1n << BigInt(this.#pick([24, 32, width]))) - 1n);
    if (space !== undefined) this.#mapAnywhere(space, address);
    this.#targets.push({ sid, ssid: undefined, address, output: address });
  }

  #space(nested: boolean): Space {
    const rng = this.#rng;
    const unit = this.#unit;
    const existing = this.#spaces.filter((space) => space.shared);
    if (existing.length > 0 && this.#chance(2)) return this.#pick(existing);
    const ha = unit.httu > 0 && !this.#chance(3);
    const hd = unit.httu === 2 && ha && !this.#chance(3);
    let flags = 1n << 51n;
    if (this.#chance(4)) flags |= 1n << 53n;
    if (this.#chance(3)) flags |= 1n << 54n;
    if (hd) flags |= 1n << 55n;
    if (ha) flags |= 1n << 56n;
    // S2IR0, S2OR0, S2SH0.
    flags |= BigInt(rng.below(64)) << 40n;
    for (;;) {
      const granule = this.#pick(unit.granules);
      const stride = granule - 3;
      const level = rng.below(4);
      const below = (3 - level) * stride + granule;
      const least = Math.max(below + 1, unit.stt ? (granule === 16 ? 17 : 16) : 25);
      // Now and then wider than the unit, or less than the level needs.
      const most = Math.min(below + stride + 4, unit.oas + (this.#chance(20) ? 1 : 0));
      const code = granule === 12 ? [2, 1, 0, unit.stt ? 3 : undefined][level] : [undefined, 2, 1, 0][level];
      if (least > most || code === undefined) continue;
      const spread = this.#chance(3) ? most : this.#between(least, most);
      const width = below >= 25 && below <= unit.oas && this.#chance(20) ? below : spread;
      if (nested && width < 31 && !this.#chance(10)) continue;
      const psCode = this.#pick([5, 6, 7, rng.below(6), rng.below(6)]);
      const outBits = Math.min(addressSize(psCode), unit.oas);
      const top = this.#alloc('s2', 8n << BigInt(width - below));
      const windows = width > 30 ? rng.below(2 ** Math.min(width - 30, 2)) : 0;
      const tg = { 12: 0, 16: 1, 14: 2 }[granule]!;
      const q2 =
        flags |
        (BigInt(64 - width) << 32n) |
        (BigInt(code) << 38n) |
        (BigInt(tg) << 46n) |
        (BigInt(psCode) << 48n);
      const space: Space = {
        vmid: this.#unique(this.#vmids, unit.vmid16),
        granule,
        level,
        width,
        outBits,
        top,
        window: BigInt(windows) * WINDOW,
        scattered: this.#chance(3) ? ({ 12: 0x5000n, 14: 0x8000n }[granule] ?? 0n) : 0n,
        q2,
        q3: top,
        shared: this.#chance(2),
      };
      this.#spaces.push(space);
      return space;
    }
  }

  readonly #spaces: Space[] = [];

  /** CD table of a stream with a few CDs; returns S1ContextPtr. */
  #contextTable(
    sid: number,
    stream: {
      readonly cdMax: number;
      readonly fmt: number;
      readonly dss: number;
      readonly space: Space | undefined;
      readonly el2: boolean;
      readonly stallDisabled: boolean;
    },
  ): bigint {
    const rng = this.#rng;
    const { cdMax, fmt, dss, space } = stream;
    const twoLevel = cdMax > 0 && (fmt === 1 || fmt === 2);
    const leafBits = fmt === 1 ? 6 : 10;
    const bytes = twoLevel ? 8n << BigInt(Math.max(0, cdMax - leafBits)) : 64n << BigInt(cdMax);
    const base = this.#alloc('config', bytes < 64n ? 64n : bytes);
    const pointer = this.#inSpace(space, base);
    const ssids = new Set<number | undefined>();
    if (cdMax === 0 || dss === 2) ssids.add(undefined);
    if (cdMax > 0 && !(this.#single && ssids.size > 0)) {
      ssids.add(rng.below(2 ** cdMax));
      if (!this.#single) ssids.add(rng.below(2 ** cdMax));
    }
    for (const ssid of ssids) {
      const index = ssid ?? 0;
      if (ssid === 0 && ssids.has(undefined)) continue;
      let at = base + BigInt(index) * 64n;
      if (twoLevel) {
        const slot = base + BigInt(index >> leafBits) * 8n;
        this.#inSpace(space, slot);
        let table = this.#leafTables.get(slot);
        if (table === undefined) {
          table = this.#alloc('config', 64n << BigInt(leafBits));
          this.#leafTables.set(slot, table);
          let entry = this.#inSpace(space, table) | 1n;
          if (this.#spoilt()) entry = this.#flip(entry, [0, 1, 11, 30, 40, 47, 50]);
          if (this.#chance(25)) entry |= 1n << BigInt(this.#between(this.#unit.oas, 55));
          this.#put(space, slot, entry);
        }
        at = table + BigInt(index & (2 ** leafBits - 1)) * 64n;
      }
      this.#inSpace(space, at);
      const context = this.#context(at, stream);
      if (context === undefined) {
        this.#targets.push({ sid, ssid, address: 0x1000n, output: 0x1000n });
        continue;
      }
      // What one address brings into the caches serves the others.
      for (let n = 1 + rng.below(this.#cached ? 8 : 4); n > 0; n--) this.#map(sid, ssid, context);
    }
    return pointer;
  }

  readonly #steTables = new Map<bigint, bigint>();
  readonly #leafTables = new Map<bigint, bigint>();

  /** The address by which structures in RAM are known: an IPA where there is stage 2, which is made to lead there. */
  #inSpace(space: Space | undefined, at: bigint): bigint {
    if (space === undefined) return at;
    const ipa = space.window | (at & (WINDOW - 1n));
    if (ipa >> BigInt(space.width) !== 0n) return ipa;
    const level = space.scattered === 0n ? this.#leafLevel(space.granule, space.level, 4) : 3;
    this.#mapStage2(space, ipa, at ^ space.scattered, level, true);
    return ipa;
  }

  /** A word of a structure that is known by IPA. */
  #put(space: Space | undefined, at: bigint, value: bigint): void {
    this.#entries.set(at ^ (space?.scattered ?? 0n), value);
  }

  #get(space: Space | undefined, at: bigint): bigint | undefined {
    return this.#entries.get(at ^ (space?.scattered ?? 0n));
  }

  /** Blocks: 1 GiB and 2 MiB with 4 KiB granules, 32 MiB with 16 KiB, 512 MiB with 64 KiB. */
  #leafLevel(granule: number, from: number, oneIn: number): number {
    if (!this.#chance(oneIn)) return 3;
    const level = granule === 12 && this.#chance(3) ? 1 : 2;
    return Math.max(from, level);
  }

  #context(
    at: bigint,
    stream: { readonly space: Space | undefined; readonly el2: boolean; readonly stallDisabled: boolean },
  ): Context | undefined {
    const rng = this.#rng;
    const unit = this.#unit;
    const { space, el2 } = stream;
    if (this.#get(space, at) !== undefined) return undefined;
    if (this.#contexts++ > 0 && this.#single) return undefined;
    const ips = this.#pick(SIZE_CODES.map((_, i) => i));
    const ipsCode = this.#chance(4) ? this.#pick([5, 6, 7]) : ips;
    const outBits = Math.min(addressSize(ipsCode), unit.oas);
    const epd = el2 ? 2 : this.#pick([0, 0, 1, 2, 2, 3]);
    const halves: Half[] = [];
    for (const upper of [false, true]) {
      const disabled = ((epd >> (upper ? 1 : 0)) & 1) !== 0;
      if (!disabled) halves.push(this.#half(upper, space));
    }
    const lower = halves.find((half) => !half.upper);
    const higher = halves.find((half) => half.upper);
    const stall =
      unit.stallModel === 2 || (unit.stallModel === 0 && this.#chance(stream.stallDisabled ? 20 : 3));
    const ha = unit.httu > 0 && !this.#chance(3);
    const hd = unit.httu === 2 && ha && !this.#chance(3);
    const tbi = rng.below(4);
    let q0 = BigInt(lower === undefined ? rng.below(64) : 64 - lower.width);
    q0 |= BigInt(lower === undefined ? rng.below(4) : { 12: 0, 16: 1, 14: 2 }[lower.granule]!) << 6n;
    q0 |= BigInt(rng.below(64)) << 8n;
    q0 |= BigInt(higher === undefined ? rng.below(64) : 64 - higher.width) << 16n;
    q0 |= BigInt(higher === undefined ? rng.below(4) : { 14: 1, 12: 2, 16: 3 }[higher.granule]!) << 22n;
    q0 |= BigInt(rng.below(64)) << 24n;
    q0 |= (BigInt(epd & 1) << 14n) | (BigInt(epd >> 1) << 30n) | (1n << 31n) | (BigInt(ipsCode) << 32n);
    // AFFD, WXN, UWXN, PAN.
    // ENDI does not count where no table is used.
    if (epd === 3 && this.#chance(2)) q0 |= 1n << 15n;
    if (this.#chance(4)) q0 |= 1n << 35n;
    if (this.#chance(4)) q0 |= 1n << 36n;
    if (this.#chance(4)) q0 |= 1n << 37n;
    q0 |= BigInt(tbi) << 38n;
    if (this.#chance(4)) q0 |= 1n << 40n;
    q0 |= 1n << 41n;
    if (hd) q0 |= 1n << 42n;
    if (ha) q0 |= 1n << 43n;
    if (stall) q0 |= 1n << 44n;
    if (!this.#chance(4)) q0 |= 1n << 45n;
    q0 |= (1n << 46n) | (BigInt(rng.below(2)) << 47n);
    q0 |= BigInt(this.#unique(this.#asids, unit.asid16)) << 48n;
    const table = (half: Half | undefined) => (half === undefined ? 0n : this.#inSpace(space, half.top));
    // HAD, E0PD and, in the first, EPAN.
    const flags = () => BigInt(this.#chance(3) ? 2 : 0) | BigInt(this.#chance(5) ? 4 : 0);
    let q1 = table(lower) | flags() | (this.#chance(3) ? 1n << 59n : 0n);
    let q2 = table(higher) | flags();
    if (this.#spoilt())
      q0 = this.#flip(q0, [0, 2, 4, 5, 6, 7, 14, 15, 16, 18, 20, 21, 22, 23, 30, 31, 32, 33, 34]);
    if (this.#spoilt()) q0 = this.#flip(q0, [35, 36, 38, 39, 40, 41, 42, 43, 44, 45, 46]);
    if (this.#spoilt() && !unit.asid16) q0 |= 1n << BigInt(this.#between(56, 63));
    if (this.#spoilt()) q1 = this.#flip(q1, [1, 2, 20, 30, 33, 38, 45, 47, 49, 59]);
    if (this.#spoilt()) q2 = this.#flip(q2, [1, 2, 20, 30, 33, 38, 45, 47, 49]);
    const words = [q0, q1, q2, random64(rng), random64(rng), 0n, 0n, 0n];
    for (const [i, word] of words.entries()) this.#put(space, at + BigInt(i) * 8n, word);
    if (halves.length === 0) return undefined;
    return { halves, outBits, space, tbi: tbi !== 0, mapped: [] };
  }

  #half(upper: boolean, space: Space | undefined): Half {
    const unit = this.#unit;
    const granule = this.#pick(unit.granules);
    const least = unit.stt && this.#chance(3) ? (granule === 16 ? 17 : 16) : 25;
    // Now and then wider than there is.
    const width = this.#chance(3) ? (this.#chance(12) ? 49 : 48) : this.#between(least, 48);
    const level = 4 - Math.ceil((width - granule) / (granule - 3));
    const below = (3 - level) * (granule - 3) + granule;
    const top = this.#alloc('s1', 8n << BigInt(width - below));
    this.#inSpace(space, top);
    return { upper, granule, width, level, top };
  }

  /** Maps one address on purpose. */
  #map(sid: number, ssid: number | undefined, context: Context): void {
    const rng = this.#rng;
    const half = this.#pick(context.halves);
    let va = random64(rng) & ((1n << BigInt(this.#pick([Math.min(24, half.width), half.width]))) - 1n);
    // Often a neighbour, whose last table is known by then.
    if (context.mapped.length > 0 && !this.#chance(3)) {
      const other = this.#pick(context.mapped);
      const far = this.#chance(3) ? 2 ** (half.granule - 3) : 4;
      va = (other ^ (BigInt(rng.below(far)) << BigInt(half.granule))) & ((1n << BigInt(half.width)) - 1n);
    }
    if (half.upper) va |= ~((1n << BigInt(half.width)) - 1n) & 0xffff_ffff_ffff_ffffn;
    if (context.tbi && this.#chance(2)) va = (va & 0xff_ffff_ffff_ffffn) | (BigInt(rng.below(256)) << 56n);
    context.mapped.push(va);
    const output = this.#mapStage1(context, half, va);
    this.#targets.push({ sid, ssid, address: va, output });
  }

  #mapStage1(context: Context, half: Half, va: bigint): bigint {
    const { space } = context;
    const last = this.#leafLevel(half.granule, half.level, 5);
    const stride = half.granule - 3;
    let table = half.top;
    let top = half.width - 1;
    for (let level = half.level; ; level++) {
      const shift = (3 - level) * stride + half.granule;
      const at = table + bits(va, top, shift) * 8n;
      this.#inSpace(space, at);
      const there = this.#get(space, at);
      if (level < last && there !== undefined && (there & 3n) === 3n) {
        const known = this.#stage1Tables.get(at);
        if (known === undefined) return 0n;
        table = known;
        top = shift - 1;
        continue;
      }
      if (there !== undefined) return 0n;
      if (level < last) {
        const next = this.#alloc('s1', 1n << BigInt(half.granule));
        this.#stage1Tables.set(at, next);
        this.#put(space, at, this.#stage1Table(this.#inSpace(space, next)));
        table = next;
        top = shift - 1;
        continue;
      }
      const span = 1n << BigInt(shift);
      const frame = this.#frame(context, shift);
      const output = frame + (va & (span - 1n));
      if (space !== undefined && !this.#chance(10)) this.#mapAnywhere(space, output);
      this.#put(space, at, this.#stage1Leaf(frame, level));
      return output;
    }
  }

  readonly #stage1Tables = new Map<bigint, bigint>();

  /** Where a stage 1 leaf leads. */
  #frame(context: Context, shift: number): bigint {
    const rng = this.#rng;
    const span = 1n << BigInt(shift);
    const { space } = context;
    const width = Math.min(context.outBits, space?.width ?? 64);
    if (space !== undefined && this.#chance(6)) {
      // A page of the tables themselves.
      const pa = STAGE1_POOL + BigInt(rng.below(0x20_0000));
      return (space.window | (pa & (WINDOW - 1n))) & ~(span - 1n);
    }
    const wide = this.#chance(16) ? 48 : width;
    return random64(rng) & ((1n << BigInt(this.#pick([32, wide, wide]))) - 1n) & ~(span - 1n);
  }

  /** Stage 2 leads from an IPA to some page. */
  #mapAnywhere(space: Space, ipa: bigint): void {
    if (ipa >> BigInt(space.width) !== 0n) return;
    const level = this.#leafLevel(space.granule, space.level, 5);
    const wide = this.#chance(16) ? 48 : space.outBits;
    const pa = random64(this.#rng) & ((1n << BigInt(this.#pick([32, wide, wide]))) - 1n);
    this.#mapStage2(space, ipa, pa, level, false);
  }

  #mapStage2(space: Space, ipa: bigint, pa: bigint, last: number, forTables: boolean): void {
    const stride = space.granule - 3;
    let table = space.top;
    let top = space.width - 1;
    for (let level = space.level; ; level++) {
      const shift = (3 - level) * stride + space.granule;
      const at = table + bits(ipa, top, shift) * 8n;
      const there = this.#entries.get(at);
      if (there !== undefined) {
        const known = this.#stage2Tables.get(at);
        if (level >= last || known === undefined) return;
        table = known;
        top = shift - 1;
        continue;
      }
      if (level < last) {
        const next = this.#alloc('s2', 1n << BigInt(space.granule));
        this.#stage2Tables.set(at, next);
        let entry = next | 3n | (random64(this.#rng) & 0x7ff0_0000_0000_0ffcn);
        if (this.#spoilt()) entry = this.#flip(entry, [0, 1, 20, 30, 40, 45, 47]);
        this.#entries.set(at, entry);
        table = next;
        top = shift - 1;
        continue;
      }
      this.#entries.set(at, this.#stage2Leaf(pa & ~((1n << BigInt(shift)) - 1n), level, forTables));
      return;
    }
  }

  readonly #stage2Tables = new Map<bigint, bigint>();

  /** Bits 63:59 are rights of everything below; other high and low bits are ignored. */
  #stage1Table(target: bigint): bigint {
    let value = target | 3n | (random64(this.#rng) & 0x0070_0000_0000_03fcn);
    // Read as a leaf by mistake it is not global.
    if (!this.#single) value |= 0x800n;
    if (this.#chance(10)) value |= 1n << BigInt(this.#between(59, 63));
    if (!this.#spoilt()) return value;
    return this.#flip(value, [0, 1, 20, 30, 33, 40, 45, 47]);
  }

  #stage1Leaf(frame: bigint, level: number): bigint {
    const rng = this.#rng;
    // AttrIndx, NS, SH.
    let value =
      frame | (level === 3 ? 3n : 1n) | (BigInt(rng.below(16)) << 2n) | (BigInt(rng.below(4)) << 8n);
    value |= BigInt(this.#pick([1, 1, 1, 0, 2, 3])) << 6n;
    if (!this.#chance(4)) value |= 0x400n;
    if (!this.#single || this.#chance(2)) value |= 0x800n;
    if (this.#chance(2)) value |= 1n << 51n;
    if (this.#chance(5)) value |= 1n << 52n;
    if (this.#chance(3)) value |= 1n << 53n;
    if (this.#chance(3)) value |= 1n << 54n;
    // Software and PBHA.
    value |= (random64(rng) & 0xffn) << 55n;
    if (!this.#spoilt()) return value;
    return this.#flip(value, [0, 1, 6, 7, 10, 20, 30, 33, 40, 45, 47]);
  }

  #stage2Leaf(frame: bigint, level: number, forTables: boolean): bigint {
    const rng = this.#rng;
    const memAttr = this.#chance(forTables ? 12 : 4) ? rng.below(16) : 15;
    let value = frame | (level === 3 ? 3n : 1n) | (BigInt(memAttr) << 2n) | (BigInt(rng.below(4)) << 8n);
    const restricted = this.#chance(forTables ? 6 : 3);
    value |= BigInt(restricted ? this.#pick([0, 1, 1, 1, 2]) : 3) << 6n;
    if (!this.#chance(forTables ? 8 : 4)) value |= 0x400n;
    if (this.#chance(3)) value |= 1n << 51n;
    if (this.#chance(5)) value |= 1n << 52n;
    if (this.#chance(3)) value |= BigInt(rng.below(4)) << 53n;
    value |= (random64(rng) & 0xffn) << 55n;
    if (!this.#spoilt()) return value;
    return this.#flip(value, [0, 1, 4, 5, 6, 7, 10, 20, 30, 33, 40, 45, 47]);
  }
}

/** A request at a random world: mostly near a mapping. */
export function smmuRequest(rng: Rng, unit: Unit, world: SmmuWorld): Request {
  const chance = (oneIn: number) => rng.below(oneIn) === 0;
  const target = world.targets[rng.below(world.targets.length)] ?? {
    sid: 0,
    ssid: undefined,
    address: 0n,
    output: 0n,
  };
  const at = unit.ats ? ([0, 0, 0, 0, 1, 1, 2] as const)[rng.below(7)]! : 0;
  let address = at === 2 && !chance(4) ? target.output : target.address;
  address ^= BigInt(rng.below(0x1000));
  if (chance(14)) address ^= 1n << BigInt(rng.below(64));
  if (chance(20)) address = random64(rng);
  let ssid = target.ssid;
  if (chance(30)) ssid = undefined;
  if (chance(40)) ssid = rng.below(2 ** Math.max(1, unit.ssidSize));
  // Just beyond some table.
  if (chance(40)) ssid = 2 ** rng.below(Math.max(1, unit.ssidSize));
  const write = chance(2);
  return {
    sid: chance(40) ? rng.below(0x10000) : chance(40) ? 2 ** rng.below(16) : target.sid,
    ...(ssid === undefined ? {} : { ssid }),
    at,
    address: BigInt.asUintN(64, address),
    write,
    instruction: chance(3) && (at === 1 || !write),
    privileged: chance(2),
    mayStall: chance(2),
  };
}
