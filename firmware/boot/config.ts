/** Configuration space as boot code reaches it; bdf is bus 15:8, device 7:3, function 2:0. */
export interface ConfigAccess {
  read(bdf: number, offset: number, size: number): number;
  write(bdf: number, offset: number, size: number, value: number): void;
}

/** PCI Local Bus Specification: Configuration Space Organization; PCI-to-PCI Bridge Architecture Specification. */
export const REG = {
  VENDOR: 0x00,
  DEVICE: 0x02,
  COMMAND: 0x04,
  CLASS_REVISION: 0x08,
  HEADER_TYPE: 0x0e,
  BAR0: 0x10,
  ROM: 0x30,
  INTERRUPT_LINE: 0x3c,
  INTERRUPT_PIN: 0x3d,
  PRIMARY_BUS: 0x18,
  SECONDARY_BUS: 0x19,
  SUBORDINATE_BUS: 0x1a,
  IO_BASE: 0x1c,
  IO_LIMIT: 0x1d,
  MEMORY_BASE: 0x20,
  MEMORY_LIMIT: 0x22,
  PREF_BASE: 0x24,
  PREF_LIMIT: 0x26,
  PREF_BASE_UPPER: 0x28,
  PREF_LIMIT_UPPER: 0x2c,
  IO_BASE_UPPER: 0x30,
  IO_LIMIT_UPPER: 0x32,
  BRIDGE_ROM: 0x38,
} as const;

export const COMMAND_IO = 1 << 0;
export const COMMAND_MEMORY = 1 << 1;
export const COMMAND_MASTER = 1 << 2;

export const HEADER_MULTIFUNCTION = 0x80;
export const HEADER_LAYOUT = 0x7f;
export const HEADER_TYPE_BRIDGE = 1;
/** Vendor id that no function has: what an absent one reads as. */
export const ABSENT = 0xffff;
