import { identification, type SmmuConfig } from '../../../viommu/smmuv3/config.ts';
import { type SmmuLikeness, smmuOptionsOf } from '../../../viommu/smmuv3/options-of.ts';
import { AIDR, IDR0, IDR1, IDR2, IDR3, IDR4, IDR5, IIDR } from '../../../viommu/spec/smmuv3/registers.ts';
import { CAP, ECAP } from '../../../viommu/spec/vtd/capabilities.ts';
import { VER } from '../../../viommu/spec/vtd/registers.ts';
import { capability, extendedCapability, type VtdConfig } from '../../../viommu/vtd/config.ts';
import { type VtdLikeness, vtdOptionsOf } from '../../../viommu/vtd/options-of.ts';
import { RegisterBlock } from '../../regs/block.ts';
import type { Layout, Register } from '../../regs/layout.ts';
import type { SmmuUnitEntry, UnitEntry, VtdUnitEntry } from './file.ts';
import { judge, toldWords, type UnitDifference } from './identity.ts';

/** A register that identifies a unit. */
export interface UnitRegister {
  readonly layout: Layout;
  /** What it says on the host. */
  readonly words: Uint32Array;
  /** What the model's says. */
  readonly modelled: Uint32Array;
  /** What the host's driver goes by and iommufd tells. */
  readonly told: Uint32Array;
}

/** A unit of a VT-d host: what its registers say, and the unit of the model that comes nearest. */
export interface VtdUnit {
  readonly kind: 'vtd';
  readonly entry: VtdUnitEntry;
  readonly registers: readonly UnitRegister[];
  readonly likeness: VtdLikeness;
  readonly differences: readonly UnitDifference[];
}
export interface SmmuUnit {
  readonly kind: 'smmuv3';
  readonly entry: SmmuUnitEntry;
  readonly registers: readonly UnitRegister[];
  readonly likeness: SmmuLikeness;
  readonly differences: readonly UnitDifference[];
}
export type UnitModel = VtdUnit | SmmuUnit;

const VTD_LAYOUTS = { VER, CAP, ECAP };
const SMMU_LAYOUTS = { IDR0, IDR1, IDR2, IDR3, IDR4, IDR5, IIDR, AIDR };

/** Decodes a unit's registers. @throws TsvmmError naming bits that no unit of the model can have */
export function unitModel(entry: UnitEntry, source: string): UnitModel {
  const where = `${source}: unit ${entry.id}`;
  const stated = statedBy(entry);
  const words = (name: string) => stated.get(name)!;
  const number = (name: string) => words(name)[0]!;
  // What no register tells comes from the file: how caches behave, where the registers are.
  const { cache, cacheSeed, invalidation } = entry;
  const told = { cache, 'cache-seed': cacheSeed, invalidation };
  if (entry.kind === 'vtd') {
    const { options, differences } = vtdOptionsOf(words('CAP'), words('ECAP'), where);
    const likeness = { options: { ...options, ...told }, differences };
    const modelled = identityWords('vtd', options);
    const judged = judge(differences, entry.lacks, where);
    const registers = registersOf(VTD_LAYOUTS, stated, modelled, judged);
    return { kind: 'vtd', entry, registers, likeness, differences: judged };
  }
  const identity = {
    IDR0: number('IDR0'),
    IDR1: number('IDR1'),
    IDR2: number('IDR2'),
    IDR3: number('IDR3'),
    IDR4: number('IDR4'),
    IDR5: number('IDR5'),
    IIDR: number('IIDR'),
    AIDR: number('AIDR'),
  };
  const { options, differences } = smmuOptionsOf(identity, where);
  const likeness = { options: { ...options, ...told }, differences };
  const modelled = identityWords('smmuv3', options);
  const judged = judge(differences, entry.lacks, where);
  const registers = registersOf(SMMU_LAYOUTS, stated, modelled, judged);
  return { kind: 'smmuv3', entry, registers, likeness, differences: judged };
}

/** The registers that tell what a unit of the model can do; those that are not there read 0. @param options all of its kind's */
export function identityWords(
  kind: UnitModel['kind'],
  options: object,
): Readonly<Record<string, Uint32Array>> {
  if (kind === 'vtd') {
    const config = options as VtdConfig;
    return { VER: fresh(VER), CAP: capability(config), ECAP: extendedCapability(config) };
  }
  const { idr0, idr1, idr3, idr5, aidr } = identification(options as SmmuConfig);
  return { IDR0: idr0, IDR1: idr1, IDR3: idr3, IDR5: idr5, AIDR: aidr };
}

/** A register as it is after reset. */
function fresh(layout: Register): Uint32Array {
  return new RegisterBlock([layout.at(0, layout.name)], 8).fresh();
}

function statedBy({ registers }: UnitEntry): ReadonlyMap<string, Uint32Array> {
  return new Map(Object.entries(registers).map(([name, hex]) => [name, wordsOf(hex as string)]));
}

function registersOf(
  layouts: object,
  stated: ReadonlyMap<string, Uint32Array>,
  models: Readonly<Record<string, Uint32Array>>,
  differences: readonly UnitDifference[],
): readonly UnitRegister[] {
  return Object.entries(layouts as Record<string, Layout>).map(([name, layout]) => {
    const words = stated.get(name)!;
    const modelled = models[name] ?? new Uint32Array(2);
    return { layout, words, modelled, told: toldWords(layout, words, modelled, differences) };
  });
}

/** What iommufd tells of a register of a unit. */
export function told(unit: UnitModel, name: string): Uint32Array {
  return unit.registers.find(({ layout }) => layout.name === name)!.told;
}

function wordsOf(hex: string): Uint32Array {
  const value = BigInt(hex);
  return Uint32Array.of(Number(value & 0xffff_ffffn), Number(value >> 32n));
}

/** What a unit lets the devices behind it do. */
export interface UnitReach {
  /** log2 of the PASIDs; 0: none. */
  readonly pasidWidth: number;
  readonly pasidExec: boolean;
  readonly pasidPriv: boolean;
  readonly ats: boolean;
  readonly pri: boolean;
  /** Page tables of a user on top of those of the host. */
  readonly nested: boolean;
  readonly dirtyTracking: boolean;
  readonly coherent: boolean;
}

export function reachOf(unit: UnitModel): UnitReach {
  if (unit.kind === 'vtd') {
    const { options } = unit.likeness;
    return {
      pasidWidth: options['pasid-bits'],
      pasidExec: options['execute-requests'],
      pasidPriv: options['supervisor-requests'],
      ats: options['device-iotlb'],
      pri: options['page-requests'],
      nested: options.nested,
      dirtyTracking: options['accessed-dirty'] && options['scalable-mode'],
      coherent: true,
    };
  }
  const { options } = unit.likeness;
  return {
    pasidWidth: options.ssidsize,
    pasidExec: options.ssidsize > 0,
    pasidPriv: options.ssidsize > 0,
    ats: options.ats,
    pri: options.pri,
    nested: options.stage === 'nested',
    dirtyTracking: options.httu === 'dirty',
    coherent: true,
  };
}
