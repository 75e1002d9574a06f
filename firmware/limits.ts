import type { Limit } from '../vmm/core/limit.ts';

export const FIRMWARE_LIMITS: readonly Limit[] = [
  {
    id: 'firmware-rom-and-vf-bars',
    what: 'expansion ROM BARs and SR-IOV VF BARs are left unassigned; functions beyond 7 (ARI) are not looked for',
    cite: 'PCI Firmware Specification: Boot-time resource allocation',
  },
  {
    id: 'firmware-acpi-runtime',
    what: 'no _OSC, no FACS, no power management: the tables describe, they do nothing',
    cite: 'ACPI: Hardware-Reduced ACPI',
  },
];
