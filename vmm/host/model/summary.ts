import { read16 } from '../../../devices/vconfig/capability-table.ts';
import type { DeviceFacts } from '../../../devices/vconfig/facts.ts';
import type { Interval } from '../iommufd/intervals.ts';
import { pasidPath } from '../vfio/topology.ts';
import { abilitiesOf, divergences, mostCapable, rolledUp, titleOf, unlikeAbilities } from './abilities.ts';
import type { HostDescription, HostFunction } from './host.ts';
import { reachOf, type UnitModel } from './units.ts';

/** What `tsvmm host show --json` prints: everything that follows from a host's file. */
export function hostSummary(host: HostDescription) {
  const { file, units, functions, groups } = host;
  return {
    name: file.name,
    about: file.about,
    /** The rolled-up answer. */
    iommu: [...new Set(units.map(titleOf))].join(' and '),
    can: rolledUp(units),
    mostCapable: mostCapable(units).entry.id,
    units: units.map(unitSummary),
    divergences: divergences(units),
    unlike: unlikeAbilities(units).map(({ name, values }) => ({
      ability: name,
      values: values.map(([unit, value]) => ({ unit, value })),
    })),
    devices: functions.map((fn) => deviceSummary(fn, host)),
    groups: groups.map(({ number, functions: members, reasons }) => ({
      number,
      devices: members,
      reasons,
    })),
  };
}
export type HostSummary = ReturnType<typeof hostSummary>;

function unitSummary(unit: UnitModel) {
  const { entry, registers, differences } = unit;
  return {
    id: entry.id,
    kind: entry.kind,
    title: titleOf(unit),
    about: entry.about,
    base: entry.base,
    quirks: entry.quirks,
    /** Of the model: no register tells them. */
    caches: entry.cache,
    ...(entry.cache === 'random' ? { cacheSeed: entry.cacheSeed } : {}),
    invalidation: entry.invalidation,
    registers: registers.map(({ layout, words }) => ({
      name: layout.name,
      value: (entry.registers as unknown as Record<string, string>)[layout.name]!,
      fields: layout.show(words),
    })),
    abilities: abilitiesOf(unit).map(({ name, value, modelled, bits }) => ({
      ability: name,
      value: value || 'no',
      ...(modelled === value ? {} : { modelled: modelled || 'no' }),
      bits,
    })),
    limits: differences.map(({ register, field, bits, doc, a, b, told }) => ({
      register,
      field,
      bits,
      stated: a,
      modelled: b,
      told,
      doc,
    })),
  };
}

function deviceSummary(fn: HostFunction, host: HostDescription) {
  const { entry, unit, space, facts, group } = fn;
  const path = facts.pasidWidth > 0 ? pasidPath(host.topology, fn.address) : undefined;
  return {
    address: fn.address,
    type: entry.type,
    title: entry.title,
    ...(space === undefined ? {} : { id: `${hex4(read16(space.bytes, 0))}:${hex4(read16(space.bytes, 2))}` }),
    ...(entry.model === undefined ? {} : { model: entry.model.kind }),
    unit: unit.entry.id,
    group: group.number,
    can: facts,
    loses: lossesOf(fn),
    ...(path === undefined || path.verdict === 'free'
      ? {}
      : {
          pasidPath: {
            verdict: path.verdict,
            windows: path.windows.map(rangeOf),
            why: path.why,
          },
        }),
    reserved: fn.reserved.map(rangeOf),
  };
}

const rangeOf = ({ start, last }: Interval) => ({
  start: `0x${start.toString(16)}`,
  last: `0x${last.toString(16)}`,
});

/** What the device could do and its unit does not, with the bits that say so. */
function lossesOf({ own, facts, unit }: HostFunction): string[] {
  const reach = reachOf(unit);
  const bits = (ability: string) => abilitiesOf(unit).find(({ name }) => name === ability)!.bits;
  const losses: string[] = [];
  const lost = (key: keyof DeviceFacts) => Boolean(own[key]) && !facts[key];
  const id = unit.entry.id;
  if (lost('pasidWidth')) losses.push(`PASIDs: ${id} has none: ${bits('PASIDs')}`);
  else if (facts.pasidWidth < own.pasidWidth)
    losses.push(`PASIDs of ${own.pasidWidth} bits: ${id} has ${reach.pasidWidth} bits: ${bits('PASIDs')}`);
  if (lost('ats')) losses.push(`ATS: ${id} has no device TLBs: ${bits('device TLBs (ATS)')}`);
  if (lost('pri')) losses.push(`PRI: ${id} takes no page requests: ${bits('page requests (PRI)')}`);
  return losses;
}

const hex4 = (value: number): string => value.toString(16).padStart(4, '0');

// Text

export function hostText(summary: HostSummary): string {
  const lines = [`${summary.name}: ${summary.about}`, ''];
  lines.push(`This is ${summary.iommu}, ${count(summary.units.length, 'unit')}.`);
  lines.push(`  can do: ${summary.can.every.join(', ')}`);
  if (summary.can.some.length > 0) lines.push(`  some units only: ${summary.can.some.join(', ')}`);
  if (summary.can.none.length > 0) lines.push(`  cannot do: ${summary.can.none.join(', ')}`);
  if (summary.units.length > 1) lines.push(`  most capable: ${summary.mostCapable}`);
  lines.push(...divergenceLines(summary));
  for (const unit of summary.units) lines.push('', ...unitLines(unit));
  lines.push('', 'devices');
  for (const device of summary.devices) lines.push(...deviceLines(device));
  lines.push('', 'groups');
  for (const { number, devices, reasons } of summary.groups) {
    lines.push(`  ${number}: ${devices.join(' ')}`);
    for (const reason of reasons) lines.push(`      ${reason}`);
  }
  return `${lines.join('\n')}\n`;
}

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;

/** Units that differ: what somebody notices, then the bits. */
function divergenceLines({ divergences: found, unlike }: HostSummary): string[] {
  if (found.length === 0) return [];
  const lines = ['', `warning: the units differ in ${count(found.length, 'field')}`];
  for (const { ability, values } of unlike)
    lines.push(`  ${ability}: ${values.map(({ unit, value }) => `${unit} ${value}`).join(', ')}`);
  for (const { register, field, bits, doc, values } of found) {
    const text = values.map(({ value, units }) => `${units.join(' ')} ${numberText(value)}`).join(', ');
    lines.push(`  ${register}.${field} (${bits}): ${text}: ${doc}`);
  }
  return lines;
}

const numberText = (value: number): string => (value < 10 ? String(value) : `0x${value.toString(16)}`);

function unitLines({
  id,
  title,
  base,
  quirks,
  caches,
  cacheSeed,
  invalidation,
  registers,
  abilities,
  limits,
}: HostSummary['units'][number]): string[] {
  const lines = [`${id}: ${title}, at ${base}`];
  for (const { name, value, fields } of registers) lines.push(`  ${name} ${value}: ${fields}`);
  for (const { ability, value, modelled, bits } of abilities) {
    const here = modelled === undefined ? '' : `; the model: ${modelled}`;
    lines.push(`  ${ability}: ${value}${here} [${bits}]`);
  }
  const seed = cacheSeed === undefined ? '' : ` (seed ${cacheSeed})`;
  lines.push(`  caches: ${caches}${seed}; invalidation: ${invalidation}`);
  for (const quirk of quirks) lines.push(`  erratum: ${QUIRK_TEXTS[quirk]}`);
  if (limits.length > 0) lines.push(`  where the model of this unit is not as its registers say:`);
  for (const { register, field, bits, stated, modelled, told, doc } of limits) {
    const values = `${numberText(stated)}, the model has ${numberText(modelled)}`;
    const which = told === 'model' ? ', and so iommufd says' : '';
    lines.push(`    ${register}.${field} (${bits}) ${values}${which}: ${doc}`);
  }
  return lines;
}

const QUIRK_TEXTS = {
  'read-only-parents': 'no read-only pages in second-stage tables under first-stage ones',
  'repeat-invalidations': 'TLBI and CFGI commands have to be issued twice',
} as const;

function deviceLines(device: HostSummary['devices'][number]): string[] {
  const { address, type, title, id, model, unit, group, can, loses, pasidPath: path } = device;
  const what = [type, id, title, model === undefined ? undefined : `(${model})`].filter((one) => one);
  const lines = [`  ${address} ${what.join(' ')}`, `      unit ${unit}, group ${group}${factsText(can)}`];
  for (const loss of loses) lines.push(`      loses ${loss}`);
  if (path?.verdict === 'refused') lines.push(`      PASIDs are refused: ${path.why}`);
  if (path?.verdict === 'reserve') {
    const windows = path.windows.map(({ start, last }) => `${start}-${last}`).join(', ');
    lines.push(`      PASIDs only without the addresses ${windows}, and in no tables of others: ${path.why}`);
  }
  return lines;
}

function factsText({ pasidWidth, pasidExec, pasidPriv, ats, pri }: DeviceFacts): string {
  const parts: string[] = [];
  if (pasidWidth > 0) {
    const rights = [pasidExec ? 'execute' : '', pasidPriv ? 'privileged' : ''].filter((one) => one !== '');
    parts.push(`PASIDs of ${pasidWidth} bits${rights.length > 0 ? ` (${rights.join(', ')})` : ''}`);
  }
  if (ats) parts.push('ATS');
  if (pri) parts.push('PRI');
  return parts.length === 0 ? '' : `, ${parts.join(', ')}`;
}
