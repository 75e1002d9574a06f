import { TsvmmError } from '../../vmm/core/errors.ts';
import { type FieldDifference, fieldDifferences } from '../../vmm/regs/compare.ts';
import type { Layout } from '../../vmm/regs/layout.ts';
import { AIDR, IDR0, IDR1, IDR2, IDR3, IDR4, IDR5, IIDR } from '../spec/smmuv3/registers.ts';
import { ADDRESS_SIZES } from '../spec/smmuv3/structures.ts';
import { checkOptions, identification, SMMU_DEFAULTS, type SmmuConfig } from './config.ts';

/** The identification registers that tell of capabilities, and of whose unit it is. */
export interface SmmuIdentity {
  readonly IDR0: number;
  readonly IDR1: number;
  readonly IDR2: number;
  readonly IDR3: number;
  readonly IDR4: number;
  readonly IDR5: number;
  readonly IIDR: number;
  readonly AIDR: number;
}

/** The unit of this model that comes nearest to a unit with given registers. */
export interface SmmuLikeness {
  readonly options: SmmuConfig;
  /** What the registers say (a) and what the model's say (b). */
  readonly differences: readonly FieldDifference[];
}

const STALLS = ['optional', 'terminate', 'forced'] as const;
const UPDATES = ['none', 'access', 'dirty', 'dirty'] as const;
/** The widest that the options know. */
const WIDEST: SmmuConfig['oas'] = 48;

/**
 * Options from identification registers: the inverse of `identification`. Features that the model has only together are on where all
 * of them are.
 * @param where what the registers are of, for messages
 * @throws TsvmmError naming the bits, where they are reserved values or leave nothing to translate with
 */
export function smmuOptionsOf(given: SmmuIdentity, where: string): SmmuLikeness {
  const f0 = (field: keyof typeof IDR0.fields) => IDR0.get[field]([given.IDR0], 0);
  const f1 = (field: keyof typeof IDR1.fields) => IDR1.get[field]([given.IDR1], 0);
  const f3 = (field: keyof typeof IDR3.fields) => IDR3.get[field]([given.IDR3], 0);
  const f5 = (field: keyof typeof IDR5.fields) => IDR5.get[field]([given.IDR5], 0);
  const bad = (bits: string, why: string) =>
    new TsvmmError({ code: 'bad-iommu-registers', object: `${where}: ${bits}`, why });
  const s1 = f0('S1P') === 1;
  const s2 = f0('S2P') === 1;
  if (!s1 && !s2) throw bad('IDR0.S1P (1) and S2P (0)', 'are 0: there is no stage');
  if ((f0('TTF') & 2) === 0)
    throw bad('IDR0.TTF (3:2)', 'has no AArch64 tables, and the model knows no others');
  if (f0('TTENDIAN') === 3 || f0('TTENDIAN') === 1)
    throw bad('IDR0.TTENDIAN (22:21)', 'does not have little-endian tables, and the model knows no others');
  if (f0('STALL_MODEL') === 3) throw bad('IDR0.STALL_MODEL (25:24)', 'is 3, which is reserved');
  if (f1('SSIDSIZE') > 20) throw bad('IDR1.SSIDSIZE (10:6)', `is ${f1('SSIDSIZE')}, and 20 is the most`);
  if (f3('BBML') === 3) throw bad('IDR3.BBML (12:11)', 'is 3, which is reserved');
  if (f5('GRAN4K') + f5('GRAN16K') + f5('GRAN64K') === 0)
    throw bad('IDR5.GRAN4K, GRAN16K, GRAN64K (6:4)', 'are 0: there is no granule');
  const ats = f0('ATS') === 1;
  const pri = ats && f0('PRI') === 1;
  const ssidsize = s1 ? f1('SSIDSIZE') : 0;
  const least = (log2: number) => Math.min(log2, SMMU_DEFAULTS.cmdqs);
  const options: SmmuConfig = {
    ...SMMU_DEFAULTS,
    stage: s1 && s2 ? 'nested' : s1 ? '1' : '2',
    ril: f3('RIL') === 1,
    ats,
    oas: Math.min(ADDRESS_SIZES[f5('OAS')] ?? WIDEST, WIDEST) as SmmuConfig['oas'],
    ssidsize,
    pri,
    pps: pri && f3('PPS') === 1,
    stall: STALLS[f0('STALL_MODEL') as 0 | 1 | 2],
    'stall-max': Math.max(f5('STALL_MAX'), 1),
    httu: UPDATES[f0('HTTU') as 0 | 1 | 2 | 3],
    gran4k: f5('GRAN4K') === 1,
    gran16k: f5('GRAN16K') === 1,
    gran64k: f5('GRAN64K') === 1,
    'two-level-streams': f0('ST_LEVEL') === 1,
    'two-level-cds': ssidsize > 0 && f0('CD2L') === 1,
    asid16: f0('ASID16') === 1,
    vmid16: f0('VMID16') === 1,
    hyp: s1 && f0('Hyp') === 1,
    vmw: s2 && f0('VMW') === 1,
    msi: f0('MSI') === 1,
    sev: f0('SEV') === 1,
    had: f3('HAD') === 1,
    xnx: f3('XNX') === 1,
    stt: f3('STT') === 1,
    e0pd: f3('E0PD') === 1,
    epan: f3('EPAN') === 1,
    ptwnnc: f3('PTWNNC') === 1,
    bbml: f3('BBML'),
    'attribute-overrides': f1('ATTR_PERMS_OVR') === 1 && f1('ATTR_TYPES_OVR') === 1,
    'ats-record-errors': ats && f0('ATSRECERR') === 1,
    'ats-split-stage': ats && s1 && s2 && f0('NS1ATS') === 0,
    cmdqs: least(f1('CMDQS')),
    eventqs: least(f1('EVENTQS')),
    priqs: pri ? least(f1('PRIQS')) : SMMU_DEFAULTS.priqs,
  };
  checkOptions(options);
  return { options, differences: differencesOf(given, options) };
}

function differencesOf(given: SmmuIdentity, options: SmmuConfig): readonly FieldDifference[] {
  const { idr0, idr1, idr3, idr5, aidr } = identification(options);
  const none = new Uint32Array(1);
  const rows: readonly (readonly [unknown, number, Uint32Array])[] = [
    [IDR0, given.IDR0, idr0],
    [IDR1, given.IDR1, idr1],
    [IDR2, given.IDR2, none],
    [IDR3, given.IDR3, idr3],
    [IDR4, given.IDR4, none],
    [IDR5, given.IDR5, idr5],
    [IIDR, given.IIDR, none],
    [AIDR, given.AIDR, aidr],
  ];
  return rows.flatMap(([layout, stated, modelled]) => fieldDifferences(layout as Layout, [stated], modelled));
}
