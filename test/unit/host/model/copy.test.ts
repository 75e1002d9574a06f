import { describe, expect, test } from 'vitest';
import { copyOf, copyText, reportCopy } from '../../../../vmm/host/model/copy.ts';
import { hostOf } from '../../../kit/host-file.ts';
import { shippedHost } from '../../../kit/running-host.ts';

const MIXED = hostOf(shippedHost('xeon-mixed'));
/** Behind the unit with everything, the one without PASIDs, and the old one. */
const [FULL, WITHOUT_PASIDS, OLD] = ['0000:16:00.0', '0000:27:00.0', '0000:81:00.0'];

describe('the unit that a virtual IOMMU is made after', () => {
  test.each([
    [[FULL], 'dmar0'],
    [[OLD, FULL, WITHOUT_PASIDS], 'dmar0'],
    [[OLD, WITHOUT_PASIDS], 'dmar1'],
    [[OLD], 'dmar2'],
    [[], 'dmar0'],
    [['0000:99:00.0'], 'dmar0'],
  ])('of devices %j is %s, the most capable that one of them is behind', (devices, unit) => {
    const copy = copyOf(MIXED, devices as string[]);

    expect([copy.unit, copy.kind]).toEqual([unit, 'intel']);
  });

  test('gives it its capabilities', () => {
    const { options } = copyOf(MIXED, [FULL as string]);

    expect(options).toMatchObject({
      'scalable-mode': true,
      nested: true,
      fsts: true,
      'pasid-bits': 20,
      'page-requests': true,
      'execute-requests': false,
    });
  });

  test('an old unit leaves scalable mode out', () => {
    const { options } = copyOf(MIXED, [OLD as string]);

    expect(options).toMatchObject({ 'scalable-mode': false, 'pasid-bits': 0, 'page-requests': false });
  });

  test('is an SMMUv3 on a host with SMMUv3 units', () => {
    const copy = copyOf(hostOf(shippedHost('arm-mmu-700')), ['0000:06:00.0']);

    expect([copy.unit, copy.kind]).toEqual(['smmu1', 'smmuv3']);
    expect(copy.options).toMatchObject({ stage: 'nested', ssidsize: 20, ats: true, pri: true });
  });

  test('is copied as it is, not as its caches behave in the model of the host', () => {
    const json = shippedHost('xeon-mixed') as { units: { cache?: string }[] };
    json.units[0]!.cache = 'unbounded';

    expect(copyOf(hostOf(json), [FULL as string]).options).toMatchObject({ cache: 'normal' });
  });
});

describe('the report of a copy', () => {
  const devices = [FULL, OLD] as string[];

  test('names the unit, those it was chosen from, and each bit that is another', () => {
    const { options } = copyOf(MIXED, devices);

    const report = reportCopy(MIXED, 'dmar0', devices, options);

    expect(report.candidates).toEqual([
      { unit: 'dmar0', devices: [FULL] },
      { unit: 'dmar2', devices: [OLD] },
    ]);
    const [ver, cap] = report.registers;
    expect([ver?.register, ver?.host, cap?.register, cap?.host]).toEqual([
      'VER',
      '0x60',
      'CAP',
      '0x9ed008c40780466',
    ]);
    expect(cap?.differences).toContainEqual({
      field: 'PI',
      bits: '59',
      doc: 'Posted interrupts',
      host: 1,
      copy: 0,
      why: 'model',
    });
  });

  test('tells what an option of the user has changed from what the model lacks', () => {
    const { options } = copyOf(MIXED, devices);

    const report = reportCopy(MIXED, 'dmar0', devices, { ...options, 'pasid-bits': 16 });

    const ecap = report.registers.find(({ register }) => register === 'ECAP')!;
    expect(ecap.differences.filter(({ why }) => why === 'option')).toEqual([
      { field: 'PSS', bits: '39:35', doc: 'PASID size - 1', host: 19, copy: 15, why: 'option' },
    ]);
    const text = copyText(report);
    expect(text[0]).toBe(
      'vIOMMU: a copy of dmar0 of xeon-mixed, Intel VT-d 6.0, scalable mode: the most capable of dmar0 (0000:16:00.0), dmar2 (0000:81:00.0)',
    );
    expect(text).toContain(
      '    PSS (39:35) 0xf, on the host 0x13: PASID size - 1; an option of --viommu says so',
    );
  });

  test('of a unit that the host does not have is refused', () => {
    expect(() => reportCopy(MIXED, 'dmar7', [], {})).toThrow(
      "copied.unit: the host has no unit 'dmar7'; it has dmar0, dmar1, dmar2",
    );
  });
});
