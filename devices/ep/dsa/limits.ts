import type { Limit } from '../../../vmm/core/limit.ts';

const DSA = 'Intel DSA';

export const DSA_LIMITS: readonly Limit[] = [
  {
    id: 'dsa-dif',
    what: 'no DIF and DIX operations (12h-17h), translation fetch or inter-domain operations: OPCAP has 0 for them',
    cite: `${DSA}: Operations`,
  },
  {
    id: 'dsa-event-log',
    what: 'no event log: GENCAP says so, errors go to SWERROR',
    cite: `${DSA}: Event Log`,
  },
  {
    id: 'dsa-ims',
    what: 'no interrupt message storage: GENCAP and OFFSETS say so; handles are MSI-X vectors',
    cite: `${DSA}: Interrupt Message Storage`,
  },
  {
    id: 'dsa-occupancy-interrupt',
    what: 'no occupancy interrupts, ATS or page-request switches by queue, operation masks or read-buffer limits: WQCAP and GRPCAP say so',
    cite: `${DSA}: WQCAP`,
  },
  {
    id: 'dsa-batch-order',
    what: 'an engine does the descriptors of a batch one after the other',
    cite: `${DSA}: Batch Descriptor Processing`,
  },
  {
    id: 'dsa-full-dedicated-queue',
    what: 'a descriptor for a full dedicated queue is dropped with a trace event and no SWERROR',
    cite: `${DSA}: Work Queues`,
  },
  {
    id: 'dsa-halt',
    what: 'it never halts: there are no hardware errors, and GENCTRL has no enable for their interrupt; nor are there user-mode interrupts (GENCFG)',
    cite: `${DSA}: General Status Register; General Configuration Register`,
  },
  {
    id: 'dsa-hints',
    what: 'traffic classes, cache control, steering tags and strict ordering of descriptors are accepted and have no effect: every write is in memory at once',
    cite: `${DSA}: Descriptor Flags; Group Configuration`,
  },
];
