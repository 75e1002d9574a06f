import { completeOptions } from '../../vmm/bus/iommu.ts';
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
import { AIDR, IDR0, IDR1, IDR2, IDR3, IDR4, IDR5, IIDR, SMMU_REGISTERS } from '../spec/smmuv3/registers.ts';
import { CD, L1CD, L1STD, STE } from '../spec/smmuv3/structures.ts';
import { commandsOf } from './commands.ts';
import { identification, SMMU_DEFAULTS, type SmmuConfig, smmuPresets } from './config.ts';
import { STALLS_NEVER, STALLS_OPTIONAL, type UnitFeatures, unitFeatures } from './unit.ts';

/** One row of the table "feature | advertised | note". */
export interface FeatureRow {
  readonly feature: string;
  readonly advertised: string;
  readonly note: string;
}

/** Why a field of an identification register is fixed: a limit (spec/smmuv3/limits.ts). */
const LIMIT_OF_FIELD: Readonly<Record<string, string>> = {
  TTF: 'smmu-aarch32-tables',
  TTENDIAN: 'smmu-byte-order',
  TERM_MODEL: 'smmu-raz-wi',
  SIDSIZE: 'smmu-streamid-width',
  BTM: 'smmu-broadcast',
  DORMHINT: 'smmu-dormant',
  ATOS: 'smmu-translation-operations',
  VATOS: 'smmu-translation-operations',
  BA_VATOS: 'smmu-translation-operations',
  RME_IMPL: 'smmu-security-states',
  REL: 'smmu-presets',
  QUEUES_PRESET: 'smmu-presets',
  TABLES_PRESET: 'smmu-presets',
  CMDQ_CONTROL_PAGE_LOG2NUMP: 'smmu-enhanced-command-queues',
  ECMDQ: 'smmu-enhanced-command-queues',
  PBHA: 'smmu-hardware-bits',
  MPAM: 'smmu-partitioning',
  FWB: 'smmu-memory-types',
  DPT: 'smmu-permission-table',
  PASIDTT: 'smmu-translated-pasids',
  S1PI: 'smmu-128-bit-descriptors',
  S2PI: 'smmu-128-bit-descriptors',
  S2PO: 'smmu-128-bit-descriptors',
  D128: 'smmu-128-bit-descriptors',
  AIE: 'smmu-128-bit-descriptors',
  THE: 'smmu-hardening',
  MTEPERM: 'smmu-hardening',
  DS: 'smmu-52-bit',
  VAX: 'smmu-52-bit',
};

/** Another value of each option that the identification registers know. */
const OTHER_VALUES: readonly Partial<SmmuConfig>[] = [
  { stage: '1' },
  { stage: '2' },
  { oas: 48 },
  { ssidsize: 8 },
  { stall: 'forced' },
  { 'stall-max': 7 },
  { httu: 'access' },
  { bbml: 1 },
  { cmdqs: 8 },
  { eventqs: 8 },
  { priqs: 8 },
  ...(
    [
      ...['ril', 'ats', 'pri', 'pps', 'gran4k', 'gran16k', 'gran64k', 'two-level-streams', 'two-level-cds'],
      ...['asid16', 'vmid16', 'hyp', 'vmw', 'msi', 'sev', 'had', 'xnx', 'stt', 'e0pd', 'epan', 'ptwnnc'],
      ...['attribute-overrides', 'ats-record-errors', 'ats-split-stage'],
    ] as (keyof SmmuConfig)[]
  ).flatMap((option) => [{ [option]: true }, { [option]: false }]),
];

/** The identification registers, and what they say of a configuration. */
function registersOf(config: SmmuConfig): readonly (readonly [layout: Layout, words: Uint32Array])[] {
  const id = identification(config);
  const none = new Uint32Array(1);
  const rows: readonly (readonly [unknown, Uint32Array])[] = [
    [IDR0, id.idr0],
    [IDR1, id.idr1],
    [IDR2, none],
    [IDR3, id.idr3],
    [IDR4, none],
    [IDR5, id.idr5],
    [IIDR, none],
    [AIDR, id.aidr],
    [SMMU_REGISTERS.find(({ name }) => name === 'IDR6'), none],
  ];
  return rows as readonly (readonly [Layout, Uint32Array])[];
}

function valuesOf(config: SmmuConfig): Map<string, number> {
  const fields = registersOf(config).flatMap(([layout, words]) =>
    Object.keys(layout.fields).map(
      (name) => [`${layout.name}.${name}`, layout.get[name]!(words, 0)] as const,
    ),
  );
  return new Map(fields);
}

const SVM = completeOptions({ defaults: SMMU_DEFAULTS, presets: smmuPresets }, { svm: true });

/** By field: the options that switch it. */
function optionsOfFields(): Map<string, Set<string>> {
  const options = new Map<string, Set<string>>();
  for (const base of [SMMU_DEFAULTS, SVM]) {
    const before = valuesOf(base);
    for (const change of OTHER_VALUES)
      for (const [field, value] of valuesOf({ ...base, ...change })) {
        if (value === before.get(field)) continue;
        const known = options.get(field) ?? new Set();
        options.set(field, known.add(Object.keys(change)[0]!));
      }
  }
  return options;
}

function registerRows(config: SmmuConfig): FeatureRow[] {
  const options = optionsOfFields();
  return registersOf(config).flatMap(([layout, words]) =>
    Object.entries(layout.fields).map(([name, field]) => {
      const feature = `${layout.name}.${name}`;
      const absent = field.access === 'unimpl';
      const limit = LIMIT_OF_FIELD[name];
      const switches = [...(options.get(feature) ?? [])];
      const why =
        limit !== undefined
          ? ` (limit ${limit})`
          : switches.length > 0
            ? `; options: ${switches.join(', ')}`
            : '; the same in every configuration';
      return {
        feature,
        advertised: absent ? 'no' : hex(layout.get[name]!(words, 0)),
        note: `${field.doc}${why}`,
      };
    }),
  );
}

/** Options and limits behind commands that are not offered; without one: never absent. */
const COMMAND_NEEDS: Readonly<Record<string, string>> = {
  CMD_CFGI_CD: 'stage 1',
  CMD_CFGI_CD_ALL: 'stage 1',
  CMD_CFGI_VMS_PIDM: 'limit smmu-partitioning',
  CMD_TLBI_NH_ALL: 'stage 1',
  CMD_TLBI_NH_ASID: 'stage 1',
  CMD_TLBI_NH_VA: 'stage 1',
  CMD_TLBI_NH_VAA: 'stage 1',
  CMD_TLBI_EL2_ALL: 'option hyp',
  CMD_TLBI_EL2_ASID: 'option hyp',
  CMD_TLBI_EL2_VA: 'option hyp',
  CMD_TLBI_EL2_VAA: 'option hyp',
  CMD_TLBI_S12_VMALL: 'stage 2',
  CMD_TLBI_S2_IPA: 'stage 2',
  CMD_ATC_INV: 'option ats',
  CMD_PRI_RESP: 'option pri',
  CMD_RESUME: 'option stall',
  CMD_STALL_TERM: 'option stall',
};

/** Commands of other programming interfaces and features: opcodes and why they are ILLEGAL here. */
const OTHER_COMMANDS: readonly (readonly [opcode: number, name: string, limit: string])[] = [
  [0x18, 'CMD_TLBI_EL3_ALL', 'smmu-security-states'],
  [0x1a, 'CMD_TLBI_EL3_VA', 'smmu-security-states'],
  [0x50, 'CMD_TLBI_S_EL2_ALL', 'smmu-security-states'],
  [0x51, 'CMD_TLBI_S_EL2_ASID', 'smmu-security-states'],
  [0x52, 'CMD_TLBI_S_EL2_VA', 'smmu-security-states'],
  [0x53, 'CMD_TLBI_S_EL2_VAA', 'smmu-security-states'],
  [0x58, 'CMD_TLBI_S_S12_VMALL', 'smmu-security-states'],
  [0x5a, 'CMD_TLBI_S_S2_IPA', 'smmu-security-states'],
  [0x60, 'CMD_TLBI_SNH_ALL', 'smmu-security-states'],
  [0x70, 'CMD_DPTI_ALL', 'smmu-permission-table'],
  [0x73, 'CMD_DPTI_PA', 'smmu-permission-table'],
];

function commandRows(u: UnitFeatures): FeatureRow[] {
  const known = commandsOf(u).map(({ layout, opcode, offered }) => {
    const needs = COMMAND_NEEDS[layout.name];
    const why = needs === undefined ? '' : offered ? ` (${needs})` : `: CERROR_ILL (${needs})`;
    return {
      opcode,
      feature: `command ${eventCodeText(opcode)} ${layout.name}`,
      advertised: offered ? 'yes' : 'no',
      note: `${layout.cite}${why}`,
    };
  });
  const others = OTHER_COMMANDS.map(([opcode, name, limit]) => ({
    opcode,
    feature: `command ${eventCodeText(opcode)} ${name}`,
    advertised: 'no',
    note: `SMMUv3: ${name}: CERROR_ILL (limit ${limit})`,
  }));
  return [...known, ...others]
    .sort((a, b) => a.opcode - b.opcode)
    .map(({ feature, advertised, note }) => ({ feature, advertised, note }));
}

/** Events that do not occur, and the limit that says so. */
const NEVER: readonly (readonly [code: number, limit: string])[] = [
  [F_UUT, 'smmu-conflicts'],
  [F_TLB_CONFLICT, 'smmu-conflicts'],
  [F_CFG_CONFLICT, 'smmu-conflicts'],
  [E_PAGE_REQUEST, 'smmu-conflicts'],
  [F_VMS_FETCH, 'smmu-partitioning'],
];

function eventRows(): FeatureRow[] {
  return EVENT_KINDS.map(({ code, name, why }) => {
    const limit = NEVER.find(([other]) => other === code)?.[1];
    return {
      feature: `event ${eventCodeText(code)} ${name}`,
      advertised: limit === undefined ? 'yes' : 'no',
      note: limit === undefined ? why : `${why}: does not occur (limit ${limit})`,
    };
  });
}

const ATTRIBUTES = 'memory types have no effect on memory that is always coherent (limit smmu-memory-types)';
const SECURE = 'Secure only (limit smmu-security-states)';
const PARTITIONS = 'IDR3.MPAM is 0 (limit smmu-partitioning)';
const INDIRECTION = 'IDR3.S1PI, S2PI and S2PO are 0 (limit smmu-128-bit-descriptors)';
const ACCESS_OF_TABLES = 'IDR0.HTTU is at most 2 (limit smmu-table-access-flag)';
const HARDWARE_BITS = 'IDR3.PBHA is 0 (limit smmu-hardware-bits)';
const WIDE = 'IDR5.DS is 0 (limit smmu-52-bit)';

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
  [/^S2FWB$/, 'IDR3.FWB is 0 (limit smmu-memory-types)'],
  [/^(DPT_VMATCH)$/, 'IDR3.DPT is 0 (limit smmu-permission-table)'],
  [/^(AssuredOnly|TL0|TL1)$/, 'IDR3.THE is 0 (limit smmu-hardening)'],
  [/^(DRE|DCP)$/, 'there are no destructive reads and no prefetches of caches (limit smmu-prefetch)'],
  [/^CONT$/, 'every STE is cached alone, as is allowed (limit smmu-conflicts)'],
  [/^MEV$/, 'events are not merged, as is allowed (limit smmu-event-merging)'],
  [/^SW_RES$/, 'software: the unit does not look at it'],
  [/^UWXN$/, 'AArch32 only (limit smmu-aarch32-tables)'],
];

function fieldRows(layout: Layout, u: UnitFeatures): FeatureRow[] {
  const switches: Readonly<Record<string, readonly [on: boolean, option: string]>> = {
    PRIVCFG: [u.overrides, 'attribute-overrides'],
    INSTCFG: [u.overrides, 'attribute-overrides'],
    EATS: [u.ats, 'ats'],
    STRW: [u.hyp, 'hyp'],
    PPAR: [u.pri, 'pri'],
    S1CDMax: [u.ssidSize > 0, 'ssidsize'],
    S1DSS: [u.ssidSize > 0, 'ssidsize'],
    S1Fmt: [u.cd2l, 'two-level-cds'],
    S1STALLD: [u.stallModel === STALLS_OPTIONAL, 'stall'],
    S: [u.stallModel !== STALLS_NEVER, 'stall'],
    S2S: [u.stallModel !== STALLS_NEVER, 'stall'],
    HA: [u.httu >= 1, 'httu'],
    HD: [u.httu >= 2, 'httu'],
    S2HA: [u.httu >= 1, 'httu'],
    S2HD: [u.httu >= 2, 'httu'],
    EPAN: [u.epan, 'epan'],
    E0PD0: [u.e0pd, 'e0pd'],
    E0PD1: [u.e0pd, 'e0pd'],
    HAD0: [u.had, 'had'],
    HAD1: [u.had, 'had'],
  };
  return Object.entries(layout.fields).map(([name, field]) => {
    const why = UNUSED.find(([pattern]) => pattern.test(name))?.[1];
    const [on, option] = (field.access === 'rw' ? switches[name] : undefined) ?? [true];
    return {
      feature: `${layout.name}: ${name}`,
      advertised: why === undefined && on ? 'yes' : 'no',
      note: why ?? (option === undefined ? field.doc : `${field.doc}; option ${option}`),
    };
  });
}

/** Every identification bit, command, event and structure field of a unit with these options. */
export function smmuFeatures(config: SmmuConfig): FeatureRow[] {
  const u = unitFeatures(config);
  return [
    ...registerRows(config),
    ...commandRows(u),
    ...eventRows(),
    ...[L1STD, STE, L1CD, CD].flatMap((layout) => fieldRows(layout as unknown as Layout, u)),
  ];
}

/** The same as a Markdown table, with default options and with all that shared virtual memory uses. */
export function smmuFeatureTable(): string {
  const svm = smmuFeatures(SVM);
  const rows = smmuFeatures(SMMU_DEFAULTS).map(
    ({ feature, advertised, note }, i) => `| ${feature} | ${advertised} | ${svm[i]!.advertised} | ${note} |`,
  );
  return ['| feature | advertised | with svm=on | note |', '|---|---|---|---|', ...rows].join('\n');
}
