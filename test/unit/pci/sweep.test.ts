import { describe, expect, test } from 'vitest';
import { EDU } from '../../../devices/ep/edu.ts';
import { IOMMU_TESTDEV } from '../../../devices/ep/iommu-testdev.ts';
import { createHostBridge } from '../../../devices/pci/host-bridge.ts';
import type { PciDevice, PciDeviceKind } from '../../../devices/pci/kind.ts';
import { lspciDump } from '../../../devices/pci/lspci.ts';
import { PCIE_ROOT_PORT } from '../../../devices/pci/root-port.ts';
import { Rng } from '../../../vmm/core/rng.ts';
import { describeDeviceRules } from '../../kit/device-rules.ts';
import { ECAM, PciRig, randomConfigAccess } from '../../kit/pci-rig.ts';

const HOST_BRIDGE: PciDeviceKind<object> = {
  name: 'host-bridge',
  summary: 'as the machine plugs it in',
  defaults: {},
  schema: (z) => z.strictObject({}),
  create: (_config, services) => createHostBridge(services),
};

// biome-ignore lint/suspicious/noExplicitAny: kinds of every configuration type
const KINDS: PciDeviceKind<any>[] = [EDU, IOMMU_TESTDEV, PCIE_ROOT_PORT, HOST_BRIDGE];

/** A machine with every kind, one of them behind a root port. */
function everything(): { pci: PciRig; devices: PciDevice[] } {
  const pci = new PciRig();
  const devices = KINDS.map((kind, device) => pci.plug(kind, { id: `${kind.name}-root`, device }));
  const port = devices[2]!.fn;
  devices.push(pci.plug(EDU, { id: 'edu-behind', parent: port }));
  return { pci, devices };
}

describe.each(KINDS.map((kind) => [kind.name, kind] as const))('config space of %s', (_name, kind) => {
  const dwords = Array.from({ length: 1024 }, (_, i) => i * 4);

  test('every dword can be read in every size', () => {
    const { fn } = new PciRig().plug(kind);

    for (const offset of dwords) {
      const whole = fn.configRead(offset, 4);
      const bytes = [0, 1, 2, 3].map((i) => fn.configRead(offset + i, 1));
      expect(whole).toBe(bytes.reduce((sum, byte, i) => sum + byte * 2 ** (8 * i), 0));
      expect(whole).toBe(fn.configRead(offset, 2) + fn.configRead(offset + 2, 2) * 65536);
    }
  });

  test('all ones and zeros written everywhere leave identity and chains alone', () => {
    const { fn } = new PciRig().plug(kind);
    const fixed = [0x00, 0x08, 0x2c, 0x34].filter((o) => !fn.isBridge || o !== 0x2c);
    const before = fixed.map((offset) => fn.configRead(offset, 4));

    for (const value of [0xffffffff, 0]) for (const offset of dwords) fn.configWrite(offset, 4, value);

    expect(fixed.map((offset) => fn.configRead(offset, 4))).toEqual(before);
  });

  test('byte writes end where a dword write ends', () => {
    const whole = new PciRig().plug(kind).fn;
    const pieces = new PciRig().plug(kind).fn;
    const rng = new Rng(3);

    for (const offset of dwords.filter((o) => o !== 0x04)) {
      const value = rng.next();
      whole.configWrite(offset, 4, value);
      for (let i = 0; i < 4; i++) pieces.configWrite(offset + i, 1, (value >>> (8 * i)) & 0xff);
    }

    expect([...pieces.s.config]).toEqual([...whole.s.config]);
  });

  test('a cold reset undoes whatever was written', () => {
    const { fn } = new PciRig().plug(kind);
    const before = fn.stateDef().save(fn.s);
    const rng = new Rng(9);
    for (let i = 0; i < 5000; i++) randomConfigAccess(fn, rng);

    fn.reset('cold');

    expect(fn.stateDef().save(fn.s)).toEqual(before);
  });
});

test('50,000 random config, memory and port accesses never throw', () => {
  const { pci } = everything();
  const rng = new Rng(1);

  for (let i = 0; i < 50_000; i++) {
    const size = [1, 2, 4, 8][rng.below(4)]!;
    const offset = rng.below(2) === 0 ? rng.below(64) : rng.below(4096);
    const at = ECAM + rng.below(6) * 32768 + (rng.below(8) === 0 ? rng.below(256) << 20 : 0) + offset;
    const choice = rng.below(8);
    if (choice < 3) pci.mmio.write(at, Math.min(size, 4), rng.next(), 0);
    else if (choice < 5) pci.mmio.read(at, size);
    else if (choice === 5) pci.ports.write(0xcf8 + rng.below(8), Math.min(size, 4), rng.next());
    else if (choice === 6) pci.mmio.write(rng.next(), size, rng.next(), rng.next());
    else pci.clock.advanceTo(pci.clock.now + rng.below(1_000_000));
  }

  expect(pci.root.functions().length).toBe(5);
});

test('50,000 accesses to the BARs of every device never throw', () => {
  const { pci, devices } = everything();
  const rng = new Rng(2);
  devices.forEach(({ fn }, i) => {
    fn.configWrite(0x04, 2, 0x7);
    if (!fn.isBridge) fn.configWrite(0x10, 4, 0xe0000000 + i * 0x100000);
  });

  for (let i = 0; i < 50_000; i++) {
    const size = [1, 2, 4, 8][rng.below(4)]!;
    const at = 0xe0000000 + rng.below(6) * 0x100000 + rng.below(rng.below(2) === 0 ? 0xa0 : 0x100000);
    if (rng.below(2) === 0) pci.mmio.read(at, size);
    // The test device may copy up to 1 MiB at each trigger: keep its lengths short here.
    else pci.mmio.write(at, size, rng.below(4) === 0 ? rng.next() & 0xfff : rng.below(16), rng.below(2));
    if (rng.below(50) === 0) pci.clock.advanceTo(pci.clock.now + 200_000_000);
  }

  expect(pci.root.functions().length).toBe(5);
});

test('two machines that see the same accesses agree, one of them dropping caches', () => {
  const play = (drops: boolean) => {
    const { pci, devices } = everything();
    const rng = new Rng(4);
    const dropRng = new Rng(6);
    for (let i = 0; i < 3000; i++) {
      const fn = devices[rng.below(devices.length)]!.fn;
      randomConfigAccess(fn, rng);
      if (drops && dropRng.below(4) === 0) pci.root.dropCache();
    }
    return { dump: lspciDump(pci.root), ranges: pci.mmio.ranges.map((r) => [r.name, r.base]) };
  };

  expect(play(true)).toEqual(play(false));
});

describe.each(KINDS.map((kind) => [kind.name, kind] as const))('%s', (name, kind) => {
  describeDeviceRules(`${name} function`, () => {
    const { fn } = new PciRig().plug(kind);
    return { device: fn, access: (rng) => randomConfigAccess(fn, rng) };
  });
});
