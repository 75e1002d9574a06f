import { NO_PASID } from '../../vmm/bus/dma.ts';
import type { GuestTables } from '../port/tables.ts';
import { type VtdBinding, type VtdPort, vtdBinding } from '../port/vtd.ts';
import {
  LCT_NOT_PRESENT,
  LRT_NOT_PRESENT,
  RTA_ABORT,
  RTA_MODE,
  RTA_PASID,
  SCT_NO_PASIDS,
  SCT_NOT_PRESENT,
  SCT_PASID_SIZE,
  SCT_RID_PASID,
  SPD_NOT_PRESENT,
  SPT_NOT_PRESENT,
  SRT_NOT_PRESENT,
} from '../spec/vtd/faults.ts';
import { GSTS } from '../spec/vtd/registers.ts';
import { PGTT_FIRST, PGTT_NESTED, PGTT_PASS_THROUGH, TT_PASS_THROUGH } from '../spec/vtd/structures.ts';
import { NOT_READ } from '../watch/entry-steps.ts';
import { AccessRecord } from './access-record.ts';
import { unitCapabilities } from './capabilities.ts';
import { stagesOf } from './config.ts';
import { type ContextOptions, contextOptions, fetchContext } from './contexts.ts';
import type { VtdIommu } from './device.ts';
import { FirstStageTables, SecondStageTables } from './guest-tables.ts';
import { pasidFields, pasidLimit } from './pasid-fields.ts';
import {
  fetchPasidEntry,
  fetchScalableContext,
  type ScalableOptions,
  scalableOptions,
} from './scalable-structures.ts';
import { vtdSecondOpinion } from './second-opinion.ts';

const TE = 0x80000000;
const GSTS_WORD = GSTS.offset / 4;
const TTM = 0xc00;
const TTM_SCALABLE = 0x400;
const TTM_RESERVED = 0x800;
const DTE = 1 << 2;
const PASIDE = 1 << 3;
const PRE = 1 << 4;
const RID_PASID = 0xfffff;
const RID_PRIV = 1 << 20;
const SRE = 1 << 0;
const ERE = 1 << 1;
const WPE = 1 << 4;
const EAFE = 1 << 7;
/** PASIDs of one directory entry. */
const PASIDS_PER_TABLE = 64;

/** Entries that are only not present yet: with CAP.CM = 0 software makes them present without telling anybody. */
const ABSENT: readonly number[] = [
  LRT_NOT_PRESENT,
  LCT_NOT_PRESENT,
  SRT_NOT_PRESENT,
  SCT_NOT_PRESENT,
  SPD_NOT_PRESENT,
  SPT_NOT_PRESENT,
];

/** The port of a unit: looks at the structures in memory, and checks them as the unit does. */
export function vtdPort(device: VtdIommu): VtdPort {
  const { config, forward } = device.w;
  const stages = stagesOf(config);
  const unit = unitCapabilities(config);
  return {
    architecture: 'vtd',
    cachingMode: config['caching-mode'],
    addressBits: config['aw-bits'],
    pasidBits: config['pasid-bits'],
    firstStage: stages.first,
    secondStage: stages.second || !config['scalable-mode'],
    deviceTlb: unit.deviceTlbs,
    pageRequests: unit.pageRequests,
    connect: (backend) => {
      forward.to = backend;
    },
    binding: (requester, pasid, out, held) => new Look(device, held).binding(requester, pasid, out),
    pasids: (requester, found, held) => new Look(device, held).pasids(requester, found),
    tables: (requester, pasid, held) => new Look(device, held).tables(requester, pasid),
    pages: (requester, found) => new Look(device).pages(requester, found),
    secondOpinion: () => vtdSecondOpinion(device),
  };
}

/** One look at the structures. */
class Look {
  readonly #device: VtdIommu;
  readonly #record = new AccessRecord();
  readonly #scalable: ScalableOptions;
  readonly #legacy: ContextOptions;
  readonly #held: Uint32Array | undefined;

  constructor(device: VtdIommu, held?: Uint32Array) {
    this.#device = device;
    this.#held = held;
    this.#scalable = scalableOptions(device.w.config);
    this.#legacy = contextOptions(device.w.config);
  }

  binding(requester: number, pasid: number, out: VtdBinding): void {
    this.#record.clear();
    out.fault = 0;
    out.kind = 'identity';
    out.legacy = false;
    out.did = 0;
    out.pasid = pasid === NO_PASID ? 0 : pasid;
    out.deviceTlb = false;
    out.pageRequests = false;
    out.context.fill(0);
    out.walkMode = 0;
    out.privileged = false;
    const { s } = this.#device;
    if ((s.regs[GSTS_WORD]! & TE) !== 0) {
      const mode = s.rootLo & TTM;
      if (mode === TTM) out.fault = RTA_ABORT;
      else if (mode === TTM_RESERVED) out.fault = RTA_MODE;
      else if (mode === TTM_SCALABLE) out.fault = this.#inScalable(requester, pasid, out);
      else out.fault = this.#inLegacy(requester, pasid, out);
    }
    if (out.fault !== 0) out.kind = 'blocked';
    out.absent = ABSENT.includes(out.fault);
    this.#addresses(out);
  }

  #inLegacy(requester: number, pasid: number, out: VtdBinding): number {
    const record = this.#record;
    const { s } = this.#device;
    if (pasid !== NO_PASID) return RTA_PASID;
    const fault = fetchContext(this.#memory, s.rootLo, s.rootHi, requester, this.#legacy, record);
    if (fault !== 0) return fault;
    const e = record.context;
    out.legacy = true;
    out.did = (e[2]! >>> 8) & 0xffff;
    out.deviceTlb = ((e[0]! >>> 2) & 3) === 1;
    if (((e[0]! >>> 2) & 3) === TT_PASS_THROUGH) return 0;
    out.kind = 'second-stage';
    out.secondLo = e[0]! & -4096;
    out.secondHi = e[1]! | 0;
    out.width = e[2]! & 7;
    return 0;
  }

  #inScalable(requester: number, pasid: number, out: VtdBinding): number {
    const record = this.#record;
    const fault = this.#context(requester);
    if (fault !== 0) return fault;
    const [e0, , e2] = record.context as unknown as [number, number, number];
    out.context.set(record.context);
    out.deviceTlb = (e0 & DTE) !== 0;
    out.pageRequests = (e0 & PRE) !== 0;
    if (pasid === NO_PASID) {
      const { config } = this.#device.w;
      out.pasid = config['rid-pasid'] ? e2 & RID_PASID : 0;
      out.privileged = config['supervisor-requests'] && (e2 & RID_PRIV) !== 0;
      if (out.pasid >= pasidLimit(e0)) return SCT_RID_PASID;
    } else if ((e0 & PASIDE) === 0 || this.#device.w.config['pasid-bits'] === 0) return SCT_NO_PASIDS;
    else if (pasid >= pasidLimit(e0)) return SCT_PASID_SIZE;
    const bad = fetchPasidEntry(this.#memory, out.pasid, this.#scalable, record);
    if (bad === 0) this.#entry(out);
    return bad;
  }

  /** A valid PASID-table entry. */
  #entry(out: VtdBinding): void {
    const e = this.#record.pasidEntry;
    const type = (e[0]! >>> 6) & 7;
    out.did = e[2]! & 0xffff;
    if (type === PGTT_PASS_THROUGH) return;
    out.walkMode = pasidFields(this.#device.w.config, this.#scalable).secondMode(e[0]!, e[2]!);
    out.kind = type === PGTT_FIRST ? 'first-stage' : type === PGTT_NESTED ? 'nested' : 'second-stage';
    const controls = e[4]! & this.#scalable.offered[1];
    out.firstLo = controls & -4096;
    out.firstHi = e[5]! | 0;
    out.levels = ((controls >>> 2) & 3) === 1 ? 5 : 4;
    out.supervisor = (controls & SRE) !== 0;
    out.execute = (controls & ERE) !== 0;
    out.writeProtect = (controls & WPE) !== 0;
    out.extendedAccessed = (controls & EAFE) !== 0;
    out.secondLo = e[0]! & -4096;
    out.secondHi = e[1]! | 0;
    out.width = (e[0]! >>> 2) & 7;
  }

  tables(requester: number, pasid: number): GuestTables {
    const device = this.#device;
    const out = vtdBinding();
    this.binding(requester, pasid, out);
    const marks = {
      // The watch is another after a reset.
      set updating(on: boolean) {
        device.c.watch.updating = on;
      },
    };
    if (out.kind === 'second-stage')
      return new SecondStageTables(device.w, marks, out.secondLo, out.secondHi, out.width, out.walkMode);
    return new FirstStageTables(device.w, marks, this.#record.pasidEntry, out.privileged);
  }

  pasids(requester: number, found: (pasid: number) => void): void {
    const { u32 } = this.#memory;
    this.#tables(requester, (table, d) => {
      for (let n = 0; n < PASIDS_PER_TABLE; n++)
        if ((u32[(table >>> 2) + 16 * n]! & 1) !== 0) found(d * PASIDS_PER_TABLE + n);
    });
  }

  pages(requester: number, found: (page: number, pasid: number) => void): void {
    const { s } = this.#device;
    if ((s.regs[GSTS_WORD]! & TE) === 0) return;
    const scalable = (s.rootLo & TTM) === TTM_SCALABLE;
    const record = this.#record;
    record.clear();
    const fault = scalable
      ? this.#context(requester)
      : fetchContext(this.#memory, s.rootLo, s.rootHi, requester, this.#legacy, record);
    const see = (lo: number, hi: number) => {
      if (hi === 0) found((lo & -4096) >>> 0, NO_PASID);
    };
    if (record.rootSource !== NOT_READ) see(record.rootAddress, record.rootUpper);
    if (record.contextSource !== NOT_READ) see(record.contextAddress, record.contextUpper);
    if (!scalable || fault !== 0) return;
    const [lo, hi] = record.context as unknown as [number, number];
    const bytes = (pasidLimit(lo) / PASIDS_PER_TABLE) * 8;
    for (let at = 0; at < bytes; at += 4096) see((lo & -4096) + at, hi);
    this.#tables(requester, (table, d) => found(table, d * PASIDS_PER_TABLE));
  }

  /** Calls `found` for each PASID table that the directory names, with its index in the directory. */
  #tables(requester: number, found: (table: number, index: number) => void): void {
    const { s } = this.#device;
    if ((s.regs[GSTS_WORD]! & TE) === 0 || (s.rootLo & TTM) !== TTM_SCALABLE) return;
    this.#record.clear();
    if (this.#context(requester) !== 0) return;
    const { context } = this.#record;
    if ((context[0]! & PASIDE) === 0) return;
    const memory = this.#memory;
    const count = pasidLimit(context[0]!) / PASIDS_PER_TABLE;
    const directory = memory.locate(context[0]! & -4096, context[1]!, count * 8);
    if (directory < 0) return;
    const { u32 } = memory;
    for (let d = 0, i = directory >>> 2; d < count; d++, i += 2) {
      if ((u32[i]! & 1) === 0) continue;
      const table = memory.locate(u32[i]! & -4096, u32[i + 1]!, 4096);
      if (table >= 0) found(table, d);
    }
  }

  #context(requester: number): number {
    const { s } = this.#device;
    if (this.#held !== undefined) {
      this.#record.context.set(this.#held);
      return 0;
    }
    return fetchScalableContext(this.#memory, s.rootLo, s.rootHi, requester, this.#scalable, this.#record);
  }

  get #memory() {
    return this.#device.w.services.memory.ram;
  }

  #addresses(out: VtdBinding): void {
    const r = this.#record;
    const of = (source: number, lo: number, hi: number) => (source === NOT_READ || hi !== 0 ? -1 : lo);
    out.read.root = of(r.rootSource, r.rootAddress, r.rootUpper);
    out.read.context = of(r.contextSource, r.contextAddress, r.contextUpper);
    out.read.directory = of(r.directorySource, r.directoryAddress, r.directoryUpper);
    out.read.entry = of(r.pasidSource, r.pasidAddress, r.pasidUpper);
  }
}
