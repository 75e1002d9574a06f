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
import { CAP, ECAP } from '../spec/vtd/capabilities.ts';
import { REGISTER_BYTES, vtdRegisters } from '../spec/vtd/registers.ts';
import { ENTRY_ROW_WORDS } from '../walk/entry-cache.ts';
import { ROW_WORDS } from '../walk/iotlb.ts';
import { PAGING_ROW_WORDS } from '../walk/paging-cache.ts';
import { PAIR_WAYS, PAIR_WORDS } from '../walk/pair-tags.ts';
import { PASID_ROW_WORDS } from '../walk/pasid-cache.ts';
import type { ChangedEntry as Changed } from '../watch/changed-entries.ts';
import type { WatchedTable as WatchedPart } from '../watch/watched-pages.ts';
import { unitCapabilities } from './capabilities.ts';
import { capability, extendedCapability, type VtdConfig } from './config.ts';

/** A page of remapping structures the unit has read while live, and what it holds: `kind` is one of table-kinds.ts. */
export interface WatchedTable extends WatchedPart {
  /** Level of a page table. */
  level: number;
  /** Requester id or PASID of the first entry, in scalable mode. */
  base: number;
  /** First page of the PASID directory that it is or belongs to. */
  owner: number;
}

/** An entry of a scalable-mode structure that software has changed and no invalidation has announced. */
export interface ChangedEntry extends Changed {
  /** Requester id of a root or context entry, PASID of others: the first one it stands for. */
  number: number;
  /** First page of its PASID directory. */
  owner: number;
  /** Domain-id it had before. */
  did: number;
}

/** Everything software can find out about a unit: registers, what they were latched into, and the stale-able caches. */
export interface VtdState {
  regs: Uint32Array;
  /** RTADDR as SRTP latched it. */
  rootLo: number;
  rootHi: number;
  /** IRTA as SIRTP latched it. */
  irtaLo: number;
  irtaHi: number;
  /** Next fault-recording register to be used. */
  faultIndex: number;
  /** Device-TLB invalidations that functions have not completed. */
  deviceTlbs: PendingDeviceTlb[];
  /** The wait descriptor at the head of the invalidation queue waits for them. */
  waitHeld: boolean;
  /** The invalidation queue is due on the virtual clock. */
  queueDue: boolean;
  domainTags: Uint32Array;
  domainCounters: Uint32Array;
  contextTags: Uint32Array;
  contextCounters: Uint32Array;
  interruptTags: Uint32Array;
  interruptCounters: Uint32Array;
  iotlb: Uint32Array;
  iotlbSizes: Uint32Array;
  pagingCache: Uint32Array;
  /** Scalable mode: the PASID-cache, and the tags of (domain, PASID) with their floors by domain. */
  pasidCache: Uint32Array;
  pairs: Uint32Array;
  pairFloors: Uint32Array;
  pairLatest: Uint32Array;
  pasidFloors: Uint32Array;
  pasidFloor: Uint32Array;
  contextCache: Uint32Array;
  interruptCache: Uint32Array;
  watched: WatchedTable[];
  /** Stores to watched tables since the last invalidation. */
  tableStores: number;
  changed: ChangedEntry[];
  /** `cache: random`: the last chance taken; 0: none yet. */
  chance: number;
}

const DOMAINS = 65536;
export const IOTLB_ROWS = 8192;
/** `cache: unbounded`: more rows than a guest maps in practice, so that nothing is ever evicted by use. */
export const UNBOUNDED_ROWS = 131072;
const PAGING_ROWS = 1024;
const UNBOUNDED_PAGING_ROWS = 16384;
/** With PASIDs: a hundred thousand of them, each with a page, find most of what they need. */
const PASID_ROWS = 262144;
const PAIR_ROWS = 262144;
const WIDE_IOTLB_ROWS = 131072;
/** Without: one PASID for each requester. */
const RID_ROWS = 1024;
/** Context entries, and interrupt entries. */
const ENTRY_ROWS = 1024;
const UNBOUNDED_ENTRY_ROWS = 65536;
/** `cache: random`: so few that entries put each other out, and that one taken at random is often in use. */
const FEW_IOTLB_ROWS = 64;
const FEW_ROWS = 16;

/** The register block of a unit with these options: CAP and ECAP hold what the options give. */
export function vtdBlock(config: VtdConfig): RegisterBlock {
  const list = vtdRegisters(config['fault-records'], unitCapabilities(config).pageRequests);
  return new RegisterBlock(list as Register[], REGISTER_BYTES);
}

function vtdRegisterState(config: VtdConfig, block: RegisterBlock): Schema<Uint32Array> {
  const schema = registers(block);
  return {
    ...schema,
    fresh() {
      const regs = block.fresh();
      resetCapabilities(regs, config);
      return regs;
    },
  };
}

export function resetCapabilities(regs: Uint32Array, config: VtdConfig): void {
  regs.set(capability(config), CAP.offset / 4);
  regs.set(extendedCapability(config), ECAP.offset / 4);
}

/** Rows of the caches, by the options. */
function sizes(config: VtdConfig) {
  const scalable = config['scalable-mode'];
  const pasids = config['pasid-bits'] > 0;
  const domains = scalable ? DOMAINS : 1;
  if (config.cache === 'random')
    return {
      iotlb: FEW_IOTLB_ROWS,
      paging: FEW_ROWS,
      entries: FEW_ROWS,
      pasids: FEW_ROWS,
      pairs: FEW_ROWS * PAIR_WAYS,
      domains,
    };
  const large = config.cache === 'unbounded';
  return {
    iotlb: large ? UNBOUNDED_ROWS : pasids ? WIDE_IOTLB_ROWS : IOTLB_ROWS,
    paging: large ? UNBOUNDED_PAGING_ROWS : PAGING_ROWS,
    entries: large ? UNBOUNDED_ENTRY_ROWS : ENTRY_ROWS,
    pasids: !scalable ? 4 : pasids ? PASID_ROWS : RID_ROWS,
    pairs: !scalable ? PAIR_WAYS : pasids ? PAIR_ROWS : RID_ROWS * PAIR_WAYS,
    domains,
  };
}

export function vtdState(config: VtdConfig, block: RegisterBlock): StateDef<VtdState> {
  const size = sizes(config);
  const shape = {
    regs: vtdRegisterState(config, block),
    rootLo: u32,
    rootHi: u32,
    irtaLo: u32,
    irtaHi: u32,
    faultIndex: u8,
    deviceTlbs: list({ requester: u16, owner: u16, tag: u8 }),
    waitHeld: bool,
    queueDue: bool,
    domainTags: words(DOMAINS),
    domainCounters: words(2),
    contextTags: words(DOMAINS),
    contextCounters: words(2),
    interruptTags: words(1),
    interruptCounters: words(2),
    iotlb: words(size.iotlb * ROW_WORDS),
    iotlbSizes: words(1),
    pagingCache: words(size.paging * PAGING_ROW_WORDS),
    pasidCache: words(size.pasids * PASID_ROW_WORDS),
    pairs: words(size.pairs * PAIR_WORDS),
    pairFloors: words(size.domains),
    pairLatest: words(size.domains),
    pasidFloors: words(size.domains),
    pasidFloor: words(1),
    contextCache: words(size.entries * ENTRY_ROW_WORDS),
    interruptCache: words(size.entries * ENTRY_ROW_WORDS),
    watched: list({ page: u32, kind: u8, level: u8, base: u32, owner: u32, detached: bool }),
    tableStores: u32,
    changed: list({
      address: u32,
      kind: u8,
      number: u32,
      owner: u32,
      did: u16,
      stores: count,
      live: count,
      used: bool,
    }),
    chance: u32,
  };
  return defineState('viommu.intel', 2, shape, { 1: withoutChance });
}

/** Before there was a cache policy with chance. */
function withoutChance(old: Json): Json {
  return { ...(old as Readonly<Record<string, Json>>), chance: 0 };
}
