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
    id: 'q35-legacy-devices',
    what: 'no 8259, 8254, RTC, HPET, i8042 or ISA bridge; the FADT is hardware-reduced and says so',
    cite: 'QEMU: Q35 machine',
  },
];
