import { TsvmmError } from '../../vmm/core/errors.ts';
import type { Zod, ZodType } from '../../vmm/core/zod.ts';
import {
  CACHE_POLICIES,
  CACHE_POLICY_TEXT,
  CACHE_SEED_TEXT,
  type CachePolicy,
  MOST_CACHE_SEED,
} from '../spec/cache-policies.ts';
import { CAP, ECAP } from '../spec/vtd/capabilities.ts';
import { FAULT_REGISTERS, IOTLB_REGISTERS } from '../spec/vtd/registers.ts';

/** Options of the kind `intel`; names and defaults are QEMU's where QEMU has the option. */
export interface VtdConfig {
  readonly 'aw-bits': 39 | 48 | 57;
  readonly 'caching-mode': boolean;
  readonly intremap: boolean;
  readonly eim: boolean;
  readonly 'device-iotlb': boolean;
  readonly 'snoop-control': boolean;
  readonly pt: boolean;
  readonly zlr: boolean;
  readonly 'dma-drain': boolean;
  readonly 'coherent-walks': boolean;
  readonly 'protected-memory': boolean;
  readonly 'fault-records': number;
  readonly 'large-pages': 'none' | '2M' | '1G';
  /** Scalable mode: ECAP.SMTS. */
  readonly 'scalable-mode': boolean;
  /** First-stage tables in scalable mode. Like QEMU's, a unit has either stage, or both with `nested`. */
  readonly fsts: boolean;
  /** First stage, second stage and both at once. */
  readonly nested: boolean;
  /** Width of PASIDs; 0: no requests with PASID. */
  readonly 'pasid-bits': number;
  readonly 'rid-pasid': boolean;
  readonly 'supervisor-requests': boolean;
  readonly 'execute-requests': boolean;
  /** Second-stage accessed and dirty bits, the extended accessed flag, and coherent walks of scalable mode. */
  readonly 'accessed-dirty': boolean;
  readonly 'first-stage-5-level': boolean;
  readonly 'page-requests': boolean;
  readonly 'abort-dma': boolean;
  /** Everything of scalable mode that shared virtual memory uses. */
  readonly svm: boolean;
  readonly 'ioapic-sid': 'real' | 'any' | 'endpoint';
  readonly cache: CachePolicy;
  /** `cache: random`: where its chance begins. */
  readonly 'cache-seed': number;
  readonly invalidation: 'immediate' | 'async';
  /** Whose behaviour where QEMU departs from the specification: docs/deviations.md. */
  readonly profile: 'spec' | 'qemu';
  /** Address of the register page. */
  readonly base: number;
}

export const VTD_DEFAULTS: VtdConfig = {
  'aw-bits': 48,
  'caching-mode': false,
  intremap: true,
  eim: false,
  'device-iotlb': false,
  'snoop-control': false,
  pt: true,
  zlr: false,
  'dma-drain': true,
  'coherent-walks': false,
  'protected-memory': false,
  'fault-records': 1,
  'large-pages': '1G',
  'scalable-mode': false,
  fsts: false,
  nested: false,
  'pasid-bits': 0,
  'rid-pasid': false,
  'supervisor-requests': false,
  'execute-requests': false,
  'accessed-dirty': false,
  'first-stage-5-level': false,
  'page-requests': false,
  'abort-dma': false,
  svm: false,
  'ioapic-sid': 'real',
  cache: 'normal',
  'cache-seed': 1,
  invalidation: 'immediate',
  profile: 'spec',
  base: 0xfed90000,
};

/** Fault records stop before the performance-monitoring registers at 300h. */
export const MOST_FAULT_RECORDS = 14;

export function vtdSchema(z: Zod): ZodType<VtdConfig> {
  const d = VTD_DEFAULTS;
  const flag = (value: boolean, text: string) => z.boolean().default(value).describe(text);
  return z.strictObject({
    'aw-bits': z
      .union([z.literal(39), z.literal(48), z.literal(57)])
      .default(d['aw-bits'])
      .describe('guest and host address width'),
    'caching-mode': flag(d['caching-mode'], 'CAP.CM: not-present entries are cached'),
    intremap: flag(d.intremap, 'interrupt remapping'),
    eim: flag(d.eim, 'extended interrupt mode (x2APIC destinations)'),
    'device-iotlb': flag(d['device-iotlb'], 'device-TLBs (ATS)'),
    'snoop-control': flag(d['snoop-control'], 'snoop bit of page-table leaves'),
    pt: flag(d.pt, 'pass-through context entries'),
    zlr: flag(d.zlr, 'zero-length reads of write-only pages'),
    'dma-drain': flag(d['dma-drain'], 'report read and write draining'),
    'coherent-walks': flag(d['coherent-walks'], 'ECAP.C: structures are snooped'),
    'protected-memory': flag(d['protected-memory'], 'protected low and high memory ranges'),
    'fault-records': z
      .number()
      .int()
      .min(1)
      .max(MOST_FAULT_RECORDS)
      .default(d['fault-records'])
      .describe('number of fault-recording registers'),
    'large-pages': z.enum(['none', '2M', '1G']).default(d['large-pages']).describe('largest page size'),
    'scalable-mode': flag(d['scalable-mode'], 'scalable mode: PASID tables, 256-bit descriptors'),
    fsts: flag(d.fsts, 'first-stage tables in scalable mode, instead of second-stage ones'),
    nested: flag(d.nested, 'first-stage, second-stage and nested translation in scalable mode; brings fsts'),
    'pasid-bits': z
      .number()
      .int()
      .min(0)
      .max(20)
      .default(d['pasid-bits'])
      .describe('width of PASIDs; 0: no requests with PASID'),
    'rid-pasid': flag(d['rid-pasid'], 'RID_PASID of context entries is used (else PASID 0)'),
    'supervisor-requests': flag(d['supervisor-requests'], 'privileged requests, and RID_PRIV'),
    'execute-requests': flag(d['execute-requests'], 'execute permission in both stages'),
    'accessed-dirty': flag(
      d['accessed-dirty'],
      'second-stage accessed and dirty bits, extended accessed flag, coherent walks in scalable mode',
    ),
    'first-stage-5-level': flag(d['first-stage-5-level'], 'first-stage tables of 5 levels'),
    'page-requests': flag(d['page-requests'], 'page requests (PRI) and their drain'),
    'abort-dma': flag(d['abort-dma'], 'abort-DMA mode (TTM 11)'),
    svm: flag(
      d.svm,
      'all that shared virtual memory uses, where no option says otherwise: scalable-mode, nested, pasid-bits=20, device-iotlb, page-requests and the other options of scalable mode',
    ),
    'ioapic-sid': z
      .enum(['real', 'any', 'endpoint'])
      .default(d['ioapic-sid'])
      .describe('source-id that interrupts of the IOAPIC are checked with'),
    cache: z.enum(CACHE_POLICIES).default(d.cache).describe(CACHE_POLICY_TEXT),
    'cache-seed': z
      .number()
      .int()
      .min(1)
      .max(MOST_CACHE_SEED)
      .default(d['cache-seed'])
      .describe(CACHE_SEED_TEXT),
    invalidation: z
      .enum(['immediate', 'async'])
      .default(d.invalidation)
      .describe('when queued and register-based invalidation is done'),
    profile: z
      .enum(['spec', 'qemu'])
      .default(d.profile)
      .describe('follow the specification, or QEMU where it departs (docs/deviations.md)'),
    base: z
      .number()
      .int()
      .multipleOf(4096)
      .min(0)
      .max(0xfffff000)
      .default(d.base)
      .describe('address of the registers'),
  }) as unknown as ZodType<VtdConfig>;
}

/** `svm` stands for a set of options, and `nested` brings the first stage. */
export function vtdPresets(given: Partial<VtdConfig>): Partial<VtdConfig> {
  if (given.svm !== true) return given.nested === true ? { fsts: true } : {};
  return {
    'scalable-mode': true,
    fsts: true,
    nested: true,
    'pasid-bits': 20,
    'device-iotlb': true,
    'rid-pasid': true,
    'supervisor-requests': true,
    'execute-requests': true,
    'accessed-dirty': true,
    'first-stage-5-level': true,
    'page-requests': given['device-iotlb'] !== false,
  };
}

/** @throws TsvmmError where an option needs another that is off */
export function checkOptions(config: VtdConfig): void {
  for (const [option, needed] of NEEDS) {
    if (isOn(config[option]) && !isOn(config[needed])) {
      throw new TsvmmError({
        code: 'bad-iommu-options',
        object: `intel: ${option}`,
        why: `it needs ${needed}, which is off`,
        mend: `switch ${needed} on, or ${option} off`,
      });
    }
  }
}

/** VT-d: Extended Capability Register: what a feature depends on. */
const NEEDS: readonly [keyof VtdConfig, keyof VtdConfig][] = [
  ['eim', 'intremap'],
  ['svm', 'scalable-mode'],
  ['svm', 'fsts'],
  ['svm', 'pasid-bits'],
  ['nested', 'fsts'],
  ['fsts', 'scalable-mode'],
  ['pasid-bits', 'scalable-mode'],
  ['rid-pasid', 'scalable-mode'],
  ['supervisor-requests', 'scalable-mode'],
  ['execute-requests', 'pasid-bits'],
  ['accessed-dirty', 'scalable-mode'],
  ['first-stage-5-level', 'fsts'],
  ['page-requests', 'scalable-mode'],
  ['page-requests', 'device-iotlb'],
];

function isOn(value: VtdConfig[keyof VtdConfig]): boolean {
  return value !== false && value !== 0;
}

/** Which stages scalable mode offers. */
export function stagesOf(config: VtdConfig): { readonly first: boolean; readonly second: boolean } {
  const scalable = config['scalable-mode'];
  return { first: scalable && config.fsts, second: scalable && (!config.fsts || config.nested) };
}

/** Widest page-selective invalidation: 2^18 pages, 1 GiB. */
export const MAMV = 18;
/** Widest interrupt-entry invalidation: 2^15 entries. */
const MHMV = 15;

const SAGAW: Readonly<Record<number, number>> = { 39: 0b0010, 48: 0b0110, 57: 0b1110 };
const SSLPS = { none: 0, '2M': 1, '1G': 3 } as const;

/** CAP as two words, from the options. */
export function capability(config: VtdConfig): Uint32Array {
  return CAP.pack({
    ND: 6,
    PLMR: bit(config['protected-memory']),
    PHMR: bit(config['protected-memory']),
    CM: bit(config['caching-mode']),
    SAGAW: SAGAW[config['aw-bits']]!,
    MGAW: config['aw-bits'] - 1,
    ZLR: bit(config.zlr),
    FRO: FAULT_REGISTERS / 16,
    SSLPS: SSLPS[config['large-pages']],
    PSI: 1,
    NFR: config['fault-records'] - 1,
    MAMV,
    DWD: bit(config['dma-drain']),
    DRD: bit(config['dma-drain']),
    FS1GP: bit(stagesOf(config).first),
    FS5LP: bit(config['first-stage-5-level']),
    ESRTPS: 1,
  });
}

/** ECAP as two words, from the options. */
export function extendedCapability(config: VtdConfig): Uint32Array {
  const stages = stagesOf(config);
  const pages = bit(config['page-requests']);
  const updates = bit(config['accessed-dirty']);
  return ECAP.pack({
    C: bit(config['coherent-walks']),
    QI: 1,
    DT: bit(config['device-iotlb']),
    IR: bit(config.intremap),
    EIM: bit(config.intremap && config.eim),
    PT: bit(config.pt),
    SC: bit(config['snoop-control']),
    IRO: IOTLB_REGISTERS / 16,
    MHMV: config.intremap ? MHMV : 0,
    NEST: bit(config.nested),
    PRS: pages,
    ERS: bit(config['execute-requests']),
    // Without a first stage nothing asks for the bit; QEMU has it then.
    SRS: bit(config['supervisor-requests'] || (config['scalable-mode'] && !config.fsts)),
    EAFS: updates & bit(stages.first),
    PSS: Math.max(config['pasid-bits'] - 1, 0),
    PASID: bit(config['pasid-bits'] > 0),
    PDS: pages,
    SMTS: bit(config['scalable-mode']),
    SSADS: updates & bit(stages.second),
    SSTS: bit(stages.second),
    FSTS: bit(stages.first),
    SMPWCS: updates,
    RPS: bit(config['rid-pasid']),
    ADMS: bit(config['abort-dma']),
    RPRIVS: bit(config['supervisor-requests']),
  });
}

function bit(value: boolean): number {
  return value ? 1 : 0;
}
