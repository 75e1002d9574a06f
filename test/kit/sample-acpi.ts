import type { AcpiTable, IortDescription } from '../../firmware/description.ts';

const IORT: IortDescription = {
  kind: 'IORT',
  smmu: {
    base: 0x09050000,
    coherent: true,
    httu: 2,
    gsi: { event: 106, pri: 107, sync: 108, gerror: 109 },
  },
  rootComplex: { segment: 0, ats: true, pri: false, pasid: false, addressBits: 48 },
  reserved: [],
};

/** An IORT that only its issue E has words for. */
export const SAMPLE_SVM_IORT: IortDescription = {
  ...IORT,
  rootComplex: { ...IORT.rootComplex, pri: true, pasid: true },
};

/** Tables of a virt-like machine. */
export const SAMPLE_ARM_TABLES: readonly AcpiTable[] = [
  { kind: 'FADT', armBoot: { psci: true, hvc: true } },
  {
    kind: 'DSDT',
    hostBridges: [
      {
        name: 'PCI0',
        uid: 0,
        segment: 0,
        firstBus: 0,
        lastBus: 0xff,
        coherent: true,
        ioWindows: [{ base: 0, length: 0x10000, at: 0x3eff0000 }],
        memoryWindows: [
          { base: 0x10000000, length: 0x2eff0000 },
          { base: 0x80_0000_0000, length: 0x80_0000_0000, prefetchable: true },
        ],
        interruptRouting: [1, 2, 3, 4].map((pin) => ({ device: 2, pin, gsi: 34 + pin })),
      },
    ],
    devices: [
      { name: 'ECAM', hid: 'PNP0C02', uid: 1, memory: [{ base: 0x40_1000_0000, length: 0x10000000 }] },
      { name: 'CPU0', hid: 'ACPI0007', uid: 0 },
    ],
  },
  { kind: 'MCFG', allocations: [{ base: 0x40_1000_0000, segment: 0, firstBus: 0, lastBus: 255 }] },
  {
    kind: 'MADT',
    localApicAddress: 0,
    has8259: false,
    processors: [],
    ioApics: [],
    gic: {
      distributor: 0x08000000,
      cpuInterface: 0x08010000,
      processors: [{ uid: 0, mpidr: 0 }],
      messageFrames: [{ base: 0x08020000, spiBase: 80, spiCount: 64 }],
    },
  },
  {
    kind: 'GTDT',
    blocks: [{ control: 0x0c000000, frames: [{ number: 0, base: 0x0c010000, gsi: 144 }] }],
  },
  IORT,
];

/** Tables of a q35-like machine that use every optional part, for tests of the tables. */
export const SAMPLE_TABLES: readonly AcpiTable[] = [
  {
    kind: 'FADT',
    resetRegister: { space: 'io', address: 0xcf9, value: 6 },
    bootArchitecture: { vgaAbsent: true, cmosRtcAbsent: true },
  },
  {
    kind: 'DSDT',
    hostBridges: [
      {
        name: 'PCI0',
        uid: 0,
        segment: 0,
        firstBus: 0,
        lastBus: 0xff,
        ownPorts: [{ base: 0xcf8, length: 8 }],
        ioWindows: [
          { base: 0, length: 0xcf8 },
          { base: 0xd00, length: 0xf300 },
        ],
        memoryWindows: [
          { base: 0xc0000000, length: 0x3ec00000 },
          { base: 0x8_0000_0000, length: 0x8_0000_0000, prefetchable: true },
        ],
        interruptRouting: [0, 1, 2, 31].flatMap((device) =>
          [1, 2, 3, 4].map((pin) => ({ device, pin, gsi: 16 + ((device + pin - 1) % 8) })),
        ),
      },
    ],
    devices: [
      { name: 'ECAM', hid: 'PNP0C02', uid: 1, memory: [{ base: 0xb0000000, length: 0x10000000 }] },
      { name: 'CPU0', hid: 'ACPI0007', uid: 0 },
      { name: 'UAR0', hid: 'PNP0501', uid: 2 },
    ],
  },
  { kind: 'MCFG', allocations: [{ base: 0xb0000000, segment: 0, firstBus: 0, lastBus: 255 }] },
  {
    kind: 'MADT',
    localApicAddress: 0xfee00000,
    has8259: false,
    processors: [
      { uid: 0, apicId: 0 },
      { uid: 1, apicId: 300 },
    ],
    ioApics: [{ id: 0, address: 0xfec00000, gsiBase: 0 }],
    interruptOverrides: [
      { source: 0, gsi: 2, polarity: 'conforms', trigger: 'conforms' },
      { source: 9, gsi: 9, polarity: 'high', trigger: 'level' },
    ],
  },
  {
    kind: 'DMAR',
    hostAddressWidth: 48,
    interruptRemapping: true,
    x2apicOptOut: false,
    dmaControlOptIn: true,
    structures: [
      { type: 'ANDD', deviceNumber: 1, name: '\\_SB.UAR0' },
      { type: 'RHSA', drhdBase: 0xfed90000, proximityDomain: 1 },
      { type: 'ATSR', segment: 0, allPorts: false, scopes: [bridge(0, [1, 0])] },
      { type: 'RMRR', segment: 0, base: 0x7f000000, limit: 0x7f0fffff, scopes: [endpoint(0, [2, 0])] },
      {
        type: 'DRHD',
        segment: 0,
        base: 0xfed91000,
        includePciAll: true,
        scopes: [
          { type: 'ioapic', enumerationId: 0, startBus: 0xf0, path: [{ device: 0x1f, fn: 7 }] },
          { type: 'hpet', enumerationId: 0, startBus: 0xf0, path: [{ device: 0x1f, fn: 6 }] },
          { type: 'namespace', enumerationId: 1, startBus: 0xf0, path: [{ device: 0x1e, fn: 0 }] },
        ],
      },
      {
        type: 'DRHD',
        segment: 0,
        base: 0xfed90000,
        includePciAll: false,
        scopes: [endpoint(0, [1, 0], [0, 1])],
      },
    ],
  },
];

function endpoint(startBus: number, ...path: readonly (readonly [number, number])[]) {
  return { type: 'endpoint' as const, startBus, path: path.map(([device, fn]) => ({ device, fn })) };
}

function bridge(startBus: number, ...path: readonly (readonly [number, number])[]) {
  return { type: 'bridge' as const, startBus, path: path.map(([device, fn]) => ({ device, fn })) };
}
