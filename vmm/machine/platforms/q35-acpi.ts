import { q35GsiOf } from '../../../devices/chipset/q35-irq.ts';
import { type AcpiRegion, type PlacedTable, placeTables } from '../../../firmware/acpi/place.ts';
import type { AcpiTable, DmarStructure, InterruptRoute } from '../../../firmware/description.ts';
import type { DmarFirmware } from '../../bus/iommu.ts';
import type { AcpiInput, ReservedRegion } from './platform.ts';
import { Q35 } from './q35-map.ts';

/** The tables of the q35 machine at their places. */
export function q35Tables(input: AcpiInput, region: AcpiRegion): PlacedTable[] {
  const tables: AcpiTable[] = [
    { kind: 'FADT', bootArchitecture: { vgaAbsent: true, cmosRtcAbsent: true } },
    dsdt(),
    { kind: 'MCFG', allocations: [{ base: Q35.ecam.base, segment: 0, firstBus: 0, lastBus: 255 }] },
    {
      kind: 'MADT',
      localApicAddress: Q35.lapic,
      has8259: false,
      processors: [{ uid: 0, apicId: 0 }],
      ioApics: [{ id: Q35.ioapicId, address: Q35.ioapic, gsiBase: 0 }],
    },
  ];
  if (input.iommu?.table === 'DMAR') tables.push(dmar(input.iommu, input.reserved));
  return placeTables(tables, region);
}

function dsdt(): AcpiTable {
  const interruptRouting: InterruptRoute[] = [];
  for (let device = 0; device < 32; device++) {
    for (let pin = 1; pin <= 4; pin++) interruptRouting.push({ device, pin, gsi: q35GsiOf(device, pin) });
  }
  return {
    kind: 'DSDT',
    hostBridges: [
      {
        name: 'PCI0',
        uid: 0,
        segment: 0,
        firstBus: 0,
        lastBus: 255,
        ownPorts: [{ base: Q35.configPorts.base, length: Q35.configPorts.size }],
        ioWindows: [{ base: Q35.io.base, length: Q35.io.size }],
        memoryWindows: [
          { base: Q35.mmio32.base, length: Q35.mmio32.size },
          { base: Q35.mmio64.base, length: Q35.mmio64.size, prefetchable: true },
        ],
        interruptRouting,
      },
    ],
    devices: [
      { name: 'ECAM', hid: 'PNP0C02', uid: 1, memory: [{ base: Q35.ecam.base, length: Q35.ecam.size }] },
      { name: 'CPU0', hid: 'ACPI0007', uid: 0 },
    ],
  };
}

function dmar(unit: DmarFirmware, reserved: readonly ReservedRegion[]): AcpiTable {
  const platform = Q35.ioapicRequester;
  const structures: DmarStructure[] = [
    {
      type: 'DRHD',
      segment: 0,
      base: unit.base,
      includePciAll: true,
      scopes: [
        {
          type: 'ioapic',
          enumerationId: Q35.ioapicId,
          startBus: platform >> 8,
          path: [{ device: (platform >> 3) & 31, fn: platform & 7 }],
        },
      ],
    },
    ...reserved.map(
      (r): DmarStructure => ({ type: 'RMRR', segment: 0, base: r.base, limit: r.limit, scopes: r.scopes }),
    ),
  ];
  if (unit.deviceTlb) structures.push({ type: 'ATSR', segment: 0, allPorts: true, scopes: [] });
  return {
    kind: 'DMAR',
    hostAddressWidth: unit.haw,
    interruptRemapping: unit.interruptRemapping,
    x2apicOptOut: unit.x2apicOptOut,
    dmaControlOptIn: false,
    structures,
  };
}
