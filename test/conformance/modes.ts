import { type SmmuMode, SmmuWorld } from './smmuv3.ts';
import { type VtdMode, VtdWorld } from './vtd.ts';
import { type Feature, type Mode, PLAIN } from './world.ts';

/** PASID of the devices' own requests in the modes that have one. */
const PASID = 5;

const TABLES = ['tables', 'accessed-dirty', 'silence', 'overflow'] as const satisfies readonly Feature[];
const DEVICE_TLBS = ['ats', 'pri', 'recovery'] as const satisfies readonly Feature[];
const PASIDS = ['pasids', 'execute'] as const satisfies readonly Feature[];

function vtd(name: string, mode: Partial<VtdMode>, ...features: Feature[]): Mode {
  const full: VtdMode = {
    type: 'legacy',
    legacy: false,
    pasid: PLAIN,
    levels: 4,
    cachingMode: false,
    ...mode,
  };
  return { name: `VT-d ${name}`, features: new Set(features), start: () => new VtdWorld(full) };
}

function smmu(name: string, mode: Partial<SmmuMode>, ...features: Feature[]): Mode {
  const full: SmmuMode = { type: 'stage 1', granule: 12, substream: PLAIN, stall: false, ...mode };
  return { name: `SMMUv3 ${name}`, features: new Set(features), start: () => new SmmuWorld(full) };
}

/** The columns. A feature that a mode is without has its reason in skips.ts. */
export const MODES: readonly Mode[] = [
  vtd('legacy', { legacy: true }, 'tables', 'bad-entry', 'silence', 'overflow', 'ats'),
  vtd(
    'legacy, caching mode',
    { legacy: true, cachingMode: true },
    'tables',
    'bad-entry',
    'silence',
    'overflow',
    'ats',
  ),
  vtd('legacy pass-through', { legacy: true, type: 'pass-through' }, 'identity'),
  vtd('first-stage', { type: 'first' }, ...TABLES, ...DEVICE_TLBS, 'bad-entry'),
  vtd('second-stage', { type: 'second' }, ...TABLES, ...DEVICE_TLBS, 'bad-entry'),
  vtd('nested', { type: 'nested' }, ...TABLES, ...DEVICE_TLBS, 'bad-entry', 'two-stages'),
  vtd('pass-through', { type: 'pass-through' }, 'identity'),
  vtd(
    'first-stage, PASID',
    { type: 'first', pasid: PASID },
    ...TABLES,
    ...DEVICE_TLBS,
    ...PASIDS,
    'bad-entry',
    'privilege',
  ),
  vtd(
    'first-stage of 5 levels, PASID',
    { type: 'first', pasid: PASID, levels: 5 },
    ...TABLES,
    ...DEVICE_TLBS,
    ...PASIDS,
    'bad-entry',
    'privilege',
  ),
  vtd(
    'second-stage, PASID',
    { type: 'second', pasid: PASID },
    ...TABLES,
    ...DEVICE_TLBS,
    ...PASIDS,
    'bad-entry',
  ),
  vtd(
    'nested, PASID',
    { type: 'nested', pasid: PASID },
    ...TABLES,
    ...DEVICE_TLBS,
    ...PASIDS,
    'bad-entry',
    'privilege',
    'two-stages',
  ),
  vtd(
    'nested, PASID, caching mode',
    { type: 'nested', pasid: PASID, cachingMode: true },
    ...TABLES,
    ...DEVICE_TLBS,
    ...PASIDS,
    'bad-entry',
    'privilege',
    'two-stages',
  ),
  vtd('pass-through, PASID', { type: 'pass-through', pasid: PASID }, 'identity'),
  smmu('stage 1, 4 KiB', {}, ...TABLES, ...DEVICE_TLBS),
  smmu('stage 1, 16 KiB', { granule: 14 }, ...TABLES, ...DEVICE_TLBS),
  smmu('stage 1, 64 KiB', { granule: 16 }, ...TABLES, ...DEVICE_TLBS),
  smmu('stage 2, 4 KiB', { type: 'stage 2' }, ...TABLES, ...DEVICE_TLBS),
  smmu('stage 2, 16 KiB', { type: 'stage 2', granule: 14 }, ...TABLES, ...DEVICE_TLBS),
  smmu('stage 2, 64 KiB', { type: 'stage 2', granule: 16 }, ...TABLES, ...DEVICE_TLBS),
  smmu('nested', { type: 'nested' }, ...TABLES, ...DEVICE_TLBS, 'two-stages'),
  smmu('bypass', { type: 'bypass' }, 'identity'),
  smmu('stage 1, SubstreamID', { substream: PASID }, ...TABLES, ...DEVICE_TLBS, ...PASIDS, 'privilege'),
  smmu(
    'nested, SubstreamID',
    { type: 'nested', substream: PASID },
    ...TABLES,
    ...DEVICE_TLBS,
    ...PASIDS,
    'privilege',
    'two-stages',
  ),
  smmu('stage 1, stall', { stall: true }, 'tables', 'accessed-dirty', 'recovery'),
  smmu('stage 2, stall', { type: 'stage 2', stall: true }, 'tables', 'accessed-dirty', 'recovery'),
  smmu(
    'stage 1, SubstreamID, stall',
    { substream: PASID, stall: true },
    'tables',
    'accessed-dirty',
    'recovery',
    ...PASIDS,
    'privilege',
  ),
];
