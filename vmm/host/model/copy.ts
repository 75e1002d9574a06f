import { SMMU_DEFAULTS } from '../../../viommu/smmuv3/config.ts';
import { VTD_DEFAULTS } from '../../../viommu/vtd/config.ts';
import { TsvmmError } from '../../core/errors.ts';
import { fieldDifferences } from '../../regs/compare.ts';
import { mostCapable, titleOf } from './abilities.ts';
import type { HostDescription } from './host.ts';
import { identityWords, type UnitModel } from './units.ts';

/** An IOMMU for guests, made after a unit of the host. */
export interface UnitCopy {
  /** Id of the unit. */
  readonly unit: string;
  /** The kind of `--viommu`, with options. */
  readonly kind: 'intel' | 'smmuv3';
  readonly options: Readonly<Record<string, unknown>>;
}

/** Units that were to choose from, with the devices behind them that counted. */
interface Candidate {
  readonly unit: UnitModel;
  readonly devices: readonly string[];
}

/** A field in which the copy is not as the unit. */
export interface CopiedField {
  readonly field: string;
  readonly bits: string;
  readonly doc: string;
  readonly host: number;
  readonly copy: number;
  /** The unit of tsvmm that comes nearest has it so; or an option of the user's says so. */
  readonly why: 'model' | 'option';
}

export interface CopyReport {
  readonly host: string;
  readonly unit: string;
  readonly title: string;
  readonly candidates: readonly { readonly unit: string; readonly devices: readonly string[] }[];
  readonly registers: readonly {
    readonly register: string;
    readonly host: string;
    readonly copy: string;
    readonly differences: readonly CopiedField[];
  }[];
}

/**
 * The most capable of the units that devices are behind, as an IOMMU for their guest. How the unit's caches behave is the host's: the
 * copy's are as always.
 * @param devices addresses; those that the host does not have are left out. None: every unit of the host counts
 */
export function copyOf(host: HostDescription, devices: readonly string[]): UnitCopy {
  const unit = mostCapable(candidatesOf(host, devices).map((one) => one.unit));
  const { options } = unit.likeness;
  const { cache, 'cache-seed': seed, invalidation } = unit.kind === 'vtd' ? VTD_DEFAULTS : SMMU_DEFAULTS;
  return {
    unit: unit.entry.id,
    kind: unit.kind === 'vtd' ? 'intel' : 'smmuv3',
    options: { ...options, cache, 'cache-seed': seed, invalidation },
  };
}

function candidatesOf({ units, functions }: HostDescription, devices: readonly string[]): Candidate[] {
  const behind = units.map((unit) => ({
    unit,
    devices: functions
      .filter((fn) => fn.unit === unit && devices.includes(fn.address))
      .map(({ address }) => address),
  }));
  const chosen = behind.filter((one) => one.devices.length > 0);
  return chosen.length > 0 ? chosen : behind;
}

/** What became of the unit's registers in the copy, bit by bit. @throws TsvmmError where the host has no such unit */
export function reportCopy(
  host: HostDescription,
  unitId: string,
  devices: readonly string[],
  options: Readonly<Record<string, unknown>>,
): CopyReport {
  const unit = host.units.find(({ entry }) => entry.id === unitId);
  if (unit === undefined) {
    throw new TsvmmError({
      code: 'unknown-unit',
      object: `${host.source}: copied.unit`,
      why: `the host has no unit '${unitId}'`,
      mend: `it has ${host.units.map(({ entry }) => entry.id).join(', ')}`,
    });
  }
  const words = identityWords(unit.kind, options);
  const registers = unit.registers.map(({ layout, words: stated, modelled }) => {
    const copy = words[layout.name] ?? new Uint32Array(2);
    const ofModel = fieldDifferences(layout, stated, modelled);
    const differences = fieldDifferences(layout, stated, copy).map(({ field, bits, doc, a, b }) => {
      const same = ofModel.some((one) => one.bits === bits && one.b === b);
      return { field, bits, doc, host: a, copy: b, why: same ? ('model' as const) : ('option' as const) };
    });
    return { register: layout.name, host: hexOf(stated), copy: hexOf(copy), differences };
  });
  return {
    host: host.file.name,
    unit: unitId,
    title: titleOf(unit),
    candidates: candidatesOf(host, devices).map((one) => ({ unit: one.unit.entry.id, devices: one.devices })),
    registers,
  };
}

const hexOf = (words: Uint32Array): string =>
  `0x${((BigInt(words[1] ?? 0) << 32n) | BigInt(words[0] ?? 0)).toString(16)}`;

const numberText = (value: number): string => (value < 10 ? String(value) : `0x${value.toString(16)}`);

const WHY = { model: "tsvmm's unit has it so", option: 'an option of --viommu says so' } as const;

/** Why the guest's IOMMU is as it is. */
export function copyText(report: CopyReport): string[] {
  const { host, unit, title, candidates, registers } = report;
  const others = candidates.map(({ unit: id, devices }) =>
    devices.length === 0 ? id : `${id} (${devices.join(', ')})`,
  );
  const chosen = candidates.length === 1 ? others[0] : `the most capable of ${others.join(', ')}`;
  const lines = [`vIOMMU: a copy of ${unit} of ${host}, ${title}: ${chosen}`];
  for (const { register, host: stated, copy, differences } of registers) {
    if (differences.length === 0) {
      lines.push(`  ${register} ${copy}: as on the host`);
      continue;
    }
    lines.push(`  ${register} ${copy}, on the host ${stated}`);
    for (const { field, bits, doc, host: a, copy: b, why } of differences)
      lines.push(
        `    ${field} (${bits}) ${numberText(b)}, on the host ${numberText(a)}: ${doc}; ${WHY[why]}`,
      );
  }
  return lines;
}
