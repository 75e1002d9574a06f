import { MAX_MEMORY } from '../config.ts';

/** Address map of the virt machine, as QEMU lays it out. */
export const VIRT = {
  ramBase: 0x40000000,
  mostLowRam: MAX_MEMORY,
  /** Nothing of this machine's RAM lies above 4 GiB. */
  lowRamOfMore: MAX_MEMORY,
  ecam: { base: 0x40_1000_0000, size: 0x10000000 },
  /** The first 16 buses once more, below 4 GiB: for 32-bit guests, and the only place with highmem off. */
  lowEcam: { base: 0x3f000000, size: 0x01000000 },
  mmio32: { base: 0x10000000, size: 0x2eff0000 },
  mmio64: { base: 0x80_0000_0000, size: 0x80_0000_0000 },
  /** Ports that firmware assigns I/O BARs from. */
  io: { base: 0x1000, size: 0xf000 },
  /** Where the port space appears in memory. */
  portWindow: { base: 0x3eff0000, size: 0x10000 },
  distributor: { base: 0x08000000, size: 0x10000 },
  cpuInterface: { base: 0x08010000, size: 0x10000 },
  messageFrame: { base: 0x08020000, size: 0x1000 },
  /** Interrupts that messages can raise. */
  messages: { base: 80, count: 64 },
  /** Not QEMU's: a memory-mapped timer where its platform bus begins, since no processor here has one in system registers. */
  timerControl: { base: 0x0c000000, size: 0x1000 },
  timer: { base: 0x0c010000, size: 0x1000 },
  /** Shared interrupts, counted from the first of them. */
  spi: { timer: 112, intx: 3, smmu: { event: 74, pri: 75, sync: 76, gerror: 77 } },
  /** ACPI tables and other firmware data take the top of RAM. */
  firmwareBytes: 0x10000,
} as const;

/** INTx of the root bus to shared interrupts: rotated over four of them. */
export function virtSpiOf(device: number, pin: number): number {
  return VIRT.spi.intx + ((device + pin - 1) & 3);
}
