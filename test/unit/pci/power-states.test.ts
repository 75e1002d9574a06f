import { describe, expect, test } from 'vitest';
import { PciFunction } from '../../../devices/pci/function.ts';
import { givenLayout } from '../../../devices/pci/given-layout.ts';
import type { PciServices } from '../../../devices/pci/kind.ts';
import type { PlannedConfig } from '../../../devices/pci/layout.ts';
import { PciRig, RecordingBackend } from '../../kit/pci-rig.ts';

/** A planned config space with D1 and D2 of PMC (bits 9 and 10) as given. */
function withPowerStates(pmc: number, csr = 0) {
  const bytes = new Uint8Array(256);
  bytes.set([0x34, 0x12, 0x53, 0x00]);
  bytes[6] = 0x10;
  bytes[0x34] = 0x40;
  bytes.set([0x01, 0, pmc & 0xff, pmc >> 8, csr], 0x40);
  const config: PlannedConfig = {
    frozen: '',
    views: [],
    read32: (_, own) => own,
    write32: () => undefined,
    barBytes: ({ size }) => size,
  };
  const capabilities = [{ chain: 'standard', id: 1, offset: 0x40, length: 8 }] as const;
  const backend = new RecordingBackend(0);
  const layout: PciServices['layout'] = (id, spec) =>
    givenLayout(id, spec, { bytes, capabilities, bars: [], planned: config });
  const pci = new PciRig();
  const fn = new PciFunction(
    { ...pci.services('fn0'), layout },
    { vendor: 0x1234, device: 0x53, classCode: 0, revision: 0 },
  );
  fn.connect(backend);
  pci.root.add(fn, { parent: undefined, device: 1, fn: 0 });
  fn.configWrite(0x04, 2, 6);
  const write = (state: number) => {
    fn.configWrite(0x44, 2, state);
    return [fn.configRead(0x44, 2) & 3, fn.w.dma.enabled];
  };
  return { write, backend };
}

describe('PCI Power Management: power states', () => {
  const D1_AND_D2 = 0x0603;

  test('D1 and D2 that the capability has stop the function, and keep what it has', () => {
    const { write, backend } = withPowerStates(D1_AND_D2);

    const states = [write(1), write(2), write(0), write(2), write(3)];

    expect(states).toEqual([
      [1, false],
      [2, false],
      [0, true],
      [2, false],
      [3, false],
    ]);
    expect(backend.resets).toEqual([]);
  });

  test('only D0 is entered from a lower state: other writes are discarded', () => {
    const { write } = withPowerStates(D1_AND_D2);

    expect([write(3), write(2), write(1), write(0), write(2), write(1)].map(([state]) => state)).toEqual([
      3, 3, 3, 0, 2, 2,
    ]);
  });

  test('D1 without D2: D2 is discarded', () => {
    const { write } = withPowerStates(0x0203);

    expect([write(2), write(1), write(2)].map(([state]) => state)).toEqual([0, 1, 1]);
  });

  test.each([
    ['without No_Soft_Reset, resets', 0, ['flr'], false],
    ['with No_Soft_Reset, keeps all', 8, [], true],
  ])('the way from D3hot to D0 %s', (_, csr, resets, master) => {
    const { write, backend } = withPowerStates(D1_AND_D2, csr);

    write(3);

    expect(write(0)).toEqual([0, master]);
    expect(backend.resets).toEqual(resets);
  });
});
