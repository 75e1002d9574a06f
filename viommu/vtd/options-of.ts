import { TsvmmError } from '../../vmm/core/errors.ts';
import { type FieldDifference, fieldDifferences } from '../../vmm/regs/compare.ts';
import type { Words } from '../../vmm/regs/field.ts';
import type { Layout } from '../../vmm/regs/layout.ts';
import { CAP, ECAP } from '../spec/vtd/capabilities.ts';
import {
  capability,
  checkOptions,
  extendedCapability,
  MOST_FAULT_RECORDS,
  VTD_DEFAULTS,
  type VtdConfig,
} from './config.ts';

/** The unit of this model that comes nearest to a unit with given registers. */
export interface VtdLikeness {
  readonly options: VtdConfig;
  /** What the registers say (a) and what the model's say (b). */
  readonly differences: readonly FieldDifference[];
}

const WIDTHS = [
  [3, 57],
  [2, 48],
  [1, 39],
] as const;
const LARGE_PAGES = { 0: 'none', 1: '2M', 3: '1G' } as const;

/**
 * Options from capability registers: the inverse of `capability` and `extendedCapability`. Features that the model has only together
 * are on where all of them are.
 * @param where what the registers are of, for messages
 * @throws TsvmmError naming the bits, where they are reserved values or leave nothing to translate with
 */
export function vtdOptionsOf(cap: Words, ecap: Words, where: string): VtdLikeness {
  const c = (field: keyof typeof CAP.fields) => CAP.get[field](cap, 0);
  const e = (field: keyof typeof ECAP.fields) => ECAP.get[field](ecap, 0);
  const on = (field: keyof typeof ECAP.fields) => e(field) === 1;
  const width = WIDTHS.find(([bit]) => (c('SAGAW') & (1 << bit)) !== 0)?.[1];
  if (width === undefined) throw impossible(where, 'CAP.SAGAW (12:8)', 'has no width of 39, 48 or 57 bits');
  if (c('ND') === 7) throw impossible(where, 'CAP.ND (2:0)', 'is 7, which is reserved');
  const largePages = (LARGE_PAGES as Record<number, VtdConfig['large-pages']>)[c('SSLPS')];
  if (largePages === undefined)
    throw impossible(where, 'CAP.SSLPS (37:34)', `is ${c('SSLPS')}, which is reserved`);
  if (!on('QI'))
    throw impossible(where, 'ECAP.QI (1)', 'is 0, and the driver of the host works by the queue');
  const scalable = on('SMTS');
  const pasids = scalable && on('PASID');
  if (pasids && e('PSS') > 19) throw impossible(where, 'ECAP.PSS (39:35)', 'means PASIDs of over 20 bits');
  const nested = scalable && on('NEST') && on('FSTS') && on('SSTS');
  const first = scalable && on('FSTS') && (nested || !on('SSTS'));
  const options: VtdConfig = {
    ...VTD_DEFAULTS,
    'aw-bits': width,
    'caching-mode': c('CM') === 1,
    intremap: on('IR'),
    eim: on('IR') && on('EIM'),
    'device-iotlb': on('DT'),
    'snoop-control': on('SC'),
    pt: on('PT'),
    zlr: c('ZLR') === 1,
    'dma-drain': c('DWD') === 1 && c('DRD') === 1,
    'coherent-walks': on('C'),
    'protected-memory': c('PLMR') === 1 && c('PHMR') === 1,
    'fault-records': Math.min(c('NFR') + 1, MOST_FAULT_RECORDS),
    'large-pages': largePages,
    'scalable-mode': scalable,
    fsts: first,
    nested,
    'pasid-bits': pasids ? e('PSS') + 1 : 0,
    'rid-pasid': scalable && on('RPS'),
    'supervisor-requests': scalable && on('SRS') && (on('RPRIVS') || first),
    'execute-requests': pasids && on('ERS'),
    'accessed-dirty': scalable && on('SMPWCS') && (on('SSADS') || (on('EAFS') && first)),
    'first-stage-5-level': first && c('FS5LP') === 1,
    'page-requests': scalable && on('PRS') && on('DT'),
    'abort-dma': on('ADMS'),
  };
  checkOptions(options);
  return {
    options,
    differences: [
      ...fieldDifferences(CAP as unknown as Layout, cap, capability(options)),
      ...fieldDifferences(ECAP as unknown as Layout, ecap, extendedCapability(options)),
    ],
  };
}

function impossible(where: string, bits: string, why: string): TsvmmError {
  return new TsvmmError({ code: 'bad-iommu-registers', object: `${where}: ${bits}`, why });
}
