import { TsvmmError } from '../../core/errors.ts';
import type { FieldDifference } from '../../regs/compare.ts';
import type { Layout } from '../../regs/layout.ts';

/** A field in which the registers of a unit and those of its model differ. */
export interface UnitDifference extends FieldDifference {
  /** What iommufd tells of it: what the registers say, or what the model has. */
  readonly told: 'registers' | 'model';
}

/**
 * Fields that may say more than the model has, because nothing that users of iommufd do comes out differently: places of registers,
 * sizes of the host's own queues and fault logs, invalidations of several pages that the host's driver splits, memory types, hints,
 * what interrupts cost, versions.
 */
const HARMLESS: Readonly<Record<string, string>> = {
  CAP: 'PLMR PHMR MGAW FRO NFR MAMV DWD DRD FS1GP PI undeclared',
  ECAP: 'IRO MHMV MTS NWFS PSS DIT PDS undeclared',
  IDR0: 'COHACC BTM DORMHINT ATOS VATOS RME_IMPL undeclared',
  IDR1: 'SIDSIZE PRIQS EVENTQS CMDQS ATTR_PERMS_OVR ATTR_TYPES_OVR REL QUEUES_PRESET TABLES_PRESET ECMDQ undeclared',
  IDR2: 'BA_VATOS undeclared',
  IDR3: 'PBHA MPAM FWB DPT PASIDTT undeclared',
  IDR4: 'IMPDEF undeclared',
  IDR5: 'STALL_MAX undeclared',
  IIDR: 'Implementer Revision Variant ProductID undeclared',
  AIDR: 'ArchMinorRev ArchMajorRev undeclared',
};
/** Fields of VT-d whose higher values mean more. Where the registers say less than the model has, the host's driver keeps to that. */
const ORDERED = new Set(['CAP', 'ECAP']);

/**
 * Which of two registers tells each field that differs.
 * @param lacks fields that the file says the model does without, as `IDR0.TTF`
 * @throws TsvmmError where the registers promise what the model does not have and the file does not say so
 */
export function judge(
  differences: readonly FieldDifference[],
  lacks: readonly string[],
  where: string,
): readonly UnitDifference[] {
  const names = new Set(differences.map(nameOf));
  const none = lacks.find((name) => !names.has(name));
  if (none !== undefined) {
    throw new TsvmmError({
      code: 'bad-host',
      object: `${where} lacks`,
      why: `the model has ${none} as the registers say it`,
      mend: 'leave it out',
    });
  }
  return differences.map((one) => {
    const name = nameOf(one);
    if (lacks.includes(name)) return { ...one, told: 'model' };
    if (!isHarmless(one)) throw promised(one, where);
    return { ...one, told: 'registers' };
  });
}

const nameOf = ({ register, field }: FieldDifference): string => `${register}.${field}`;

function isHarmless({ register, field, a, b }: FieldDifference): boolean {
  if (HARMLESS[register]?.split(' ').includes(field)) return true;
  return ORDERED.has(register) && (field === 'SAGAW' ? (a & ~b) === 0 : a < b);
}

function promised({ register, field, bits, doc, a, b }: FieldDifference, where: string): TsvmmError {
  const name = `${register}.${field}`;
  return new TsvmmError({
    code: 'bad-iommu-registers',
    object: `${where}: ${name} (${bits})`,
    why: `is ${a}, and the model has ${b}: ${doc}`,
    mend: `correct the register, or name '${name}' in lacks: users are then told what the model has`,
  });
}

/** What iommufd tells of a register: what it says, but for the fields of which the model's value is told. */
export function toldWords(
  layout: Layout,
  stated: Uint32Array,
  modelled: Uint32Array,
  differences: readonly UnitDifference[],
): Uint32Array {
  const words = stated.slice();
  for (const { register, field, told } of differences) {
    if (register !== layout.name || told === 'registers') continue;
    const declared = layout.fields[field];
    if (declared === undefined) continue;
    for (let bit = declared.lo; bit <= declared.hi; bit++) {
      const mask = 1 << (bit & 31);
      const at = bit >>> 5;
      words[at] = (words[at]! & ~mask) | (modelled[at]! & mask);
    }
  }
  return words;
}
