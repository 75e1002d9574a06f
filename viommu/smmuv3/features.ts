import { hex } from '../../vmm/core/u64.ts';
import type { Layout } from '../../vmm/regs/layout.ts';
import {
  E_PAGE_REQUEST,
  EVENT_KINDS,
  eventCodeText,
  F_CFG_CONFLICT,
  F_TLB_CONFLICT,
  F_UUT,
  F_VMS_FETCH,
} from '../spec/smmuv3/faults.ts';
import { AIDR, IDR0, IDR1, IDR3, IDR5 } from '../spec/smmuv3/registers.ts';
import { CD, L1CD, L1STD, STE } from '../spec/smmuv3/structures.ts';
import { commandsOf } from './commands.ts';
import { identification, type SmmuConfig } from './config.ts';
import { type UnitFeatures, unitFeatures } from './unit.ts';

/** One row of the table "feature | advertised | note". */
export interface FeatureRow {
  readonly feature: string;
  readonly advertised: string;
  readonly note: string;
}

function registerRows(layout: Layout, words: Uint32Array): FeatureRow[] {
  return Object.entries(layout.fields).map(([name, field]) => ({
    feature: `${layout.name}.${name}`,
    advertised: field.access === 'unimpl' ? 'no' : hex(layout.get[name]!(words, 0)),
    note: field.access === 'unimpl' ? `${field.doc} (limit)` : field.doc,
  }));
}

function commandRows(u: UnitFeatures): FeatureRow[] {
  return commandsOf(u).map(({ layout, opcode, offered }) => ({
    feature: `command ${eventCodeText(opcode)} ${layout.name}`,
    advertised: offered ? 'yes' : 'no',
    note: offered ? layout.cite : `${layout.cite}: CERROR_ILL`,
  }));
}

const NEVER = [F_UUT, F_TLB_CONFLICT, F_CFG_CONFLICT, E_PAGE_REQUEST, F_VMS_FETCH];

function eventRows(): FeatureRow[] {
  return EVENT_KINDS.map(({ code, name, why }) => ({
    feature: `event ${eventCodeText(code)} ${name}`,
    advertised: NEVER.includes(code) ? 'no' : 'yes',
    note: NEVER.includes(code) ? `${why}: does not occur (limit)` : why,
  }));
}

const ATTRIBUTES = 'memory types have no effect on memory that is always coherent (limit)';
const SECURE = 'Secure only';
const PARTITIONS = 'IDR3.MPAM is 0 (limit)';
const INDIRECTION = 'IDR3.S1PI, S2PI and S2PO are 0 (limit)';
const ACCESS_OF_TABLES = 'IDR0.HTTU is at most 2 (limit)';
const HARDWARE_BITS = 'IDR3.PBHA is 0 (limit)';
const WIDE = 'IDR5.DS is 0 (limit)';

/** Fields without effect, by pattern of their names, and why. */
const UNUSED: readonly (readonly [RegExp, string])[] = [
  [
    /^(S1CIR|S1COR|S1CSH|MemAttr|MTCFG|ALLOCCFG|SHCFG|S2IR0|S2OR0|S2SH0|[IO]R[01]|SH[01]|A?MAIR[01])$/,
    ATTRIBUTES,
  ],
  [/^(NSCFG[01]?|S2NSW|S2NSA|S_S2T0SZ|S_S2TTB)$/, SECURE],
  [/^(S1MPAM|PARTID|PMG|VMSPtr)$/, PARTITIONS],
  [/^(S1PIE|S2PIE|S2POE|PIE|PII[UP].*|AIE|PnCH)$/, INDIRECTION],
  [/^(S2HAFT|HAFT)$/, ACCESS_OF_TABLES],
  [/^(S2HWU|HWU[01])$/, HARDWARE_BITS],
  [/^(DS|S2DS|S2SL0_2|S2SKL)$/, WIDE],
  [/^S2FWB$/, 'IDR3.FWB is 0 (limit)'],
  [/^(DPT_VMATCH)$/, 'IDR3.DPT is 0 (limit)'],
  [/^(AssuredOnly|TL0|TL1)$/, 'IDR3.THE is 0 (limit)'],
  [/^(DRE|DCP)$/, 'there are no destructive reads and no prefetches of caches'],
  [/^CONT$/, 'every STE is cached alone, as is allowed'],
  [/^MEV$/, 'events are not merged, as is allowed (limit)'],
  [/^SW_RES$/, 'software'],
  [/^UWXN$/, 'AArch32 only'],
];

function fieldRows(layout: Layout, u: UnitFeatures): FeatureRow[] {
  const missing: Readonly<Record<string, boolean>> = {
    PRIVCFG: !u.overrides,
    INSTCFG: !u.overrides,
    EATS: !u.ats,
    STRW: !u.hyp,
    PPAR: !u.pri,
    EPAN: !u.epan,
    E0PD0: !u.e0pd,
    E0PD1: !u.e0pd,
    HAD0: !u.had,
    HAD1: !u.had,
  };
  return Object.entries(layout.fields).map(([name, field]) => {
    const why = UNUSED.find(([pattern]) => pattern.test(name))?.[1];
    const off = missing[name] === true;
    return {
      feature: `${layout.name}: ${name}`,
      advertised: why !== undefined || off ? 'no' : 'yes',
      note: why ?? (off ? `${field.doc}; switched on by an option` : field.doc),
    };
  });
}

/** Every identification bit, command, event and structure field of a unit with these options. */
export function smmuFeatures(config: SmmuConfig): FeatureRow[] {
  const id = identification(config);
  const u = unitFeatures(config);
  const layouts: readonly (readonly [unknown, Uint32Array])[] = [
    [IDR0, id.idr0],
    [IDR1, id.idr1],
    [IDR3, id.idr3],
    [IDR5, id.idr5],
    [AIDR, id.aidr],
  ];
  return [
    ...layouts.flatMap(([layout, words]) => registerRows(layout as Layout, words)),
    ...commandRows(u),
    ...eventRows(),
    ...[L1STD, STE, L1CD, CD].flatMap((layout) => fieldRows(layout as unknown as Layout, u)),
  ];
}

/** The same as a Markdown table. */
export function smmuFeatureTable(config: SmmuConfig): string {
  const rows = smmuFeatures(config).map((r) => `| ${r.feature} | ${r.advertised} | ${r.note} |`);
  return ['| feature | advertised | note |', '|---|---|---|', ...rows].join('\n');
}
