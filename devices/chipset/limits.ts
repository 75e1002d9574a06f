import type { Limit } from '../../vmm/core/limit.ts';

export const CHIPSET_LIMITS: readonly Limit[] = [
  {
    id: 'lapic-delivery-modes',
    what: 'SMI, INIT, start-up and ExtINT messages are counted and dropped',
    cite: 'Intel SDM: Message Data Register Format',
  },
  {
    id: 'lapic-x2apic',
    what: 'no x2APIC mode; there are no MSRs to enter it by',
    cite: 'Intel SDM: Extended XAPIC (x2APIC)',
  },
  {
    id: 'lapic-local-vectors',
    what: 'local vectors other than the timer never fire',
    cite: 'Intel SDM: Local Vector Table',
  },
  {
    id: 'lapic-timer-rate',
    what: 'a periodic timer fires at most once a microsecond of virtual time',
    cite: 'Intel SDM: APIC Timer',
  },
  {
    id: 'gic-version',
    what: 'the controller of virt is a GICv2 with a v2m frame for one processor; gic-version=3 is accepted under qtest only, where no processor runs, and changes nothing',
    cite: 'QEMU: virt machine',
  },
  {
    id: 'gic-groups',
    what: 'all interrupts are in group 0: GICD_IGROUPR reads as zero, the registers of group 1 are absent',
    cite: 'Arm GICv2: Interrupt grouping',
  },
  {
    id: 'virt-platform-devices',
    what: 'no UART, RTC, GPIO, fw_cfg, virtio-mmio or flash; the generic timer is memory-mapped (0x0c000000, GTDT), with a physical timer only',
    cite: 'QEMU: virt machine',
  },
  {
    id: 'q35-legacy-devices',
    what: 'no 8259, 8254, RTC, HPET, i8042 or ISA bridge; the FADT is hardware-reduced and says so',
    cite: 'QEMU: Q35 machine',
  },
];
