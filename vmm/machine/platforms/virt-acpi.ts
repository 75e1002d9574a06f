import { FIRST_SPI } from '../../../devices/chipset/gic-registers.ts';
import { type AcpiRegion, type PlacedTable, placeTables } from '../../../firmware/acpi/place.ts';
import type { AcpiTable, InterruptRoute } from '../../../firmware/description.ts';
import type { IortFirmware } from '../../bus/iommu.ts';
import type { AcpiInput, ReservedRegion, Stretch } from './platform.ts';
import { VIRT, virtSpiOf } from './virt-map.ts';

/** Global system interrupts are interrupt ids. */
const gsiOf = (spi: number): number => FIRST_SPI + spi;

/** The tables of the virt machine at their places. */
export function virtTables(input: AcpiInput, region: AcpiRegion, highmem: boolean): PlacedTable[] {
  const ecam = highmem ? VIRT.ecam : VIRT.lowEcam;
  const lastBus = ecam.size / 0x100000 - 1;
  const tables: AcpiTable[] = [
    { kind: 'FADT', armBoot: { psci: true, hvc: true } },
    dsdt(ecam, lastBus, highmem),
    { kind: 'MCFG', allocations: [{ base: ecam.base, segment: 0, firstBus: 0, lastBus }] },
    {
      kind: 'MADT',
      localApicAddress: 0,
      has8259: false,
      processors: [],
      ioApics: [],
      gic: {
        distributor: VIRT.distributor.base,
        cpuInterface: VIRT.cpuInterface.base,
        processors: [{ uid: 0, mpidr: 0 }],
        messageFrames: [
          { base: VIRT.messageFrame.base, spiBase: VIRT.messages.base, spiCount: VIRT.messages.count },
        ],
      },
    },
  ];
  tables.push({
    kind: 'GTDT',
    blocks: [
      {
        control: VIRT.timerControl.base,
        frames: [{ number: 0, base: VIRT.timer.base, gsi: gsiOf(VIRT.spi.timer) }],
      },
    ],
  });
  if (input.iommu?.table === 'IORT') tables.push(iort(input.iommu, input.reserved));
  return placeTables(tables, region);
}

function dsdt(ecam: Stretch, lastBus: number, highmem: boolean): AcpiTable {
  const interruptRouting: InterruptRoute[] = [];
  for (let device = 0; device < 32; device++) {
    for (let pin = 1; pin <= 4; pin++)
      interruptRouting.push({ device, pin, gsi: gsiOf(virtSpiOf(device, pin)) });
  }
  const window = (w: Stretch) => ({ base: w.base, length: w.size });
  return {
    kind: 'DSDT',
    hostBridges: [
      {
        name: 'PCI0',
        uid: 0,
        segment: 0,
        firstBus: 0,
        lastBus,
        coherent: true,
        ioWindows: [{ base: 0, length: VIRT.portWindow.size, at: VIRT.portWindow.base }],
        memoryWindows: [
          window(VIRT.mmio32),
          ...(highmem ? [{ ...window(VIRT.mmio64), prefetchable: true }] : []),
        ],
        interruptRouting,
      },
    ],
    devices: [
      { name: 'ECAM', hid: 'PNP0C02', uid: 1, memory: [window(ecam)] },
      { name: 'CPU0', hid: 'ACPI0007', uid: 0 },
    ],
  };
}

function iort(unit: IortFirmware, reserved: readonly ReservedRegion[]): AcpiTable {
  const { event, pri, gerror, sync } = VIRT.spi.smmu;
  return {
    kind: 'IORT',
    smmu: {
      base: unit.base,
      coherent: unit.coherent,
      httu: unit.httu,
      gsi: { event: gsiOf(event), pri: gsiOf(pri), gerror: gsiOf(gerror), sync: gsiOf(sync) },
    },
    rootComplex: { segment: 0, ats: unit.ats, pri: unit.pri, pasid: unit.pasid, addressBits: unit.haw },
    reserved: reserved.map(({ base, limit, requester }) => ({
      base,
      length: limit + 1 - base,
      stream: requester,
    })),
  };
}
