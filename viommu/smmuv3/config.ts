import { TsvmmError } from '../../vmm/core/errors.ts';
import type { Zod, ZodType } from '../../vmm/core/zod.ts';
import {
  CACHE_POLICIES,
  CACHE_POLICY_TEXT,
  CACHE_SEED_TEXT,
  type CachePolicy,
  MOST_CACHE_SEED,
} from '../spec/cache-policies.ts';
import { AIDR, IDR0, IDR1, IDR3, IDR5 } from '../spec/smmuv3/registers.ts';
import { ADDRESS_SIZES } from '../spec/smmuv3/structures.ts';

/** Options of the kind `smmuv3`; names and defaults are QEMU's where QEMU has the option. */
export interface SmmuConfig {
  readonly stage: '1' | '2' | 'nested';
  /** Range and level hints of TLB invalidation. */
  readonly ril: boolean;
  readonly ats: boolean;
  /** Output address size in bits. */
  readonly oas: 32 | 36 | 40 | 42 | 44 | 48;
  /** Width of SubstreamIDs; 0: none. */
  readonly ssidsize: number;
  /** QEMU: translation by the host's SMMU. */
  readonly accel: boolean;
  readonly pri: boolean;
  /** Automatic page responses carry the PASID. */
  readonly pps: boolean;
  readonly stall: 'terminate' | 'optional' | 'forced';
  /** Most stalled transactions. */
  readonly 'stall-max': number;
  readonly httu: 'none' | 'access' | 'dirty';
  readonly gran4k: boolean;
  readonly gran16k: boolean;
  readonly gran64k: boolean;
  readonly 'two-level-streams': boolean;
  readonly 'two-level-cds': boolean;
  readonly asid16: boolean;
  readonly vmid16: boolean;
  readonly hyp: boolean;
  readonly vmw: boolean;
  readonly msi: boolean;
  readonly sev: boolean;
  readonly had: boolean;
  readonly xnx: boolean;
  readonly stt: boolean;
  readonly e0pd: boolean;
  readonly epan: boolean;
  readonly ptwnnc: boolean;
  readonly bbml: number;
  readonly 'attribute-overrides': boolean;
  readonly 'ats-record-errors': boolean;
  /** Split-stage ATS. */
  readonly 'ats-split-stage': boolean;
  /** When commands are done: as soon as they are written, or one after the other on the virtual clock. */
  readonly invalidation: 'immediate' | 'async';
  readonly cmdqs: number;
  readonly eventqs: number;
  readonly priqs: number;
  /** Erratum: a TLBI or CFGI command works where the same one stands before it. */
  readonly 'repeat-invalidations': boolean;
  /** Reset value of GBPA.ABORT. */
  readonly 'gbpa-abort': boolean;
  /** Everything that shared virtual memory uses. */
  readonly svm: boolean;
  readonly cache: CachePolicy;
  /** `cache: random`: where its chance begins. */
  readonly 'cache-seed': number;
  /** Whose behaviour where QEMU departs from the architecture: docs/deviations.md. */
  readonly profile: 'spec' | 'qemu';
  /** Address of the registers. */
  readonly base: number;
}

export const SMMU_DEFAULTS: SmmuConfig = {
  stage: 'nested',
  ril: true,
  ats: false,
  oas: 44,
  ssidsize: 0,
  accel: false,
  pri: false,
  pps: false,
  stall: 'terminate',
  'stall-max': 64,
  httu: 'none',
  gran4k: true,
  gran16k: true,
  gran64k: true,
  'two-level-streams': true,
  'two-level-cds': false,
  asid16: true,
  vmid16: true,
  hyp: false,
  vmw: false,
  msi: false,
  sev: false,
  had: true,
  xnx: true,
  stt: false,
  e0pd: false,
  epan: false,
  ptwnnc: false,
  bbml: 2,
  'attribute-overrides': false,
  'ats-record-errors': false,
  'ats-split-stage': false,
  invalidation: 'immediate',
  cmdqs: 19,
  eventqs: 19,
  priqs: 19,
  'repeat-invalidations': false,
  'gbpa-abort': false,
  svm: false,
  cache: 'normal',
  'cache-seed': 1,
  profile: 'spec',
  base: 0x09050000,
};

/** SMMUv3: queues hold at most 2^19 entries. */
const LARGEST_QUEUE = 19;

export function smmuSchema(z: Zod): ZodType<SmmuConfig> {
  const d = SMMU_DEFAULTS;
  const flag = (value: boolean, text: string) => z.boolean().default(value).describe(text);
  const whole = (value: number, least: number, most: number, text: string) =>
    z.number().int().min(least).max(most).default(value).describe(text);
  return z.strictObject({
    stage: z.enum(['1', '2', 'nested']).default(d.stage).describe('stages of translation'),
    ril: flag(d.ril, 'ranges and level hints in TLB invalidation'),
    ats: flag(d.ats, 'PCIe ATS'),
    oas: z
      .union([z.literal(32), z.literal(36), z.literal(40), z.literal(42), z.literal(44), z.literal(48)])
      .default(d.oas)
      .describe('output address size in bits'),
    ssidsize: whole(d.ssidsize, 0, 20, 'width of SubstreamIDs (PASIDs); 0: none'),
    accel: flag(d.accel, 'translation by an SMMU of the host: there is none behind this machine'),
    pri: flag(d.pri, 'page requests (PRI)'),
    pps: flag(d.pps, 'automatic page responses carry the PASID'),
    stall: z
      .enum(['terminate', 'optional', 'forced'])
      .default(d.stall)
      .describe('what becomes of faulting transactions: terminated, stalled where asked for, always stalled'),
    'stall-max': whole(d['stall-max'], 1, 65535, 'most stalled transactions'),
    httu: z
      .enum(['none', 'access', 'dirty'])
      .default(d.httu)
      .describe('hardware update of translation tables: access flag, dirty state'),
    gran4k: flag(d.gran4k, '4 KiB granule'),
    gran16k: flag(d.gran16k, '16 KiB granule'),
    gran64k: flag(d.gran64k, '64 KiB granule'),
    'two-level-streams': flag(d['two-level-streams'], 'two-level stream tables'),
    'two-level-cds': flag(d['two-level-cds'], 'two-level CD tables'),
    asid16: flag(d.asid16, '16-bit ASIDs'),
    vmid16: flag(d.vmid16, '16-bit VMIDs'),
    hyp: flag(d.hyp, 'EL2 and EL2-E2H streams'),
    vmw: flag(d.vmw, 'VMID wildcards'),
    msi: flag(d.msi, 'message-signalled interrupts of the SMMU itself'),
    sev: flag(d.sev, 'CMD_SYNC can signal an event'),
    had: flag(d.had, 'hierarchical attributes can be disabled'),
    xnx: flag(d.xnx, 'stage 2 execute permission by exception level'),
    stt: flag(d.stt, 'small translation tables'),
    e0pd: flag(d.e0pd, 'E0PD'),
    epan: flag(d.epan, 'enhanced PAN'),
    ptwnnc: flag(d.ptwnnc, 'table walks to Device memory are Normal non-cacheable'),
    bbml: whole(d.bbml, 0, 2, 'break-before-make level'),
    'attribute-overrides': flag(d['attribute-overrides'], 'attribute overrides of STEs (IDR1)'),
    'ats-record-errors': flag(d['ats-record-errors'], 'configuration errors of ATS requests can be recorded'),
    'ats-split-stage': flag(d['ats-split-stage'], 'split-stage ATS'),
    invalidation: z.enum(['immediate', 'async']).default(d.invalidation).describe('when commands are done'),
    cmdqs: whole(d.cmdqs, 0, LARGEST_QUEUE, 'largest command queue, log2'),
    eventqs: whole(d.eventqs, 0, LARGEST_QUEUE, 'largest event queue, log2'),
    priqs: whole(d.priqs, 0, LARGEST_QUEUE, 'largest PRI queue, log2'),
    'repeat-invalidations': flag(
      d['repeat-invalidations'],
      'erratum: TLBI and CFGI commands have to be issued twice, one after the other',
    ),
    'gbpa-abort': flag(d['gbpa-abort'], 'transactions are aborted until software says otherwise'),
    svm: flag(
      d.svm,
      'all that shared virtual memory uses, where no option says otherwise: ssidsize=20, ats, pri, stall=optional, httu=dirty, two-level-cds and others',
    ),
    cache: z.enum(CACHE_POLICIES).default(d.cache).describe(CACHE_POLICY_TEXT),
    'cache-seed': z
      .number()
      .int()
      .min(1)
      .max(MOST_CACHE_SEED)
      .default(d['cache-seed'])
      .describe(CACHE_SEED_TEXT),
    profile: z
      .enum(['spec', 'qemu'])
      .default(d.profile)
      .describe('follow the architecture, or QEMU where it departs (docs/deviations.md)'),
    base: z
      .number()
      .int()
      .multipleOf(65536)
      .min(0)
      .max(0xfffe0000)
      .default(d.base)
      .describe('address of the registers'),
  }) as unknown as ZodType<SmmuConfig>;
}

/** `svm` stands for a set of options; without ATS it is shared virtual memory by stalls. */
export function smmuPresets(given: Partial<SmmuConfig>): Partial<SmmuConfig> {
  if (given.svm !== true) return {};
  const ats = given.ats !== false;
  const pri = ats && given.pri !== false;
  const { stage = SMMU_DEFAULTS.stage } = given;
  return {
    ssidsize: 20,
    ats,
    pri,
    pps: pri,
    stall: 'optional',
    httu: 'dirty',
    'two-level-cds': true,
    'attribute-overrides': true,
    'ats-record-errors': ats,
    // There is nothing to split in one stage.
    'ats-split-stage': ats && stage === 'nested',
    msi: true,
    epan: true,
    e0pd: true,
    hyp: true,
  };
}

/** @throws TsvmmError where options do not go together */
export function checkOptions(config: SmmuConfig): void {
  for (const [wrong, option, why, mend] of conflicts(config)) {
    if (!wrong) continue;
    throw new TsvmmError({ code: 'bad-iommu-options', object: `smmuv3: ${option}`, why, mend });
  }
}

function conflicts(config: SmmuConfig): readonly (readonly [boolean, string, string, string])[] {
  const { ats } = config;
  const needsAts = (option: 'pri' | 'ats-split-stage' | 'ats-record-errors') =>
    [config[option] && !ats, option, 'it needs ats, which is off', 'switch ats on'] as const;
  return [
    [config.accel, 'accel', 'there is no SMMU of a host to hand translation to', 'leave accel out'],
    [config.svm && config.stage === '2', 'svm', 'it needs stage 1', 'use stage=1 or stage=nested'],
    [config.svm && config.ssidsize === 0, 'svm', 'it needs substreams, and ssidsize is 0', 'give ssidsize'],
    needsAts('pri'),
    needsAts('ats-split-stage'),
    needsAts('ats-record-errors'),
    [config.pps && !config.pri, 'pps', 'it needs pri, which is off', 'switch pri on'],
    [
      config['ats-split-stage'] && config.stage !== 'nested',
      'ats-split-stage',
      'it needs both stages',
      'use stage=nested',
    ],
    [
      config.ssidsize > 0 && config.stage === '2',
      'ssidsize',
      'substreams need stage 1',
      'use stage=1 or stage=nested',
    ],
    [
      config['two-level-cds'] && config.ssidsize === 0,
      'two-level-cds',
      'without substreams there is one CD',
      'give ssidsize',
    ],
    [config.hyp && config.stage === '2', 'hyp', 'EL2 streams need stage 1', 'use stage=1 or stage=nested'],
    [config.vmw && config.stage === '1', 'vmw', 'VMIDs need stage 2', 'use stage=2 or stage=nested'],
    [
      !config.gran4k && !config.gran16k && !config.gran64k,
      'gran4k',
      'no granule is left',
      'keep one of gran4k, gran16k, gran64k',
    ],
  ];
}

const HTTU = { none: 0, access: 1, dirty: 2 } as const;
const STALL_MODEL = { optional: 0, terminate: 1, forced: 2 } as const;

/** SMMUv3: the StreamID is the requester id. */
export const SIDSIZE = 16;

/** The identification registers, from the options: word and value by register. */
export function identification(config: SmmuConfig): {
  readonly idr0: Uint32Array;
  readonly idr1: Uint32Array;
  readonly idr3: Uint32Array;
  readonly idr5: Uint32Array;
  readonly aidr: Uint32Array;
} {
  const s1 = config.stage !== '2';
  const s2 = config.stage !== '1';
  return {
    idr0: IDR0.pack({
      S2P: bit(s2),
      S1P: bit(s1),
      TTF: 2,
      COHACC: 1,
      HTTU: HTTU[config.httu],
      Hyp: bit(config.hyp),
      ATS: bit(config.ats),
      NS1ATS: bit(config.ats && !config['ats-split-stage']),
      ASID16: bit(config.asid16),
      MSI: bit(config.msi),
      SEV: bit(config.sev),
      PRI: bit(config.pri),
      VMW: bit(config.vmw),
      VMID16: bit(config.vmid16),
      CD2L: bit(config['two-level-cds']),
      TTENDIAN: 2,
      ATSRECERR: bit(config['ats-record-errors']),
      STALL_MODEL: STALL_MODEL[config.stall],
      TERM_MODEL: 1,
      ST_LEVEL: bit(config['two-level-streams']),
    }),
    idr1: IDR1.pack({
      SIDSIZE,
      SSIDSIZE: config.ssidsize,
      PRIQS: config.pri ? config.priqs : 0,
      EVENTQS: config.eventqs,
      CMDQS: config.cmdqs,
      ATTR_PERMS_OVR: bit(config['attribute-overrides']),
      ATTR_TYPES_OVR: bit(config['attribute-overrides']),
    }),
    idr3: IDR3.pack({
      HAD: bit(config.had),
      XNX: bit(config.xnx && s2),
      PPS: bit(config.pps),
      STT: bit(config.stt),
      RIL: bit(config.ril),
      BBML: config.bbml,
      E0PD: bit(config.e0pd),
      PTWNNC: bit(config.ptwnnc),
      EPAN: bit(config.epan),
    }),
    idr5: IDR5.pack({
      OAS: ADDRESS_SIZES.indexOf(config.oas),
      GRAN4K: bit(config.gran4k),
      GRAN16K: bit(config.gran16k),
      GRAN64K: bit(config.gran64k),
      STALL_MAX: config.stall === 'terminate' ? 0 : config['stall-max'],
    }),
    aidr: AIDR.pack({ ArchMinorRev: 1 }),
  };
}

function bit(value: boolean): number {
  return value ? 1 : 0;
}
