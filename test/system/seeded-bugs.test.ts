import { describe, expect, test } from 'vitest';
import * as zod from 'zod';
import { builtinRegistry } from '../../vmm/machine/builtin.ts';
import type { MachineConfig } from '../../vmm/machine/config.ts';
import { assigned } from '../kit/assigned.ts';
import { type RunC, runC } from '../kit/run-c.ts';
import { shippedHost } from '../kit/running-host.ts';

/** What the device moves: the page that its data came from, and the one that they went to. */
const NOTHING = 'reads nothing, writes nothing';
const OLD = 'reads the old page, writes the old page';
const NEW = 'reads the new page, writes the new page';
const SECRET = 'reads a secret page, writes a secret page';
const READ_ONLY = 'reads the old page, writes nothing';
/** The invalidation is done between the two. */
const LATE = 'reads the old page, writes the new page';

/** A bug, what a driver without it has the device do, and what comes of it; on the nested path, where that is something else. */
type Bug = readonly [bug: string, good: string, bad: string, nested?: string];

/** iommufd's VT-d drops what a device has cached along with the IOTLB (LIMIT passthru-device-tlb). */
const DEVICE_TLB_DROPPED = NEW;
/** The host drops what it has of a page table that it takes off (LIMIT passthru-replaced-tables). */
const REPLACED = NEW;

const VTD: readonly Bug[] = [
  ['unmap without an IOTLB invalidation', NOTHING, OLD],
  ['another page without an IOTLB invalidation', NEW, OLD],
  ['read-only without an IOTLB invalidation', READ_ONLY, OLD],
  ['IOTLB invalidation of another domain', NEW, OLD],
  ['IOTLB invalidation of another PASID', NEW, OLD],
  ['IOTLB invalidation of another page', NEW, OLD],
  ['IOTLB invalidation with too small a mask', NEW, OLD],
  ['IOTLB invalidation of second stages in another domain', NEW, OLD],
  ['IOTLB invalidation before the store', NEW, OLD],
  ['no wait for the IOTLB invalidation', NEW, LATE],
  ['IOTLB invalidation of a PASID for requests without', NEW, OLD],
  ['another table with the hint IH', NEW, OLD],
  ['a table freed with the hint IH', NOTHING, SECRET],
  ['other tables of a PASID without a PASID-cache invalidation', NEW, OLD],
  ['other tables of a PASID with a context-cache invalidation', NEW, OLD],
  ['other tables of a PASID without an IOTLB invalidation', NEW, OLD, REPLACED],
  ['a PASID gone without a PASID-cache invalidation', NOTHING, OLD],
  ['a PASID gone with a PASID-cache invalidation of another', NOTHING, OLD],
  ['a context entry gone without a context-cache invalidation', NOTHING, OLD],
  ['no device-TLB invalidation', NEW, OLD, DEVICE_TLB_DROPPED],
  ['device-TLB invalidation before that of the IOTLB', NEW, OLD, DEVICE_TLB_DROPPED],
  ['device-TLB invalidation of another PASID', NEW, OLD, DEVICE_TLB_DROPPED],
];

/** The host puts its own VMID in place of the guest's (LIMIT passthru-vmid). */
const VMID_FORCED = NEW;
/** tsvmm keeps commands until the CMD_SYNC, or the end of the queue: what is not waited for may be done at any time. */
const LATER = OLD;

const SMMUV3: readonly Bug[] = [
  ['unmap without a TLBI', NOTHING, OLD],
  ['another page without a TLBI', NEW, OLD],
  ['read-only without a TLBI', READ_ONLY, OLD],
  ['TLBI of another ASID', NEW, OLD],
  ['TLBI of another VMID', NEW, OLD, VMID_FORCED],
  ['TLBI of another page', NEW, OLD],
  ['TLBI of too few pages', NEW, OLD],
  ['TLBI before the store', NEW, OLD],
  ['no CMD_SYNC after the TLBI', NEW, LATE, LATER],
  ['another table with a TLBI of leaves', NEW, OLD],
  ['a table freed with a TLBI of leaves', NOTHING, SECRET],
  ['another CD without a CFGI_CD', NEW, OLD],
  ['another CD with a CFGI_CD of another SubstreamID', NEW, OLD],
  ['another CD of the same ASID without a TLBI', NEW, OLD],
  ['a CD gone without a CFGI_CD', NOTHING, OLD],
  ['an STE gone without a CFGI_STE', NOTHING, OLD],
  ['an STE gone with a CFGI_STE of another stream', NOTHING, OLD],
  ['no ATC_INV', NEW, OLD],
  ['ATC_INV before the TLBI', NEW, OLD],
  ['ATC_INV of another SubstreamID', NEW, OLD],
];

interface Guest {
  readonly file: string;
  readonly machine: MachineConfig['machine'];
  readonly bugs: readonly Bug[];
  /** A host of the same architecture that nests, and one of the other. */
  readonly nests: readonly [host: string, address: string];
  readonly other: readonly [host: string, address: string];
}

const GUESTS: readonly Guest[] = [
  {
    file: 'test/guests/seeded/vtd.c',
    machine: 'q35',
    bugs: VTD,
    nests: ['xeon-sapphire-rapids', '0000:16:00.0'],
    other: ['arm-mmu-700', '0000:01:00.0'],
  },
  {
    file: 'test/guests/seeded/smmu.c',
    machine: 'virt',
    bugs: SMMUV3,
    nests: ['arm-mmu-700', '0000:01:00.0'],
    other: ['xeon-sapphire-rapids', '0000:16:00.0'],
  },
];

function emulated(machine: MachineConfig['machine']): RunC {
  // Work of the unit that takes time: otherwise it is done before anybody could fail to wait for it.
  return { config: { machine }, viommu: { svm: true, invalidation: 'async' }, devices: [['svm-engine']] };
}

function onHost({ machine }: Guest, [name, address]: Guest['nests'], mode: string): RunC {
  const registry = builtinRegistry();
  const source = `${name}.json`;
  const file = registry.hosts!.check(zod, registry, shippedHost(name), source);
  // What a guest forgets is no mistake of who forwards: it is stale on both sides.
  const host = { file, source, fallback: 'explain' as const, verify: true };
  const { config, devices: _, ...rest } = emulated(machine);
  return { ...rest, config: { ...config, host, devices: [assigned(address, 'engine', undefined, mode)] } };
}

describe.each(GUESTS)('$file', (guest) => {
  const { file, bugs } = guest;
  const cases: readonly (readonly [string, RunC, (bug: Bug) => string])[] = [
    ['on an emulated device', emulated(guest.machine), ([, , bad]) => bad],
    [
      `on ${guest.nests[0]}, nested`,
      onHost(guest, guest.nests, 'nested'),
      ([, , bad, nested]) => nested ?? bad,
    ],
    [`on ${guest.nests[0]}, by software`, onHost(guest, guest.nests, 'software'), ([, , bad]) => bad],
    [`on ${guest.other[0]}, by software`, onHost(guest, guest.other, 'software'), ([, , bad]) => bad],
  ];

  test.each(cases)('%s: each bug gives wrong data', async (_, options, moved) => {
    const { points } = await runC(file, { ...options, args: ['bug'] });

    expect(points).toEqual(
      bugs.map((bug, i) => {
        const [name, good] = bug;
        return `${moved(bug) === good ? 'ok' : 'not ok'} ${i + 1} - ${name}: ${moved(bug)}`;
      }),
    );
  });

  test.each(cases)('%s: the same driver without the bug gives the right data', async (_, options) => {
    const { points, end } = await runC(file, { ...options, args: ['good'] });

    expect(points).toEqual(bugs.map(([name, good], i) => `ok ${i + 1} - ${name}: ${good}`));
    expect(end).toEqual({ kind: 'exit', status: 0 });
  });
});
