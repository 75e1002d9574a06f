import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { irqView } from '../../../devices/chipset/views.ts';
import { EDU } from '../../../devices/ep/edu.ts';
import { IOMMU_TESTDEV } from '../../../devices/ep/iommu-testdev.ts';
import { PCIE_ROOT_PORT } from '../../../devices/pci/root-port.ts';
import { pciViews } from '../../../devices/pci/views.ts';
import { PciRig } from '../../kit/pci-rig.ts';

test('info pci shows the hierarchy with BARs and interrupts', () => {
  const pci = new PciRig();
  const port = pci.plug(PCIE_ROOT_PORT, { id: 'rp0', device: 1 }).fn;
  const edu = pci.plug(EDU, { id: 'edu0', parent: port }).fn;
  port.configWrite(0x18, 4, 0x00010100);
  port.configWrite(0x04, 2, 7);
  edu.configWrite(0x10, 4, 0xe0000000);
  edu.configWrite(0x04, 2, 6);

  const [view] = pciViews(pci.root);

  expect(view!.text().split('\n')).toEqual([
    '00:01.0 1b36:000c class 060400 rp0 bus 1-1 none bus-master',
    '  01:00.0 1234:11e8 class 00ff00 edu0 intx bus-master',
    '      BAR 0 memory32 at 0xe0000000 size 0x100000',
  ]);
  expect(view!.json()).toMatchObject([{ id: 'rp0', behind: [{ bdf: '01:00.0', interrupt: 'intx' }] }]);
});

test('info irq shows pins, entries and vectors', () => {
  const pci = new PciRig();
  pci.routePin(20, 0x41);
  pci.ioapic.setIrq(20, true);

  const view = irqView(pci.ioapic, pci.lapic);

  expect(view.text()).toContain('pin 20 high 0x000000000000c041 VECTOR=0x41');
  expect(view.text()).toMatch(/requested +65$/m);
  expect(JSON.parse(JSON.stringify(view.json()))).toMatchObject({ lapic: { requested: [0x41] } });
});

test('every view of every kind gives text and JSON', () => {
  for (const kind of [EDU, IOMMU_TESTDEV, PCIE_ROOT_PORT]) {
    // biome-ignore lint/suspicious/noExplicitAny: kinds of every configuration type
    const { views } = new PciRig().plug(kind as any);
    for (const view of views) {
      expect(view.text()).not.toBe('');
      expect(JSON.stringify(view.json())).not.toBe('{}');
    }
  }
});

describe.each([EDU, IOMMU_TESTDEV, PCIE_ROOT_PORT])('the schema of $name', (kind) => {
  test('fills in exactly its defaults', () => {
    expect(kind.schema(z).parse({})).toEqual(kind.defaults);
  });

  test('refuses unknown options', () => {
    expect(kind.schema(z).safeParse({ nosuchoption: 1 }).success).toBe(false);
  });
});
