import {
  EL2_E2H_REGIME,
  EL2_REGIME,
  type SmmuPort,
  type StreamBinding,
  type SubstreamBinding,
} from '../port/smmuv3.ts';
import type { GuestTables } from '../port/tables.ts';
import { C_BAD_STE } from '../spec/smmuv3/faults.ts';
import { CR0ACK, CR2, GBPA } from '../spec/smmuv3/registers.ts';
import { ReadEntry } from './access-record.ts';
import { identification } from './config.ts';
import { Context, decodeCd, isLegalCd } from './context-descriptor.ts';
import type { SmmuV3 } from './device.ts';
import { SmmuGuestTables } from './guest-tables.ts';
import { OVERRIDE_ON } from './overrides.ts';
import { NO_CD, substreamOf } from './procedure.ts';
import { smmuSecondOpinion } from './second-opinion.ts';
import { WORLD_EL2, WORLD_EL2_E2H } from './state.ts';
import { alignedLo, contextTableExtent, decodeSte, isLegalSte, Stream, StreamTable } from './stream-table.ts';
import { CD_TABLE } from './table-kinds.ts';
import { STALLS_NEVER, type UnitFeatures, unitFeatures } from './unit.ts';

const CR0_WORD = CR0ACK.offset / 4;
const CR2_WORD = CR2.offset / 4;
const GBPA_WORD = GBPA.offset / 4;
const SMMUEN = 1;
const ATSCHK = 1 << 4;
const E2H = 1;
const GBPA_ABORT = 1 << 20;
const CONFIG_BYPASS = 4;
const STE_WORDS = 16;
const CD_WORDS = 16;
const CD_BYTES = 64;
/** CD.V, of its first word. */
const CD_V = 0x80000000;

/** The port of a unit: looks at the stream table in memory, and checks STEs as the unit does. */
export function smmuPort(device: SmmuV3): SmmuPort {
  const { config, forward } = device.w;
  const features = unitFeatures(config);
  const { idr0, idr1, idr3, idr5 } = identification(config);
  return {
    architecture: 'smmuv3',
    identity: [idr0[0]!, idr1[0]!, 0, idr3[0]!, 0, idr5[0]!],
    addressBits: features.oas,
    substreamBits: features.ssidSize,
    stage1: features.s1,
    stage2: features.s2,
    deviceTlb: features.ats,
    pageRequests: features.pri,
    stalls: features.stallModel !== STALLS_NEVER,
    connect: (backend) => {
      forward.to = backend;
    },
    binding: (sid, out) => look(device, features, sid, out),
    secondOpinion: () => smmuSecondOpinion(device),
    substream: (sid, ssid, out) => new Look(device, features, sid).substream(ssid, out),
    tables: (sid, ssid) => new Look(device, features, sid).tables(ssid),
    substreams: (sid, found) => new Look(device, features, sid).substreams(found),
    pages: (sid, found) => new Look(device, features, sid).pages(found),
    event: (words) => {
      device.relayEvent(words);
    },
    hold: (port, lo, hi, access) => device.hold(port, lo, hi, access),
  };
}

function look(device: SmmuV3, features: UnitFeatures, sid: number, out: StreamBinding): void {
  const { regs } = device.s;
  out.words.fill(0);
  out.fault = 0;
  if ((regs[CR0_WORD]! & SMMUEN) === 0) {
    out.kind = (regs[GBPA_WORD]! & GBPA_ABORT) !== 0 ? 'abort' : 'bypass';
    return;
  }
  out.kind = 'abort';
  const stream = new Stream();
  out.fault = fetchStream(device, features, sid, out.words, stream);
  if (out.fault !== 0 || stream.config < CONFIG_BYPASS) return;
  if (stream.stage1) out.kind = stream.stage2 ? 'nested' : 'stage1';
  else out.kind = stream.stage2 ? 'stage2' : 'bypass';
}

/** One look at the stream: its STE, and the CDs that lead from there. */
class Look {
  readonly #device: SmmuV3;
  readonly #features: UnitFeatures;
  readonly #stream = new Stream();
  readonly #words = new Uint32Array(STE_WORDS);
  readonly #found: boolean;

  constructor(device: SmmuV3, features: UnitFeatures, sid: number) {
    this.#device = device;
    this.#features = features;
    this.#found =
      (device.s.regs[CR0_WORD]! & SMMUEN) !== 0 &&
      fetchStream(device, features, sid, this.#words, this.#stream) === 0 &&
      this.#stream.config >= CONFIG_BYPASS;
  }

  substream(ssid: number, out: SubstreamBinding): void {
    out.kind = 'abort';
    out.asid = -1;
    out.regime = 0;
    out.stalls = false;
    out.unlike = '';
    out.key = '';
    const { regs } = this.#device.s;
    if ((regs[CR0_WORD]! & SMMUEN) === 0) {
      if ((regs[GBPA_WORD]! & GBPA_ABORT) === 0) out.kind = 'bypass';
      return;
    }
    if (!this.#found) return;
    const stream = this.#stream;
    const substream = substreamOf(stream, ssid);
    if (substream < NO_CD) return;
    out.regime =
      stream.regime === WORLD_EL2
        ? EL2_REGIME
        : stream.regime === WORLD_EL2_E2H
          ? EL2_E2H_REGIME
          : stream.vmid;
    out.stalls = stream.stage2Stalls;
    if (stream.instruction === OVERRIDE_ON) out.unlike = 'its STE makes fetches of all reads (INSTCFG)';
    const under = stream.stage2 ? this.#words.subarray(4, 8).join(' ') : '';
    if (substream === NO_CD) {
      out.kind = stream.stage2 ? 'stage2' : 'bypass';
      out.key = under;
      return;
    }
    const cd = new Uint32Array(CD_WORDS);
    const context = this.#context(substream, cd);
    if (context === undefined) return;
    out.kind = stream.stage2 ? 'nested' : 'stage1';
    out.asid = context.asid;
    out.stalls ||= context.stalls;
    if (context.ignoresTop !== 0 && out.unlike === '')
      out.unlike = 'its CD has the top byte of addresses ignored (TBI)';
    out.key = `${under} ${cd.subarray(0, 6).join(' ')} ${stream.single} ${stream.privilege}`;
  }

  /** The CD, where it is legal. */
  #context(substream: number, cd: Uint32Array): Context | undefined {
    const { u32 } = this.#memory;
    const at = this.#cdAt(substream);
    if (at < 0) return undefined;
    for (let i = 0; i < CD_WORDS; i++) cd[i] = u32[(at >>> 2) + i]!;
    if (!isLegalCd(cd, 0, this.#features, this.#stream)) return undefined;
    const context = new Context();
    decodeCd(cd, 0, this.#features, this.#stream, context);
    return context;
  }

  tables(ssid: number): GuestTables {
    const stream = this.#stream;
    const substream = substreamOf(stream, ssid);
    const context = substream > NO_CD ? this.#context(substream, new Uint32Array(CD_WORDS)) : undefined;
    return new SmmuGuestTables(this.#device.c.memory, stream, context);
  }

  substreams(found: (ssid: number) => void): void {
    const { u32 } = this.#memory;
    this.#leaves((at, bytes, first) => {
      for (let n = 0; n < bytes / CD_BYTES; n++)
        if ((u32[(at + n * CD_BYTES) >>> 2]! & CD_V) !== 0) found(first + n);
    });
  }

  pages(found: (page: number) => void): void {
    if (!this.#hasContexts) return;
    const { lo, hi, entries, kind } = contextTableExtent(this.#stream);
    const see = (from: number, upper: number, bytes: number) => {
      if (upper === 0) for (let page = from - (from % 4096); page < from + bytes; page += 4096) found(page);
    };
    see(lo, hi, entries * (kind === CD_TABLE ? CD_BYTES : 8));
    if (kind !== CD_TABLE) this.#leaves((at, bytes) => see(at, 0, bytes));
  }

  get #hasContexts(): boolean {
    return this.#found && this.#stream.stage1 && !this.#stream.stage2;
  }

  /** Calls `found` with the place of each table of CDs in the linear memory, its bytes, and its first SubstreamID. */
  #leaves(found: (at: number, bytes: number, first: number) => void): void {
    if (!this.#hasContexts) return;
    const memory = this.#memory;
    const { lo, hi, entries, kind, shift } = contextTableExtent(this.#stream);
    const bytes = entries * (kind === CD_TABLE ? CD_BYTES : 8);
    const at = memory.locate(lo, hi, bytes);
    if (at < 0) return;
    if (kind === CD_TABLE) {
      found(at, bytes, 0);
      return;
    }
    for (let i = 0; i < entries; i++) {
      const leaf = this.#leafAt((at >>> 2) + 2 * i, shift);
      if (leaf >= 0) found(leaf, CD_BYTES << shift, i << shift);
    }
  }

  /** Where the table of a level 1 descriptor lies, or -1. */
  #leafAt(word: number, shift: number): number {
    const memory = this.#memory;
    const [low, high] = [memory.u32[word]!, memory.u32[word + 1]! & 0xffffff];
    if ((low & 1) === 0) return -1;
    return memory.locate(alignedLo(low, shift + 6), high, CD_BYTES << shift);
  }

  #cdAt(substream: number): number {
    if (!this.#hasContexts) return -1;
    const memory = this.#memory;
    const { lo, hi, kind, shift } = contextTableExtent(this.#stream);
    if (kind === CD_TABLE) return memory.locate(lo + substream * CD_BYTES, hi, CD_BYTES);
    const at = memory.locate(lo + (substream >>> shift) * 8, hi, 8);
    const leaf = at < 0 ? -1 : this.#leafAt(at >>> 2, shift);
    return leaf < 0 ? -1 : leaf + (substream & ((1 << shift) - 1)) * CD_BYTES;
  }

  get #memory() {
    return this.#device.w.services.memory.ram;
  }
}

/** The STE of a stream, into `words` and `stream`: 0, or the event that it is worth. */
function fetchStream(
  device: SmmuV3,
  features: UnitFeatures,
  sid: number,
  words: Uint32Array,
  stream: Stream,
): number {
  const { regs } = device.s;
  const ste = new ReadEntry(STE_WORDS);
  const { ram } = device.w.services.memory;
  const fault = new StreamTable(regs, ram, features, features.qemu).fetch(sid, new ReadEntry(2), ste);
  if (fault !== 0) return fault;
  words.set(ste.words);
  if (!isLegalSte(words, 0, features)) return C_BAD_STE;
  const controls = {
    checksTranslated: (regs[CR0_WORD]! & ATSCHK) !== 0,
    e2h: (regs[CR2_WORD]! & E2H) !== 0,
  };
  decodeSte(words, 0, features, controls, stream);
  return 0;
}
