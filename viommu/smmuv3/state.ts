import type { PendingDeviceTlb } from '../../vmm/bus/device-tlbs.ts';
import { RegisterBlock } from '../../vmm/regs/block.ts';
import type { Register } from '../../vmm/regs/layout.ts';
import { defineState, type StateDef } from '../../vmm/state/define.ts';
import {
  bool,
  count,
  type Json,
  list,
  registers,
  type Schema,
  u8,
  u16,
  u32,
  words,
} from '../../vmm/state/schema.ts';
import {
  AIDR,
  GBPA,
  IDR0,
  IDR1,
  IDR3,
  IDR5,
  REGISTER_BYTES,
  SMMU_REGISTERS,
} from '../spec/smmuv3/registers.ts';
import { CONFIG_ROW_WORDS } from '../walk/config-cache.ts';
import { ROW_WORDS } from '../walk/iotlb.ts';
import { PAGING_ROW_WORDS } from '../walk/paging-cache.ts';
import { PAIR_WAYS, PAIR_WORDS } from '../walk/pair-tags.ts';
import type { ChangedEntry as Changed } from '../watch/changed-entries.ts';
import type { WatchedTable as WatchedPart } from '../watch/watched-pages.ts';
import { identification, type SmmuConfig } from './config.ts';

/** A structure the unit can reach, or as much of it as lies in a page; `kind` is one of table-kinds.ts. */
export interface WatchedTable extends WatchedPart {
  /** Where in the page it begins, and how long it is. */
  first: number;
  bytes: number;
  /** StreamID or SubstreamID of the first entry; of page tables log2 of the granule. */
  base: number;
  /** log2 of the streams or substreams that an entry stands for; of page tables the level. */
  shift: number;
  /** Of CDs: which CD table they belong to (`roots`). Of page tables: 1 where pointers are inputs of the other stage. */
  owner: number;
}

/** An entry of a stream table or a CD table that software has changed and no invalidation has announced. */
export interface ChangedEntry extends Changed {
  /** StreamID or SubstreamID: the first one it stands for. */
  number: number;
  /** log2 of how many it stands for. */
  shift: number;
  /** CD table it belongs to. */
  owner: number;
  /** Streams that share the CD table and have been told. */
  told: { sid: number }[];
}

/** Everything software can find out about a unit: registers, and the caches that can be stale. */
export interface SmmuState {
  /** As software writes them; what CR0 and IRQ_CTRL have in effect is in CR0ACK and IRQ_CTRLACK. */
  regs: Uint32Array;
  /** Configuration cache: STEs, and CDs by (StreamID, SubstreamID); tags of each stream. */
  steCache: Uint32Array;
  steTags: Uint32Array;
  steCounters: Uint32Array;
  cdCache: Uint32Array;
  cdTags: Uint32Array;
  cdCounters: Uint32Array;
  /** TLB: stage 2 by VMID, and stage 1 or both by (VMID, ASID) with floors by VMID. */
  vmidTags: Uint32Array;
  tlbCounters: Uint32Array;
  contexts: Uint32Array;
  contextFloors: Uint32Array;
  contextLatest: Uint32Array;
  tlb: Uint32Array;
  tlbSizes: Uint32Array;
  walkCache: Uint32Array;
  /** Stalled transactions by their tag, and the lists they are in (stalls.ts). */
  stalls: Uint32Array;
  stallHeads: Uint32Array;
  stallCounters: Uint32Array;
  /** ATC invalidations that functions have not completed, and whether one was given up since the last CMD_SYNC. */
  deviceTlbs: PendingDeviceTlb[];
  atcFailed: boolean;
  /** The command queue is due on the virtual clock. */
  queueDue: boolean;
  watched: WatchedTable[];
  changed: ChangedEntry[];
  /** Stores to watched page tables since the last TLB invalidation. */
  tableStores: number;
  /** CD table of each stream, as it is watched: its address / 64; 0: none. */
  roots: Uint32Array;
  /** `cache: random`: the last chance taken; 0: none yet. */
  chance: number;
}

const STREAMS = 65536;
/** A stalled transaction: flags, StreamID, its event record, links. */
export const STALL_ROW_WORDS = 16;
/** How many there are, where the next is put, and the ends of the list of those without a record. */
export const STALL_COUNTER_WORDS = 4;
/** VMIDs, and the two worlds that have none. */
const VMIDS = 65536;
export const WORLD_EL2 = VMIDS;
export const WORLD_EL2_E2H = VMIDS + 1;
const REGIMES = VMIDS + 2;
/** Every stream has its place, so that none puts another out; memory is taken when it is used. */
const STE_ROWS = STREAMS;
const CD_ROWS = 262144;
/** Without substreams: one CD a stream. */
const PLAIN_CD_ROWS = STREAMS;
const CONTEXT_ROWS = 262144;
const PLAIN_CONTEXT_ROWS = 16384;
const TLB_ROWS = 8192;
/** With substreams: a hundred thousand of them, each with a page, find most of what they need. */
const WIDE_TLB_ROWS = 262144;
const UNBOUNDED_TLB_ROWS = 131072;
const WALK_ROWS = 1024;
const UNBOUNDED_WALK_ROWS = 16384;
/** `cache: random`: so few that entries put each other out, and that one taken at random is often in use. */
const FEW_TLB_ROWS = 64;
const FEW_ROWS = 16;

/** The register block of every unit; the identification registers hold what the options give. */
export function smmuBlock(): RegisterBlock {
  return new RegisterBlock(SMMU_REGISTERS as Register[], REGISTER_BYTES);
}

function smmuRegisterState(config: SmmuConfig, block: RegisterBlock): Schema<Uint32Array> {
  return {
    ...registers(block),
    fresh() {
      const regs = block.fresh();
      resetIdentification(regs, config);
      return regs;
    },
  };
}

/** What reset gives besides the values of the tables. */
export function resetIdentification(regs: Uint32Array, config: SmmuConfig): void {
  const id = identification(config);
  regs.set(id.idr0, IDR0.offset / 4);
  regs.set(id.idr1, IDR1.offset / 4);
  regs.set(id.idr3, IDR3.offset / 4);
  regs.set(id.idr5, IDR5.offset / 4);
  regs.set(id.aidr, AIDR.offset / 4);
  if (config['gbpa-abort']) GBPA.set(regs, GBPA.offset / 4, 'ABORT', 1);
}

/** Rows of the caches, by the options. */
function sizes(config: SmmuConfig) {
  const stalls = config.stall === 'terminate' ? 0 : config['stall-max'];
  if (config.cache === 'random')
    return { cds: FEW_ROWS, contexts: FEW_ROWS * PAIR_WAYS, tlb: FEW_TLB_ROWS, walks: FEW_ROWS, stalls };
  const large = config.cache === 'unbounded';
  const substreams = config.ssidsize > 0;
  return {
    cds: substreams ? CD_ROWS : PLAIN_CD_ROWS,
    contexts: substreams ? CONTEXT_ROWS : PLAIN_CONTEXT_ROWS,
    tlb: substreams ? WIDE_TLB_ROWS : large ? UNBOUNDED_TLB_ROWS : TLB_ROWS,
    walks: large ? UNBOUNDED_WALK_ROWS : WALK_ROWS,
    stalls,
  };
}

export function smmuState(config: SmmuConfig, block: RegisterBlock): StateDef<SmmuState> {
  const size = sizes(config);
  const shape = {
    regs: smmuRegisterState(config, block),
    steCache: words(STE_ROWS * CONFIG_ROW_WORDS),
    steTags: words(1),
    steCounters: words(2),
    cdCache: words(size.cds * CONFIG_ROW_WORDS),
    cdTags: words(STREAMS),
    cdCounters: words(2),
    vmidTags: words(VMIDS),
    tlbCounters: words(2),
    contexts: words(size.contexts * PAIR_WORDS),
    contextFloors: words(REGIMES),
    contextLatest: words(REGIMES),
    tlb: words(size.tlb * ROW_WORDS),
    tlbSizes: words(1),
    walkCache: words(size.walks * PAGING_ROW_WORDS),
    stalls: words(Math.max(1, size.stalls) * STALL_ROW_WORDS),
    stallHeads: words(size.stalls === 0 ? 1 : STREAMS),
    stallCounters: words(STALL_COUNTER_WORDS),
    deviceTlbs: list({ requester: u16, owner: u16, tag: u8 }),
    atcFailed: bool,
    queueDue: bool,
    watched: list({
      page: u32,
      kind: u8,
      first: u16,
      bytes: u16,
      base: u32,
      shift: u8,
      owner: u32,
      detached: bool,
    }),
    changed: list({
      address: u32,
      kind: u8,
      number: u32,
      shift: u8,
      owner: u32,
      told: list({ sid: u16 }),
      stores: count,
      live: count,
      used: bool,
    }),
    tableStores: u32,
    roots: words(STREAMS),
    chance: u32,
  };
  return defineState('viommu.smmuv3', 2, shape, { 1: withoutChance });
}

/** Before there was a cache policy with chance. */
function withoutChance(old: Json): Json {
  return { ...(old as Readonly<Record<string, Json>>), chance: 0 };
}
