import type { Limit } from '../core/limit.ts';

/** Limits of the machine as a whole and of what looks into it. */
export const MACHINE_LIMITS: readonly Limit[] = [
  {
    id: 'machine-ram-above-4g',
    what: 'RAM from 4 GiB on exists for bus masters only (tsvmm qemu -m): guests do not reach it, it is neither watched nor logged, and such a machine is not saved',
    cite: 'QEMU: Q35 machine',
  },
  {
    id: 'machine-virt-memory',
    what: 'virt has at most 2 GiB of RAM, all of it below 4 GiB, and starts with ACPI tables only: no device tree',
    cite: 'QEMU: virt machine',
  },
  {
    id: 'sdk-vmsa-marks',
    what: "the SDK's kernel library sets the access flag of VMSAv8-64 entries itself and does not use hardware dirty state: PTE_A and PTE_D are of q35",
    cite: 'guest/sdk/include/tsvmm/pte.h',
  },
  {
    id: 'provenance-from-first-read',
    what: 'who stored an entry before the IOMMU first read its page is known after a run (by running again), not in a monitor session, after a snapshot, or beyond 500 million instructions',
    cite: 'docs/guide/tracing.md',
  },
  {
    id: 'report-events',
    what: 'a report keeps the first 20,000 events and 5,000 table entries, a Chrome trace the first 1,048,576 events; both say so when there were more',
    cite: 'docs/guide/timeline.md',
  },
  {
    id: 'monitor-hot-plug',
    what: 'devices are plugged and unplugged by surprise, behind root ports only; DEVICE_DELETED comes at once',
    cite: 'PCI Express Base: Hot-Plug',
  },
  {
    id: 'monitor-save-running-guest',
    what: 'a monitor saves a guest where it waits or yields next, by repeating the run with one that can be suspended; it needs binaryen',
    cite: 'docs/guide/snapshots.md',
  },
  {
    id: 'record-plugins-and-snapshots',
    what: 'a record names plugins and snapshots that were loaded, and does not bring them',
    cite: 'docs/guide/record-replay.md',
  },
  {
    id: 'record-same-version',
    what: 'a record is replayed alike by the version of tsvmm that made it; another one warns, and notices at the end when the run differs',
    cite: 'docs/guide/record-replay.md',
  },
];
