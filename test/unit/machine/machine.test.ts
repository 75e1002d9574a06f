import { describe, expect, test } from 'vitest';
import { builtinRegistry } from '../../../vmm/machine/builtin.ts';
import { Machine } from '../../../vmm/machine/machine.ts';
import { Q35 } from '../../../vmm/machine/platforms/q35-map.ts';
import { planRam } from '../../../vmm/machine/ram-plan.ts';
import type { RewriteResult } from '../../../vmm/vcpu/rewrite/index.ts';
import { bootedMachine, fullConfig } from '../../kit/machine.ts';

const ECAM = 0xb0000000;
const DEVICE = (id: string, extra = {}) => ({ kind: 'edu', id, options: {}, ...extra });

function ids(machine: Machine, bus: number, device: number): number {
  return machine.mmio.read(ECAM + ((bus << 20) | (device << 15)), 4);
}

describe('a q35 machine', () => {
  test('has its functions where they were put, and nothing elsewhere', () => {
    const machine = bootedMachine();
    expect(ids(machine, 0, 0)).toBe(0x29c08086);
    expect(ids(machine, 0, 2)).toBe(0x11e81234);
    expect(ids(machine, 0, 5)).toBe(0x000c1b36);
    expect(ids(machine, 1, 0)).toBe(0x11e81234);
    expect(ids(machine, 0, 3)).toBe(0x00051b36);
    expect(ids(machine, 0, 4)).toBe(0x53e01234);
    expect(ids(machine, 0, 6)).toBe(0xffffffff);
  });

  test('boots enumerated: BARs assigned and decoding, bridges numbered', () => {
    const machine = bootedMachine();
    const bar = machine.mmio.read(ECAM + (2 << 15) + 0x10, 4);
    expect(bar & 0xfffff).toBe(0);
    expect(machine.mmio.read(bar, 4)).toBe(0x010000ed);
  });

  test('boots raw: no BAR is assigned, no command bit set', () => {
    const machine = bootedMachine({ firmware: 'raw' });
    expect(machine.mmio.read(ECAM + (2 << 15) + 0x10, 4)).toBe(0);
    expect(machine.mmio.read(ECAM + (2 << 15) + 4, 2)).toBe(0);
    expect(ids(machine, 1, 0)).toBe(0xffffffff);
  });

  test('has the RSDP where an OS looks for it and the tables it points to', () => {
    const machine = bootedMachine();
    const signature = (at: number, n: number) => Buffer.from(machine.ram.u8.subarray(at, at + n)).toString();
    expect(signature(0xe0000, 8)).toBe('RSD PTR ');
    const xsdt = machine.ram.u32[(0xe0000 + 24) / 4]!;
    expect(signature(xsdt, 4)).toBe('XSDT');
    expect(machine.acpi.map((t) => t.signature)).toEqual([
      'RSD PTR ',
      'XSDT',
      'FACP',
      'DSDT',
      'MCFG',
      'APIC',
      'DMAR',
    ]);
  });

  test('without a vIOMMU has no DMAR table and nothing at 0xFED90000', () => {
    const machine = bootedMachine({ viommu: null });
    expect(machine.acpi.map((t) => t.signature)).not.toContain('DMAR');
    machine.mmio.read(0xfed90000, 4);
    expect(machine.mmio.claimed).toBe(false);
  });

  test('describes a reserved region as an RMRR of its device', () => {
    const machine = bootedMachine({ reserved: [{ base: 0x700000, size: 0x2000, device: 'edu1' }] });
    const dmar = machine.acpi.find((t) => t.signature === 'DMAR')!.bytes;
    const rmrr = dmar.subarray(48 + 16 + 8);
    expect([...rmrr.subarray(0, 4)]).toEqual([1, 0, 34, 0]);
    expect([...rmrr.subarray(8, 24)]).toEqual([0, 0, 0x70, 0, 0, 0, 0, 0, 0xff, 0x1f, 0x70, 0, 0, 0, 0, 0]);
    // Device scope: endpoint, 10 bytes, start bus 0, path 05.0 then 00.0.
    expect([...rmrr.subarray(24, 34)]).toEqual([1, 10, 0, 0, 0, 0, 5, 0, 0, 0]);
    expect(machine.reservedBase).toBe(0x700000);
  });

  test('reset warm keeps RAM, drops scheduled work and BARs; reset cold clears RAM too', () => {
    const machine = bootedMachine();
    machine.ram.u8[0x5000] = 7;
    machine.clock.handle('x', () => {});
    machine.clock.after(5, 'x', 'y');
    machine.reset('warm');
    expect(machine.clock.nextAt).toBe(Number.POSITIVE_INFINITY);
    expect(machine.ram.u8[0x5000]).toBe(7);
    expect(machine.mmio.read(ECAM + (2 << 15) + 0x10, 4)).toBe(0);
    machine.reset('cold');
    expect(machine.ram.u8[0x5000]).toBe(0);
  });

  test('shows its map, its functions and its events', () => {
    const machine = bootedMachine();
    const text = (name: string) => machine.views.find((v) => v.name === name)!.text();
    expect(text('mtree')).toContain('memory 0x00fed90000-0x00fed90fff iommu');
    expect(text('pci')).toContain('00:02.0 1234:11e8');
    expect(text('trace')).toContain('pci_cfg_read');
    expect(text('iommu')).toContain('GSTS');
  });
});

describe('a machine is refused when', () => {
  const build = (change: object) => () => new Machine(fullConfig(change), builtinRegistry());

  test('a kind does not exist', () => {
    expect(build({ devices: [{ ...DEVICE('a'), kind: 'eduu' }] })).toThrow("did you mean 'edu'?");
    expect(build({ viommu: { kind: 'intell', options: {} } })).toThrow("did you mean 'intel'?");
  });

  test('two devices want one slot', () => {
    expect(build({ devices: [DEVICE('a', { addr: '4' }), DEVICE('b', { addr: '04.0' })] })).toThrow(
      'slot 4.0 belongs to a',
    );
  });

  test('a slot or a bus does not exist', () => {
    expect(build({ devices: [DEVICE('a', { addr: '20' })] })).toThrow("a: addr: '20' is no slot");
    expect(build({ devices: [DEVICE('a', { bus: 'rp7' })] })).toThrow("there is no bus 'rp7'");
  });

  test('the IOMMU is put on top of something', () => {
    const options = { ...builtinRegistry().iommu('intel').defaults, base: 0xfec00000 };
    expect(build({ viommu: { kind: 'intel', options } })).toThrow('overlaps');
  });

  test.each([
    ['names a device that is not there', {}, 0x700000, "there is no device 'nic0'"],
    ['is in a machine without an IOMMU', { viommu: null }, 0x700000, 'the machine has none'],
    ['ends beyond RAM', { memory: 0x800000 }, 0x7ff000, 'the region at 0x7ff000 ends beyond RAM'],
  ])('a reserved region %s', (_, config, base, message) => {
    const machine = new Machine(
      fullConfig({ ...config, reserved: [{ base, size: 0x2000, device: 'nic0' }] }),
      builtinRegistry(),
    );
    expect(() =>
      machine.bootFirmware({
        growLimit: 0,
        heapStart: 0,
        heapEnd: 0,
        firmwareBase: 0x7f0000,
        firmwareEnd: 0x800000,
        rsdp: 0xe0000,
      }),
    ).toThrow(message);
  });
});

describe('RAM is refused when', () => {
  test('a reserved region lies where the guest image or its C heap does', () => {
    const image = {
      initialPages: 32,
      dataEnd: 0x180000,
      segments: [],
      constants: {},
    } as unknown as RewriteResult;
    expect(() => planRam(Q35, 8 << 20, image, 0x100000)).toThrow(
      "reserved: a region at 0x100000 lies in the guest's image",
    );
    expect(planRam(Q35, 8 << 20, image, 0x700000).heapEnd).toBe(0x700000);
  });
});

test('extended interrupt mode without interrupt remapping is refused', () => {
  const options = { ...builtinRegistry().iommu('intel').defaults, eim: true, intremap: false };
  expect(() => bootedMachine({ viommu: { kind: 'intel', options } })).toThrow(
    'intel: eim: it needs intremap, which is off',
  );
});
