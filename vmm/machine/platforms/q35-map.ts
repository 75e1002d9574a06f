import { MAX_MEMORY } from '../config.ts';

/** Address map of the q35 machine, as QEMU lays it out. */
export const Q35 = {
  ramBase: 0,
  mostLowRam: MAX_MEMORY,
  /** Of RAM that does not fit below the PCIe window, so much lies below 4 GiB. */
  lowRamOfMore: 0x80000000,
  ecam: { base: 0xb0000000, size: 0x10000000 },
  /** Window that firmware assigns 32-bit BARs from. */
  mmio32: { base: 0xe0000000, size: 0x1ec00000 },
  /** Window that firmware assigns 64-bit prefetchable BARs from. */
  mmio64: { base: 0x8_0000_0000, size: 0x8_0000_0000 },
  io: { base: 0xc000, size: 0x4000 },
  ioapic: 0xfec00000,
  lapic: 0xfee00000,
  configPorts: { base: 0xcf8, size: 8 },
  /** Where an OS looks for the RSDP, if the guest image leaves it free. */
  biosArea: { base: 0xe0000, end: 0x100000 },
  /** Requester id of the IOAPIC: QEMU's platform pseudo-bus. */
  ioapicRequester: 0xff00,
  ioapicId: 0,
  /** ACPI tables and other firmware data take the top of RAM. */
  firmwareBytes: 0x10000,
} as const;
