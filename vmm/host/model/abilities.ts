import { VER } from '../../../viommu/spec/vtd/registers.ts';
import { type FieldDifference, fieldDifferences } from '../../regs/compare.ts';
import { reachOf, type UnitModel, type UnitRegister } from './units.ts';

/** Something that a unit can do, and where its registers say so. */
export interface Ability {
  readonly name: string;
  /** `false`, or how much of it: `yes`, `20 bits`. */
  readonly value: string | false;
  /** The same of the unit that stands for it here. */
  readonly modelled: string | false;
  /** `ECAP.NEST (26)`. */
  readonly bits: string;
}

type Fields = (name: string) => number;

interface AbilityRow {
  readonly name: string;
  /** `REGISTER.FIELD`, those that say it. */
  readonly fields: readonly string[];
  readonly of: (field: Fields) => string | false;
}

const yes = (flag: boolean): string | false => flag && 'yes';
const flag = (name: string, field: string): AbilityRow => ({
  name,
  fields: [field],
  of: (get) => yes(get(field) === 1),
});
const bits = (width: number): string | false => width > 0 && `${width} bits`;
const list = (entries: readonly (readonly [boolean, string])[]): string | false =>
  entries
    .filter(([on]) => on)
    .map(([, text]) => text)
    .join(', ') || false;

const NESTED = 'nested translation';
const PASIDS = 'PASIDs';
const ATS = 'device TLBs (ATS)';
const PRI = 'page requests (PRI)';
const DIRTY = 'dirty tracking';

const VTD_ROWS: readonly AbilityRow[] = [
  {
    name: 'address widths',
    fields: ['CAP.SAGAW'],
    of: (get) => {
      const sagaw = get('CAP.SAGAW');
      return list([
        [(sagaw & 2) !== 0, '39 bits'],
        [(sagaw & 4) !== 0, '48 bits'],
        [(sagaw & 8) !== 0, '57 bits'],
      ]);
    },
  },
  {
    name: 'large pages',
    fields: ['CAP.SSLPS'],
    of: (get) =>
      list([
        [(get('CAP.SSLPS') & 1) !== 0, '2 MiB'],
        [(get('CAP.SSLPS') & 2) !== 0, '1 GiB'],
      ]),
  },
  flag('scalable mode', 'ECAP.SMTS'),
  {
    name: 'first-stage tables',
    fields: ['ECAP.SMTS', 'ECAP.FSTS'],
    of: (get) => yes(get('ECAP.SMTS') === 1 && get('ECAP.FSTS') === 1),
  },
  {
    name: NESTED,
    fields: ['ECAP.SMTS', 'ECAP.NEST'],
    of: (get) => yes(get('ECAP.SMTS') === 1 && get('ECAP.NEST') === 1),
  },
  {
    name: PASIDS,
    fields: ['ECAP.PASID', 'ECAP.PSS'],
    of: (get) => bits(get('ECAP.SMTS') === 1 && get('ECAP.PASID') === 1 ? get('ECAP.PSS') + 1 : 0),
  },
  flag('execute requests', 'ECAP.ERS'),
  flag('privileged requests', 'ECAP.SRS'),
  flag(ATS, 'ECAP.DT'),
  {
    name: PRI,
    fields: ['ECAP.SMTS', 'ECAP.PRS'],
    of: (get) => yes(get('ECAP.SMTS') === 1 && get('ECAP.PRS') === 1),
  },
  flag(DIRTY, 'ECAP.SSADS'),
  {
    name: 'first-stage 5-level tables',
    fields: ['CAP.FS5LP'],
    of: (get) => yes(get('CAP.FS5LP') === 1 && get('ECAP.FSTS') === 1),
  },
  flag('page-selective invalidation', 'CAP.PSI'),
  flag('pass-through', 'ECAP.PT'),
  flag('snoop control', 'ECAP.SC'),
  {
    name: 'coherent walks',
    fields: ['ECAP.C', 'ECAP.SMPWCS'],
    of: (get) => yes(get(get('ECAP.SMTS') === 1 ? 'ECAP.SMPWCS' : 'ECAP.C') === 1),
  },
  flag('interrupt remapping', 'ECAP.IR'),
  flag('posted interrupts', 'CAP.PI'),
];

const OAS = [32, 36, 40, 42, 44, 48, 52, 56];

const SMMU_ROWS: readonly AbilityRow[] = [
  { name: 'output addresses', fields: ['IDR5.OAS'], of: (get) => bits(OAS[get('IDR5.OAS')]!) },
  {
    name: 'granules',
    fields: ['IDR5.GRAN4K', 'IDR5.GRAN16K', 'IDR5.GRAN64K'],
    of: (get) =>
      list([
        [get('IDR5.GRAN4K') === 1, '4 KiB'],
        [get('IDR5.GRAN16K') === 1, '16 KiB'],
        [get('IDR5.GRAN64K') === 1, '64 KiB'],
      ]),
  },
  { name: 'StreamIDs', fields: ['IDR1.SIDSIZE'], of: (get) => bits(get('IDR1.SIDSIZE')) },
  flag('stage 1', 'IDR0.S1P'),
  flag('stage 2', 'IDR0.S2P'),
  {
    name: NESTED,
    fields: ['IDR0.S1P', 'IDR0.S2P'],
    of: (get) => yes(get('IDR0.S1P') === 1 && get('IDR0.S2P') === 1),
  },
  { name: PASIDS, fields: ['IDR1.SSIDSIZE'], of: (get) => bits(get('IDR1.SSIDSIZE')) },
  flag('two-level CD tables', 'IDR0.CD2L'),
  flag(ATS, 'IDR0.ATS'),
  flag(PRI, 'IDR0.PRI'),
  {
    name: 'stalls',
    fields: ['IDR0.STALL_MODEL'],
    of: (get) => ([`yes`, false, 'always'] as const)[get('IDR0.STALL_MODEL') as 0 | 1 | 2],
  },
  {
    name: DIRTY,
    fields: ['IDR0.HTTU'],
    of: (get) => yes(get('IDR0.HTTU') >= 2),
  },
  flag('range invalidation', 'IDR3.RIL'),
  {
    name: 'break-before-make level',
    fields: ['IDR3.BBML'],
    of: (get) => get('IDR3.BBML') > 0 && String(get('IDR3.BBML')),
  },
  flag('forced memory types of stage 2', 'IDR3.FWB'),
  flag('coherent walks', 'IDR0.COHACC'),
  flag('broadcast TLB maintenance', 'IDR0.BTM'),
  flag('its own message interrupts', 'IDR0.MSI'),
];

/** What a unit can do, in one order for all units of a sort. */
export function abilitiesOf(unit: UnitModel): readonly Ability[] {
  const rows = unit.kind === 'vtd' ? VTD_ROWS : SMMU_ROWS;
  const reader =
    (which: 'words' | 'modelled'): Fields =>
    (name) => {
      const { layout, [which]: words, field } = lookUp(unit, name);
      return layout.get[field]!(words, 0);
    };
  return rows.map(({ name, fields, of }) => ({
    name,
    value: of(reader('words')),
    modelled: of(reader('modelled')),
    bits: fields.map((one) => placeOf(unit, one)).join(', '),
  }));
}

function lookUp(unit: UnitModel, name: string): UnitRegister & { readonly field: string } {
  const [register, field] = name.split('.') as [string, string];
  return { ...unit.registers.find(({ layout }) => layout.name === register)!, field };
}

function placeOf(unit: UnitModel, name: string): string {
  const { layout, field } = lookUp(unit, name);
  const { hi, lo } = layout.fields[field]!;
  return `${name} (${hi === lo ? hi : `${hi}:${lo}`})`;
}

/** JEP106 codes, and products by implementer (IIDR). */
const IMPLEMENTERS: Readonly<Record<number, string>> = { 1083: 'Arm' };
const PRODUCTS: Readonly<Record<number, string>> = {
  1155: 'MMU-600',
  1159: 'MMU-700',
  1162: 'MMU L1',
  1176: 'MMU S3',
};

/** What a unit is: `Intel VT-d 6.0, scalable mode`. */
export function titleOf(unit: UnitModel): string {
  const field = (name: string): number => {
    const { layout, words, field } = lookUp(unit, name);
    return layout.get[field]!(words, 0);
  };
  if (unit.kind === 'vtd') {
    const version = `${field(`${VER.name}.MAX`)}.${field(`${VER.name}.MIN`)}`;
    return `Intel VT-d ${version}, ${field('ECAP.SMTS') === 1 ? 'scalable' : 'legacy'} mode`;
  }
  const version = `Arm SMMUv3.${field('AIDR.ArchMinorRev')}`;
  const implementer = IMPLEMENTERS[field('IIDR.Implementer')];
  const product = implementer === undefined ? undefined : PRODUCTS[field('IIDR.ProductID')];
  if (product === undefined) return version;
  return `${version}, ${implementer} ${product} r${field('IIDR.Variant')}p${field('IIDR.Revision')}`;
}

/** A field that units of a host do not agree in. */
export interface Divergence {
  readonly register: string;
  readonly field: string;
  readonly bits: string;
  readonly doc: string;
  /** Units by value. */
  readonly values: readonly { readonly value: number; readonly units: readonly string[] }[];
}

/** Where the registers of units differ: empty where all are alike. */
export function divergences(units: readonly UnitModel[]): readonly Divergence[] {
  const [first, ...others] = units;
  const found = new Map<string, FieldDifference>();
  for (const other of others) {
    for (const [index, { layout, words }] of first!.registers.entries()) {
      for (const one of fieldDifferences(layout, words, other.registers[index]!.words)) {
        const key = `${one.register} ${one.bits}`;
        if (!found.has(key)) found.set(key, one);
      }
    }
  }
  return [...found.values()].map(({ register, field, bits: place, doc }) => {
    const values = new Map<number, string[]>();
    for (const unit of units) {
      const value = fieldOf(unit, register, place);
      values.set(value, [...(values.get(value) ?? []), unit.entry.id]);
    }
    return {
      register,
      field,
      bits: place,
      doc,
      values: [...values].map(([value, ids]) => ({ value, units: ids })),
    };
  });
}

function fieldOf(unit: UnitModel, register: string, place: string): number {
  const { words } = unit.registers.find(({ layout }) => layout.name === register)!;
  const [hi, lo = hi] = place.split(':').map(Number) as [number, number?];
  const value = (BigInt(words[1]!) << 32n) | BigInt(words[0]!);
  return Number((value >> BigInt(lo!)) & ((1n << BigInt(hi - lo! + 1)) - 1n));
}

/** Abilities that units of a host do not agree in: what somebody notices of the differing bits. */
export function unlikeAbilities(units: readonly UnitModel[]): readonly {
  readonly name: string;
  readonly values: readonly (readonly [unit: string, value: string])[];
}[] {
  const all = units.map((unit) => ({ id: unit.entry.id, abilities: abilitiesOf(unit) }));
  return all[0]!.abilities.flatMap(({ name, value }, index) => {
    if (all.every(({ abilities }) => abilities[index]!.value === value)) return [];
    return [{ name, values: all.map(({ id, abilities }) => [id, abilities[index]!.value || 'no'] as const) }];
  });
}

/** What the host as a whole can do: what every unit can, and what some can. */
export function rolledUp(units: readonly UnitModel[]): {
  readonly every: readonly string[];
  readonly some: readonly string[];
  readonly none: readonly string[];
} {
  const all = units.map(abilitiesOf);
  const every: string[] = [];
  const some: string[] = [];
  const none: string[] = [];
  all[0]!.forEach(({ name }, index) => {
    const values = all.map((one) => one[index]!.value);
    const present = values.filter((value) => value !== false);
    if (present.length === 0) none.push(name);
    else if (present.length < values.length) some.push(name);
    else every.push(...withExtent(name, present));
  });
  return { every, some, none };
}

/** `PASIDs of 20 bits`; where units differ in how much, the least all of them have cannot be told from texts: all are named. */
function withExtent(name: string, values: readonly string[]): string[] {
  const different = [...new Set(values)];
  return different[0] === 'yes' && different.length === 1 ? [name] : [`${name} (${different.join(' / ')})`];
}

/**
 * The unit that can do most, of several the one with the widest PASIDs, and of those the first: what a virtual IOMMU that copies the
 * host is made after.
 */
export function mostCapable(units: readonly UnitModel[]): UnitModel {
  const count = (unit: UnitModel) => abilitiesOf(unit).filter(({ modelled }) => modelled !== false).length;
  const isBetter = (one: UnitModel, other: UnitModel) => {
    const more = count(one) - count(other);
    return more > 0 || (more === 0 && reachOf(one).pasidWidth > reachOf(other).pasidWidth);
  };
  return units.reduce((best, unit) => (isBetter(unit, best) ? unit : best));
}
