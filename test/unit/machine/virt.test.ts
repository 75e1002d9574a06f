import { describe, expect, test } from 'vitest';
import { completeOptions } from '../../../vmm/bus/iommu.ts';
import { builtinRegistry } from '../../../vmm/machine/builtin.ts';
import type { MachineConfig } from '../../../vmm/machine/config.ts';
import type { Machine } from '../../../vmm/machine/machine.ts';
import { bootedMachine } from '../../kit/machine.ts';

const HIGH_ECAM = 0x40_1000_0000;
const LOW_ECAM = 0x3f000000;
const GICD = 0x08000000;
const FRAME = 0x08020000;
const BASE = 0x40000000;

const virt = (change: Partial<MachineConfig> = {}) =>
  bootedMachine({ machine: 'virt', viommu: null, ...change });

/** edu's configuration space: slot 2. */
const EDU = 2 << 15;

describe('a virt machine', () => {
  test('has its functions in both windows of configuration space', () => {
    const machine = virt();

    for (const ecam of [HIGH_ECAM, LOW_ECAM])
      expect([0, EDU, (1 << 20) | 0].map((at) => machine.mmio.read(ecam + at, 4))).toEqual([
        0x00081b36, 0x11e81234, 0x11e81234,
      ]);
  });

  test('with highmem off has the low one only', () => {
    const machine = virt({ highmem: false });

    expect(machine.mmio.read(LOW_ECAM + EDU, 4)).toBe(0x11e81234);
    machine.mmio.read(HIGH_ECAM + EDU, 4);
    expect(machine.mmio.claimed).toBe(false);
  });

  test('has BARs in its window, and interrupt ids in the Interrupt Line registers', () => {
    const machine = virt();

    const bar = machine.mmio.read(LOW_ECAM + EDU + 0x10, 4);

    expect(bar >= 0x10000000 && bar < 0x3eff0000).toBe(true);
    expect(machine.mmio.read(bar, 4)).toBe(0x010000ed);
    // Slot 2, INTA: shared interrupt 3 + 2.
    expect(machine.mmio.read(LOW_ECAM + EDU + 0x3c, 1)).toBe(37);
  });

  test('has RAM from 1 GiB on, and its tables at the top of it', () => {
    const machine = virt();

    expect([machine.ram.base, machine.ram.end]).toEqual([BASE, BASE + (8 << 20)]);
    expect(machine.acpi.map((t) => t.signature)).toEqual([
      'RSD PTR ',
      'XSDT',
      'FACP',
      'DSDT',
      'MCFG',
      'APIC',
      'GTDT',
    ]);
    expect(machine.acpi[0]!.address).toBe(BASE + (8 << 20) - 0x10000);
  });

  test.each([
    ['the default options', {}, 0],
    ['shared virtual memory', { svm: true }, 7],
    ['shared virtual memory by stalls', { svm: true, ats: false }, 4],
  ])('its IORT says what an SMMUv3 with %s lets functions do', (_, given, attribute) => {
    const options = completeOptions<Record<string, unknown>>(builtinRegistry().iommu('smmuv3'), given);
    const machine = virt({ viommu: { kind: 'smmuv3', options } });
    const { bytes } = machine.acpi.find((t) => t.signature === 'IORT')!;

    // ATS attribute of the root complex, behind the node of the SMMU: ATS, page requests, PASIDs.
    expect(bytes[36 + 12 + 68 + 24]).toBe(attribute);
  });

  test('an MSI is a write to the frame, and raises the interrupt it names', () => {
    const machine = virt();
    const { dma } = machine.pciDevice('edu0')!.fn.w;
    // Interrupt 80: enabled, edge-triggered.
    machine.mmio.write(GICD + 0x108, 4, 1 << 16, 0);
    machine.mmio.write(GICD + 0xc14, 4, 2, 0);
    dma.enabled = true;

    expect(dma.message(FRAME + 0x40, 0, 80)).toBe(0);

    expect(machine.platform.interrupts.pending()).toBe(80);
  });

  test('what is the message window of a PC is memory like any other', () => {
    const machine = virt();
    const { dma } = machine.pciDevice('edu0')!.fn.w;
    dma.enabled = true;

    expect(dma.message(0xfee00000, 0, 80)).toBe(1);
  });

  test('a reserved region lies in its RAM', () => {
    const machine = () => virt({ reserved: [{ base: 0x100000, size: 0x1000, device: 'edu0' }] });

    expect(machine).toThrow('reserved');
  });

  test('an IOMMU of another machine is refused by name, and so is highmem off where there is none', () => {
    const registry = builtinRegistry();
    const intel = { kind: 'intel', options: registry.iommu('intel').defaults as Record<string, unknown> };

    expect(() => virt({ viommu: intel })).toThrow("--viommu intel: does not exist on machine 'virt'");
    expect(() => bootedMachine({ highmem: false })).toThrow("highmem off: does not exist on machine 'q35'");
  });

  test('a system reset leaves the interrupt controller as firmware does', () => {
    const machine: Machine = virt();
    machine.mmio.write(GICD, 4, 0, 0);
    machine.mmio.write(GICD + 0x108, 4, 0xffff, 0);

    machine.resetDevices();

    expect([machine.mmio.read(GICD, 4), machine.mmio.read(GICD + 0x108, 4)]).toEqual([1, 0]);
  });
});
