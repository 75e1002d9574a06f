import { describe, expect, test } from 'vitest';
import { PciFunction } from '../../../devices/pci/function.ts';
import type { PciFunctionSpec } from '../../../devices/pci/kind.ts';
import { PCIE_ROOT_PORT } from '../../../devices/pci/root-port.ts';
import { TsvmmError } from '../../../vmm/core/errors.ts';
import { describeDeviceRules } from '../../kit/device-rules.ts';
import { PciRig, RecordingBackend, randomConfigAccess } from '../../kit/pci-rig.ts';

const EVERYTHING: Partial<PciFunctionSpec> = {
  bars: [{ index: 0, kind: 'memory32', size: 0x4000 }],
  capabilities: [
    { id: 'pm' },
    { id: 'msi', vectors: 4, is64: true, maskable: true },
    { id: 'pcie', type: 'endpoint', flr: true },
    { id: 'msix', vectors: 3, bar: 0, tableOffset: 0x2000, pbaOffset: 0x3000 },
  ],
  extended: [
    { id: 0x03, version: 1, bytes: 12, registers: () => [] },
    { id: 0x0d, version: 1, bytes: 8, registers: () => [] },
  ],
  interruptPin: 1,
};

const rig = () => new PciRig();

describe('the header', () => {
  test('identifies the function as described', () => {
    const fn = rig().plugFunction({ vendor: 0x8086, device: 0x0b25, classCode: 0x088000, revision: 3 });

    expect(fn.configRead(0x00, 4)).toBe(0x0b258086);
    expect(fn.configRead(0x08, 4)).toBe(0x08800003);
    expect(fn.configRead(0x0e, 1)).toBe(0);
  });

  test('read-only bytes keep their value whatever is written', () => {
    const fn = rig().plugFunction({});

    fn.configWrite(0x00, 4, 0xffffffff);
    fn.configWrite(0x08, 4, 0);

    expect(fn.configRead(0x00, 4)).toBe(0x1234abcd);
    expect(fn.configRead(0x08, 4)).toBe(0xff000001);
  });

  test('Command takes its defined bits and no others', () => {
    const fn = rig().plugFunction({});

    fn.configWrite(0x04, 2, 0xffff);

    expect(fn.configRead(0x04, 2)).toBe(0x0547);
  });

  test('a byte write reaches that byte alone', () => {
    const fn = rig().plugFunction({});
    fn.configWrite(0x0c, 1, 0x10);
    fn.configWrite(0x3c, 1, 0x0b);

    fn.configWrite(0x05, 1, 0x04);

    expect(fn.configRead(0x04, 2)).toBe(0x0400);
    expect(fn.configRead(0x0c, 4)).toBe(0x10);
    expect(fn.configRead(0x3c, 4)).toBe(0x0b);
  });

  test('accesses that cross a dword are split into bytes', () => {
    const fn = rig().plugFunction({});

    fn.configWrite(0x3b, 2, 0x4200);

    expect(fn.configRead(0x3b, 2)).toBe(0x4200);
    expect(fn.configRead(0x01, 4)).toBe(0x001234ab);
  });

  test('a conventional function ends at 256 bytes and reads all ones beyond', () => {
    const fn = rig().plugFunction({});

    fn.configWrite(0x100, 4, 0);

    expect(fn.configRead(0x100, 4)).toBe(0xffffffff);
    expect(fn.configRead(0xffe, 2)).toBe(0xffff);
  });

  test('functions that share a device say so', () => {
    const pci = rig();
    const first = pci.plugFunction({}, { id: 'a', device: 3, fn: 0 });
    expect(first.configRead(0x0e, 1)).toBe(0x00);

    const second = pci.plugFunction({}, { id: 'b', device: 3, fn: 2 });
    expect([first.configRead(0x0e, 1), second.configRead(0x0e, 1)]).toEqual([0x80, 0x80]);

    pci.root.remove(second);
    expect(first.configRead(0x0e, 1)).toBe(0x00);
  });
});

describe('capability chains', () => {
  test('are linked from 34h in the order of the description', () => {
    const fn = rig().plugFunction(EVERYTHING);
    const chain: [number, number][] = [];

    for (let at = fn.configRead(0x34, 1); at !== 0; at = fn.configRead(at + 1, 1))
      chain.push([at, fn.configRead(at, 1)]);

    expect(fn.configRead(0x06, 2) & 0x10).toBe(0x10);
    expect(chain).toEqual([
      [0x40, 0x01],
      [0x48, 0x05],
      [0x60, 0x10],
      [0x9c, 0x11],
    ]);
  });

  test('extended capabilities are linked from 100h', () => {
    const fn = rig().plugFunction(EVERYTHING);

    expect(fn.configRead(0x100, 4)).toBe(0x10c10003);
    expect(fn.configRead(0x10c, 4)).toBe(0x0001000d);
  });

  test('without capabilities the pointer and the status bit are 0', () => {
    const fn = rig().plugFunction({});

    expect([fn.configRead(0x34, 1), fn.configRead(0x06, 2)]).toEqual([0, 0]);
  });

  test('MSI, MSI-X and PCI Express report what was described', () => {
    const fn = rig().plugFunction(EVERYTHING);

    // 4 vectors (log2 2), 64-bit, maskable.
    expect(fn.configRead(0x4a, 2)).toBe(0x0184);
    // Table of 3, table at 2000h and PBA at 3000h of BAR 0.
    expect([fn.configRead(0x9e, 2), fn.configRead(0xa0, 4), fn.configRead(0xa4, 4)]).toEqual([
      2, 0x2000, 0x3000,
    ]);
    // Version 2, integrated endpoint; role-based errors and FLR; MRRS 512, no-snoop, relaxed ordering.
    expect([fn.configRead(0x62, 2), fn.configRead(0x64, 4), fn.configRead(0x68, 2)]).toEqual([
      0x0092, 0x10008000, 0x2810,
    ]);
  });

  test('an endpoint has a link behind a root port only', () => {
    const pci = rig();
    const port = pci.plug(PCIE_ROOT_PORT, { device: 1 }).fn;
    const integrated = pci.plugFunction(EVERYTHING, { device: 2 });
    const behind = pci.plugFunction(EVERYTHING, { parent: port, id: 'fn1' });

    // Type and Link Capabilities.
    const seen = [integrated, behind].map((fn) => [fn.configRead(0x62, 2) >>> 4, fn.configRead(0x6c, 4)]);
    expect(seen).toEqual([
      [9, 0],
      [0, 0x11],
    ]);
  });
});

describe('resets', () => {
  test('Initiate FLR resets the function and what is behind it, and reads 0', () => {
    const backend = new RecordingBackend(0);
    const fn = rig().plugFunction(EVERYTHING, {}, backend);
    fn.configWrite(0x04, 2, 7);
    fn.configWrite(0x10, 4, 0xe0000000);

    fn.configWrite(0x68, 2, 0x8000);

    expect(backend.resets).toEqual(['flr']);
    expect([fn.configRead(0x04, 2), fn.configRead(0x10, 4), fn.configRead(0x68, 2)]).toEqual([0, 0, 0x2810]);
  });

  test('without FLR in Device Capabilities the bit does nothing', () => {
    const backend = new RecordingBackend();
    const fn = rig().plugFunction({ capabilities: [{ id: 'pcie', type: 'endpoint' }] }, {}, backend);
    fn.configWrite(0x04, 2, 6);

    fn.configWrite(0x48, 2, 0x8000);

    expect(backend.resets).toEqual([]);
    expect(fn.configRead(0x04, 2)).toBe(6);
  });

  test('D3hot stops decoding and mastering, the way back to D0 resets', () => {
    const backend = new RecordingBackend(0);
    const fn = rig().plugFunction(EVERYTHING, {}, backend);
    fn.configWrite(0x10, 4, 0xe0000000);
    fn.configWrite(0x04, 2, 6);

    fn.configWrite(0x44, 2, 3);
    expect([fn.memoryEnabled, fn.w.dma.enabled, fn.configRead(0x44, 2)]).toEqual([false, false, 3]);

    fn.configWrite(0x44, 2, 0);
    expect(backend.resets).toEqual(['flr']);
    expect([fn.configRead(0x04, 2), fn.configRead(0x10, 4)]).toEqual([0, 0]);
  });

  test('a function that keeps its state in D3hot only wakes up', () => {
    const backend = new RecordingBackend(0);
    const fn = rig().plugFunction({ capabilities: [{ id: 'pm', noSoftReset: true }] }, {}, backend);
    fn.configWrite(0x04, 2, 4);

    fn.configWrite(0x44, 2, 3);
    fn.configWrite(0x44, 2, 0);

    expect(backend.resets).toEqual([]);
    expect(fn.w.dma.enabled).toBe(true);
  });

  test('a power state that is not there is not entered', () => {
    const fn = rig().plugFunction(EVERYTHING);

    fn.configWrite(0x44, 2, 1);

    expect(fn.configRead(0x44, 2)).toBe(0);
  });
});

test.each([
  ['two BARs in one register', { bars: [bar(0, 'memory64', 4096), bar(1, 'memory32', 4096)] }],
  ['a 64-bit BAR in the last register', { bars: [bar(5, 'memory64', 4096)] }],
  ['a size that is no power of two', { bars: [bar(0, 'memory32', 5000)] }],
  ['an I/O BAR of 512 bytes', { bars: [bar(0, 'io', 512)] }],
  ['three BARs in a bridge', { header: 'bridge' as const, bars: [bar(2, 'memory32', 4096)] }],
  ['an MSI-X table outside its BAR', { capabilities: [msix(0)], bars: [bar(0, 'memory32', 16)] }],
  ['an MSI-X table in no BAR', { capabilities: [msix(0)] }],
  ['two capabilities of a kind', { capabilities: [{ id: 'pm' as const }, { id: 'pm' as const }] }],
  ['extended capabilities without PCI Express', { extended: [] }],
])('a description with %s is refused', (_what, spec) => {
  const build = () =>
    new PciFunction(new PciRig().services('bad0'), {
      vendor: 1,
      device: 1,
      classCode: 0,
      revision: 0,
      ...(spec as Partial<PciFunctionSpec>),
    });

  expect(build).toThrow(TsvmmError);
  expect(build).toThrow(/^bad0: /);
});

function bar(index: number, kind: 'memory32' | 'memory64' | 'io', size: number) {
  return { index, kind, size };
}

function msix(barIndex: number) {
  return { id: 'msix' as const, vectors: 4, bar: barIndex, tableOffset: 0, pbaOffset: 0x800 };
}

describeDeviceRules('PciFunction', () => {
  const fn = rig().plugFunction(EVERYTHING);
  return { device: fn, access: (rng) => randomConfigAccess(fn, rng) };
});

describeDeviceRules('RootComplex', () => {
  const pci = rig();
  const fns = [
    pci.plugFunction(EVERYTHING, { id: 'a', device: 1 }, new RecordingBackend(0)),
    pci.plugFunction(EVERYTHING, { id: 'b', device: 2 }, new RecordingBackend(0)),
  ];
  return {
    device: pci.root,
    access(rng) {
      const fn = fns[rng.below(2)]!;
      const at = 0xe0000000 + rng.below(4) * 0x4000;
      const choice = rng.below(5);
      if (choice === 0) fn.configWrite(0x10, 4, at);
      else if (choice === 1) fn.configWrite(0x04, 2, rng.below(8));
      else if (choice === 2) pci.ports.write(0xcf8, 4, 0x80000000 | rng.below(0x2000));
      else if (choice === 3) return pci.ports.read(0xcfc, 4);
      pci.mmio.read(at, 4);
      return pci.mmio.claimed;
    },
  };
});
