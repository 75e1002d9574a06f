import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { hostSummary, hostText } from '../../../../vmm/host/model/summary.ts';
import { ENGINE, hostJson, hostOf, ROOT_PORT, VTD_UNIT } from '../../../kit/host-file.ts';

const shipped = (name: string) =>
  hostSummary(hostOf(JSON.parse(readFileSync(`vmm/host/hosts/${name}.json`, 'utf8'))));
const ability = (summary: ReturnType<typeof shipped>, unit: string, name: string) =>
  summary.units.find(({ id }) => id === unit)?.abilities.find((one) => one.ability === name);

describe('what a host is', () => {
  test.each([
    ['xeon-skylake-sp', 'Intel VT-d 1.0, legacy mode'],
    ['xeon-sapphire-rapids', 'Intel VT-d 6.0, scalable mode'],
    ['xeon-mixed', 'Intel VT-d 6.0, scalable mode and Intel VT-d 1.0, legacy mode'],
    ['core-alder-lake', 'Intel VT-d 4.0, legacy mode and Intel VT-d 5.0, legacy mode'],
    ['xeon-westmere', 'Intel VT-d 1.0, legacy mode'],
    ['arm-mmu-600', 'Arm SMMUv3.1, Arm MMU-600 r1p0'],
    ['arm-mmu-700', 'Arm SMMUv3.2, Arm MMU-700 r1p0'],
  ])('%s is %s', (name, title) => {
    expect(shipped(name).iommu).toBe(title);
  });

  test('abilities name the bits that say them', () => {
    expect(ability(shipped('xeon-mixed'), 'dmar0', 'nested translation')).toEqual({
      ability: 'nested translation',
      value: 'yes',
      bits: 'ECAP.SMTS (43), ECAP.NEST (26)',
    });
    expect(ability(shipped('arm-mmu-600'), 'smmu0', 'PASIDs')).toMatchObject({
      value: '20 bits',
      bits: 'IDR1.SSIDSIZE (10:6)',
    });
  });

  test('what the model of a unit does not do is told beside what the unit does', () => {
    expect(ability(shipped('xeon-skylake-sp'), 'dmar0', 'posted interrupts')).toEqual({
      ability: 'posted interrupts',
      value: 'yes',
      modelled: 'no',
      bits: 'CAP.PI (59)',
    });
  });

  test('the westmere host can do nothing of what guests want', () => {
    expect(shipped('xeon-westmere').can.none).toEqual(
      expect.arrayContaining(['nested translation', 'PASIDs', 'device TLBs (ATS)', 'page requests (PRI)']),
    );
  });
});

describe('units that differ', () => {
  test('are told by ability, then by field, with the units of each value', () => {
    const { unlike, divergences, mostCapable } = shipped('xeon-mixed');

    expect(unlike).toContainEqual({
      ability: 'PASIDs',
      values: [
        { unit: 'dmar0', value: '20 bits' },
        { unit: 'dmar1', value: 'no' },
        { unit: 'dmar2', value: 'no' },
      ],
    });
    expect(divergences).toContainEqual({
      register: 'ECAP',
      field: 'NEST',
      bits: '26',
      doc: 'Nested translation',
      values: [
        { value: 1, units: ['dmar0', 'dmar1'] },
        { value: 0, units: ['dmar2'] },
      ],
    });
    expect(mostCapable).toBe('dmar0');
  });

  test('units that are alike differ in nothing', () => {
    expect(shipped('xeon-skylake-sp').divergences).toEqual([]);
    expect(hostText(shipped('xeon-skylake-sp'))).not.toContain('warning');
  });
});

describe('devices', () => {
  const device = (summary: ReturnType<typeof shipped>, address: string) =>
    summary.devices.find((one) => one.address === address)!;

  test('a device can do what both itself and its unit can do; what it loses is told with the bits', () => {
    const engine = device(shipped('xeon-mixed'), '0000:27:00.0');

    expect(engine.can).toEqual({ pasidWidth: 0, pasidExec: false, pasidPriv: false, ats: true, pri: false });
    expect(engine.loses).toEqual([
      'PASIDs: dmar1 has none: ECAP.PASID (40), ECAP.PSS (39:35)',
      'PRI: dmar1 takes no page requests: ECAP.SMTS (43), ECAP.PRS (29)',
    ]);
  });

  test('a virtual function has the PASIDs and page requests of its physical one', () => {
    expect(device(shipped('arm-mmu-600'), '0000:08:00.1').can).toEqual({
      pasidWidth: 20,
      pasidExec: true,
      pasidPriv: true,
      ats: true,
      pri: true,
    });
  });

  test('a virtual function is behind the unit of its physical one', () => {
    const host = hostOf(
      hostJson(
        [
          ROOT_PORT,
          { ...ENGINE, model: { kind: 'svm-engine', options: { vfs: 1 } } },
          { address: '0000:01:00.1', type: 'vf', of: '0000:01:00.0' },
        ],
        [VTD_UNIT, { ...VTD_UNIT, id: 'dmar1', base: '0x1000', devices: ['0000:00:01.0'] }],
      ),
    );

    expect(host.functions.map(({ unit }) => unit.entry.id)).toEqual(['dmar1', 'dmar1', 'dmar1']);
  });

  test('devices of a switch without ACS are one group, with the reason', () => {
    const { groups } = shipped('xeon-sapphire-rapids');
    const group = groups.find(({ devices }) => devices.includes('0000:29:00.0'))!;

    expect(group.devices).toEqual(['0000:28:00.0', '0000:29:00.0', '0000:28:01.0', '0000:2a:00.0']);
    expect(group.reasons[0]).toBe('0000:29:00.0: 0000:28:00.0 has no ACS capability');
  });

  test('requests with PASID that may hit registers of a peer are told, with the addresses', () => {
    const { pasidPath } = device(shipped('xeon-sapphire-rapids'), '0000:29:00.0');

    expect(pasidPath?.verdict).toBe('reserve');
    expect(pasidPath?.windows.length).toBeGreaterThan(0);
    expect(pasidPath?.why).toContain('0000:28:00.0 has no ACS capability');
    expect(device(shipped('xeon-sapphire-rapids'), '0000:16:00.0').pasidPath).toBeUndefined();
  });

  test('nobody may map messages and what firmware keeps', () => {
    expect(device(shipped('core-alder-lake'), '0000:00:02.0').reserved).toEqual([
      { start: '0xfee00000', last: '0xfeefffff' },
      { start: '0x7c000000', last: '0x807fffff' },
    ]);
    expect(device(shipped('arm-mmu-600'), '0000:01:00.0').reserved).toEqual([]);
  });
});
