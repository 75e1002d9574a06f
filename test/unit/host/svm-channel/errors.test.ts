import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encode, faultsOf } from '../../../../vmm/host/kernel/struct.ts';
import * as svm from '../../../../vmm/host/svm-channel/abi.ts';
import { smmuHost, vtdHost } from '../../../kit/physical-host.ts';
import { runs } from '../../../kit/runs.ts';
import {
  type Answer,
  type BindValues,
  CALL,
  type InvalidateValues,
  SvmRig,
  withOpaque,
} from '../../../kit/svm-rig.ts';

const { BIND, RELEASE, IOMMU_MODEL, PAGE_TABLE_MODEL } = svm;
const DIRECTORY = 0x20_0000n;
const FAR = 0x4000_0000n;
const ALL_ONES = (1n << 64n) - 1n;

function world(kind: 'vtd' | 'smmu', config = {}) {
  const host = kind === 'vtd' ? vtdHost(config) : smmuHost(config);
  const rig = new SvmRig(host);
  rig.open(host.plug({ requester: 0x100, pasidWidth: 20 }));
  rig.mapGuest();
  return rig;
}

/** What is refused changes nothing: one world serves all rows. */
const lasting = new Map<string, SvmRig>();
function standing(kind: 'vtd' | 'smmu'): SvmRig {
  const known = lasting.get(kind) ?? world(kind);
  lasting.set(kind, known);
  return known;
}

const intlTable = (change: object = {}, opaque: readonly number[] = []) =>
  withOpaque(
    svm.PASID_TABLE,
    { ptr: DIRECTORY, size: 4096n, model: IOMMU_MODEL.INTL, variant: 0x300, ...change },
    Uint8Array.from(opaque),
  );
const smmuTable = (change: object = {}, opaque: readonly number[] = [0, 0]) =>
  intlTable({ model: IOMMU_MODEL.SMMU, ...change }, opaque);
const page = (change: object = {}, opaque: Uint8Array = new Uint8Array(8)) =>
  withOpaque(
    svm.PAGE_TABLE,
    { pasid: 5, pgd: 0x21_0000n, model: PAGE_TABLE_MODEL.X86L, variant: 4, ...change },
    opaque,
  );
const x86 = (flags: number, reserved = 0) => encode(svm.X86L_TABLE, { flags, reserved });
const pasid = (value: number) => encode(svm.PASID_ONLY, { pasid: value });

/** What is bound, the call's flags and data, changes of its head, and what must come of it. */
type Row = readonly [
  what: string,
  kind: 'vtd' | 'smmu',
  flags: number,
  data: Uint8Array,
  head: BindValues,
  error: string,
  why: string,
];

const BINDS: readonly Row[] = [
  ['argsz below the head', 'vtd', BIND.PASIDTP, intlTable(), { argsz: 23 }, 'EINVAL', 'argsz 23 is less'],
  [
    'argsz that ends in the data',
    'vtd',
    BIND.PASIDTP,
    intlTable(),
    { argsz: 47 },
    'EINVAL',
    'less than the 48',
  ],
  [
    'argsz of more than a page',
    'vtd',
    BIND.PASIDTP,
    intlTable(),
    { argsz: 8192 },
    'E2BIG',
    'more than a page',
  ],
  [
    'data beyond length that are not zero',
    'vtd',
    BIND.PASIDTP,
    intlTable({}, [1]),
    { length: 24 },
    'E2BIG',
    'more than its length',
  ],
  [
    'data of more than a page',
    'vtd',
    BIND.PASIDTP,
    intlTable(),
    { length: 5000 },
    'EINVAL',
    '5000 bytes of data',
  ],
  ['an unknown flag', 'vtd', BIND.PASIDTP | 64, intlTable(), {}, 'EINVAL', 'unknown flags 0x40'],
  ['device-TLBs of a page table', 'vtd', BIND.PGTABLE | 32, page(), {}, 'EINVAL', 'go with PASID tables'],
  ['device-TLBs of a VT-d', 'vtd', BIND.PASIDTP | 32, intlTable(), {}, 'EOPNOTSUPP', 'context entries'],
  ['device-TLBs without ATS', 'smmu', BIND.PASIDTP | 32, smmuTable(), {}, 'EOPNOTSUPP', 'no ATS'],
  ['a flag of release', 'vtd', BIND.PASIDTP | RELEASE.CLEAN, intlTable(), {}, 'EINVAL', 'unknown flags 0x10'],
  ['the top bit of flags', 'vtd', 0x80000001, intlTable(), {}, 'EINVAL', 'unknown flags 0x80000000'],
  ['two things at once', 'vtd', BIND.PASIDTP | BIND.PGTABLE, intlTable(), {}, 'EINVAL', 'at once'],
  [
    'a fault queue that is not there',
    'vtd',
    BIND.PASIDTP,
    intlTable(),
    { fault_id: 77 },
    'ENOENT',
    'there is no fault 77',
  ],
  [
    'a page table with a fault queue that is an IOAS',
    'vtd',
    BIND.PGTABLE,
    page(),
    { fault_id: 1 },
    'ENOENT',
    'there is no fault 1',
  ],
  [
    'a process with a fault queue',
    'vtd',
    0,
    new Uint8Array(4),
    { fault_id: 1 },
    'EINVAL',
    'its own page requests',
  ],
  [
    'a table shorter than its fixed part',
    'vtd',
    BIND.PASIDTP,
    intlTable().subarray(0, 23),
    {},
    'EINVAL',
    '23 bytes',
  ],
  [
    'a magic that nobody has',
    'vtd',
    BIND.PASIDTP,
    intlTable({ model: 7 }),
    {},
    'EINVAL',
    '0x7 is not the magic',
  ],
  [
    'a format of page tables as a PASID table',
    'vtd',
    BIND.PASIDTP,
    intlTable({ model: PAGE_TABLE_MODEL.X86L }),
    {},
    'EINVAL',
    'X86L is a format of page tables',
  ],
  [
    'the table of another IOMMU: AMD',
    'vtd',
    BIND.PASIDTP,
    intlTable({ model: IOMMU_MODEL.AMDV }),
    {},
    'EOPNOTSUPP',
    'of model INTL, and the table is one of AMDV',
  ],
  [
    'the table of another IOMMU: s390',
    'vtd',
    BIND.PASIDTP,
    intlTable({ model: IOMMU_MODEL.S390 }),
    {},
    'EOPNOTSUPP',
    'S390',
  ],
  ['the table of another IOMMU: SMMU on VT-d', 'vtd', BIND.PASIDTP, smmuTable(), {}, 'EOPNOTSUPP', 'SMMU'],
  [
    'the table of another IOMMU: VT-d on SMMU',
    'smmu',
    BIND.PASIDTP,
    intlTable(),
    {},
    'EOPNOTSUPP',
    'of model SMMU, and the table is one of INTL',
  ],
  [
    'a variant that went away',
    'vtd',
    BIND.PASIDTP,
    intlTable({ variant: 0x200 }),
    {},
    'EOPNOTSUPP',
    'extended mode',
  ],
  [
    'a variant that nobody knows',
    'vtd',
    BIND.PASIDTP,
    intlTable({ variant: 1 }),
    {},
    'EOPNOTSUPP',
    'variant 0x1 of INTL',
  ],
  [
    'an opaque part where there is none',
    'vtd',
    BIND.PASIDTP,
    intlTable({}, [1]),
    {},
    'E2BIG',
    'the opaque part of an INTL table is empty',
  ],
  [
    'an opaque part that is too short',
    'smmu',
    BIND.PASIDTP,
    smmuTable({}, [0]),
    {},
    'EINVAL',
    'opaque of SMMU has 2 bytes, and 1 were given',
  ],
  [
    'an opaque part that is too long',
    'smmu',
    BIND.PASIDTP,
    smmuTable({}, [0, 0, 1]),
    {},
    'E2BIG',
    'and more were given',
  ],
  [
    'a variant of SMMU that nobody knows',
    'smmu',
    BIND.PASIDTP,
    smmuTable({ variant: 0x200 }),
    {},
    'EOPNOTSUPP',
    'variant 0x200 of SMMU',
  ],
  [
    'a variant that the unit does not have yet',
    'smmu',
    BIND.PASIDTP,
    smmuTable({ variant: 0x305 }),
    {},
    'EOPNOTSUPP',
    'AIDR',
  ],
  ['a format that does not exist', 'smmu', BIND.PASIDTP, smmuTable({}, [3, 0]), {}, 'EINVAL', 'S1Fmt 3'],
  ['a reserved S1DSS', 'smmu', BIND.PASIDTP, smmuTable({}, [0, 3]), {}, 'EINVAL', 'S1DSS 3'],
  [
    'more entries than SSIDs',
    'smmu',
    BIND.PASIDTP,
    smmuTable({ size: 64n << 21n }),
    {},
    'EINVAL',
    'IDR1.SSIDSIZE',
  ],
  [
    'more entries than PASIDs',
    'vtd',
    BIND.PASIDTP,
    intlTable({ size: 64n << 21n }),
    {},
    'EINVAL',
    '20 bits of PASIDs',
  ],
  [
    'a table that is not aligned',
    'vtd',
    BIND.PASIDTP,
    intlTable({ ptr: DIRECTORY + 8n }),
    {},
    'EINVAL',
    'not aligned',
  ],
  [
    'a size that is no power of two',
    'vtd',
    BIND.PASIDTP,
    intlTable({ size: 192n }),
    {},
    'EINVAL',
    '192 bytes are no table',
  ],
  [
    'a size that is half an entry',
    'vtd',
    BIND.PASIDTP,
    intlTable({ size: 32n }),
    {},
    'EINVAL',
    '32 bytes are no table',
  ],
  ['an address of nothing', 'vtd', BIND.PASIDTP, intlTable({ size: 0n }), {}, 'EINVAL', 'nowhere'],
  [
    'a table past the last address',
    'vtd',
    BIND.PASIDTP,
    intlTable({ ptr: ALL_ONES - 63n }),
    {},
    'EOVERFLOW',
    'last address',
  ],
  [
    'a directory that is not mapped',
    'vtd',
    BIND.PASIDTP,
    intlTable({ ptr: FAR }),
    {},
    'EFAULT',
    'maps nothing at 0x40000000',
  ],
  [
    'a CD table that is not mapped',
    'smmu',
    BIND.PASIDTP,
    smmuTable({ ptr: FAR }),
    {},
    'EFAULT',
    'maps nothing at 0x40000000',
  ],
  [
    'a page table shorter than its fixed part',
    'vtd',
    BIND.PGTABLE,
    page().subarray(0, 20),
    {},
    'EINVAL',
    '20 bytes',
  ],
  [
    'the reserved field of a page table',
    'vtd',
    BIND.PGTABLE,
    page({ reserved: 1 }),
    {},
    'EINVAL',
    'reserved',
  ],
  [
    'a flavour of IOMMU as a page table',
    'vtd',
    BIND.PGTABLE,
    page({ model: IOMMU_MODEL.INTL }),
    {},
    'EINVAL',
    'INTL is a flavour of IOMMU',
  ],
  [
    'a page table of a format that nobody has',
    'vtd',
    BIND.PGTABLE,
    page({ model: 1 }),
    {},
    'EINVAL',
    '0x1 is not the magic',
  ],
  [
    'a page table of another processor',
    'vtd',
    BIND.PGTABLE,
    page({ model: PAGE_TABLE_MODEL.LPAE }, new Uint8Array(16)),
    {},
    'EOPNOTSUPP',
    'format LPAE',
  ],
  [
    'short descriptors',
    'vtd',
    BIND.PGTABLE,
    page({ model: PAGE_TABLE_MODEL.SHRT }),
    {},
    'EOPNOTSUPP',
    'format SHRT',
  ],
  ['three levels', 'vtd', BIND.PGTABLE, page({ variant: 3 }), {}, 'EOPNOTSUPP', '4 levels or 5, not 3'],
  [
    'unknown flags of a page table',
    'vtd',
    BIND.PGTABLE,
    page({}, x86(8)),
    {},
    'EINVAL',
    'unknown flags 0x8 of X86L',
  ],
  ['its reserved word', 'vtd', BIND.PGTABLE, page({}, x86(0, 1)), {}, 'EINVAL', 'of X86L'],
  [
    'its opaque part too short',
    'vtd',
    BIND.PGTABLE,
    page({}, new Uint8Array(7)),
    {},
    'EINVAL',
    '7 were given',
  ],
  ['a page table that is not aligned', 'vtd', BIND.PGTABLE, page({ pgd: 8n }), {}, 'EINVAL', 'not aligned'],
  ['a PASID of 21 bits', 'vtd', BIND.PGTABLE, page({ pasid: 1 << 20 }), {}, 'EINVAL', 'no PASID 1048576'],
  [
    'IDEN with a table',
    'vtd',
    BIND.PGTABLE,
    page({ model: PAGE_TABLE_MODEL.IDEN, variant: 0 }, new Uint8Array(0)),
    {},
    'EINVAL',
    'IDEN',
  ],
  ['a process without room for its PASID', 'vtd', 0, new Uint8Array(3), {}, 'EINVAL', '3 were given'],
  [
    'a process in place of another',
    'vtd',
    BIND.REPLACE,
    new Uint8Array(4),
    {},
    'EINVAL',
    'own address space',
  ],
];

const bindWith =
  (flags: number, data: Uint8Array, head: BindValues) =>
  (rig: SvmRig): Answer =>
    rig.bind(flags, data, head);

describe('VFIO_SVM_BIND refuses, and says why', () => {
  test.each(BINDS)('%s (%s)', (_, kind, flags, data, head, error, why) => {
    const rig = standing(kind);
    const before = rig.host.kernel.allocations.census();

    const answer = bindWith(flags, data, head)(rig);

    expect(answer.result).toBe(error);
    expect(answer.why).toContain(why);
    expect(rig.host.kernel.allocations.census()).toEqual(before);
  });

  test.each([
    ['5 levels', { 'first-stage-5-level': false }, page({ variant: 5 }), BIND.PGTABLE, 'CAP.FS5LP'],
    ['first stages', { nested: false }, page(), BIND.PGTABLE, 'NEST (26)'],
    ['tables', { nested: false }, intlTable(), BIND.PASIDTP, 'NEST (26)'],
  ])('%s that the unit does not have', (_, config, data, flags, why) => {
    const answer = world('vtd', config).bind(flags, data);

    expect(answer.result).toBe('EOPNOTSUPP');
    expect(answer.why).toContain(why);
  });

  test('a bad pointer, in the head and in the data', () => {
    const rig = world('vtd');
    const word = 0x3b00 | svm.SVM_NR.BIND;
    rig.bind(BIND.PASIDTP, intlTable());
    const inData = rig.calls.process;
    rig.host.caller.put(encode(svm.SVM_BIND, { argsz: 48, flags: 1, length: 24 }), 0x9fe8n);
    inData.unmap(0xa000n, 0xafffn);

    expect(
      [0n, ALL_ONES, 0x9fe8n].map((at) => rig.calls.ioctl(rig.container, word, at === 0n ? FAR : at)),
    ).toEqual([-14, -14, -14]);
  });

  test('a word with a direction is no ioctl of it', () => {
    const rig = world('vtd');

    expect(rig.calls.ioctl(rig.container, 0xc0103b7a, CALL)).toBe(-25);
  });

  test('an iommufd has no such ioctl', () => {
    const rig = world('vtd');

    expect(rig.calls.ioctl(rig.host.caller.fd, 0x3b7a, CALL)).toBe(-25);
  });

  test('a closed container', () => {
    const rig = world('vtd');
    rig.calls.close(rig.container);

    expect(rig.bind(BIND.PASIDTP, intlTable()).result).toBe('EBADF');
  });

  test('twice the same, and what overlaps', () => {
    const rig = world('vtd');
    const results = [
      rig.bind(BIND.PGTABLE, page()),
      rig.bind(BIND.PGTABLE, page()),
      rig.bind(BIND.PASIDTP, intlTable()),
      rig.bind(BIND.PGTABLE, page({ pasid: 100 })),
      rig.unbindPasid(5),
      rig.bind(BIND.PASIDTP, intlTable()),
      rig.bind(BIND.PASIDTP, intlTable()),
      rig.bind(BIND.PGTABLE, page()),
      rig.bind(0, new Uint8Array(4)),
    ].map(({ result }) => result);

    expect(results).toEqual(['ok', 'EBUSY', 'EBUSY', 'ok', 'ok', 'ok', 'EBUSY', 'EBUSY', 'EBUSY']);
  });
});

describe('VFIO_SVM_UNBIND refuses, and says why', () => {
  test.each([
    ['an unknown flag', 64, pasid(5), {}, 'EINVAL', 'unknown flags'],
    ['a flag of bind', BIND.PGTABLE, pasid(5), {}, 'EINVAL', 'unknown flags'],
    ['both ways of release', RELEASE.FLUSHED | RELEASE.CLEAN, pasid(5), {}, 'EINVAL', 'in one way'],
    [
      'a table that is released',
      BIND.PASIDTP | RELEASE.CLEAN,
      pasid(5).subarray(4),
      {},
      'EINVAL',
      'releases no PASID',
    ],
    ['a table with data', BIND.PASIDTP, pasid(5), {}, 'EINVAL', 'has no data'],
    ['no table', BIND.PASIDTP, pasid(5).subarray(4), {}, 'ENOENT', 'no PASID table'],
    ['a PASID that has nothing', RELEASE.CLEAN, pasid(6), {}, 'ENOENT', 'PASID 6'],
    ['no PASID', RELEASE.CLEAN, pasid(5).subarray(1), {}, 'EINVAL', '3 were given'],
    ['more than a PASID', RELEASE.CLEAN, Uint8Array.of(5, 0, 0, 0, 1), {}, 'E2BIG', 'more were given'],
    ['argsz that ends in the data', RELEASE.CLEAN, pasid(5), { argsz: 27 }, 'EINVAL', 'argsz 27'],
    ['a fault queue', RELEASE.CLEAN, pasid(5), { fault_id: 1 }, 'EINVAL', 'nothing is bound'],
  ] as const)('%s', (_, flags, data, head, error, why) => {
    const rig = standing('vtd');
    rig.bind(BIND.PGTABLE, page());

    const answer = rig.unbind(flags, data, head);

    expect(answer.result).toBe(error);
    expect(answer.why).toContain(why);
  });
});

describe('VFIO_SVM_INVALIDATE refuses, and says why', () => {
  const generic: InvalidateValues = { model: IOMMU_MODEL.INTL, granularity: 2, pasid: 5 };
  const arch = (values: object = {}) => encode(svm.INTL_INVALIDATE, { inv_type: 2, ...values });
  const pages: InvalidateValues = { granularity: 3, addr: 0x1000n, size: 0x1000n };

  test.each([
    ['argsz below the head', { argsz: 39 }, arch(), 'EINVAL', 'argsz 39'],
    ['argsz that ends in the architecture part', { argsz: 55 }, arch(), 'EINVAL', 'argsz 55'],
    ['a flag', { flags: 1 }, arch(), 'EINVAL', 'no flags'],
    ['an unknown granularity', { granularity: 4 }, arch(), 'EINVAL', 'granularity 0x4'],
    ['a PASID for all', { granularity: 0 }, arch(), 'EINVAL', 'a granularity that has none'],
    ['a PASID of 21 bits', { pasid: 1 << 20 }, arch(), 'EINVAL', '20 bits'],
    ['an address for all pages', { addr: 0x1000n }, arch(), 'EINVAL', 'an address'],
    ['no pages', { ...pages, size: 0n }, arch(), 'EINVAL', 'no whole pages'],
    ['half a page', { ...pages, size: 0x800n }, arch(), 'EINVAL', 'no whole pages'],
    ['an address that is not aligned', { ...pages, addr: 0x10n }, arch(), 'EINVAL', 'no whole pages'],
    [
      'pages past the last address',
      { ...pages, addr: ALL_ONES - 0xfffn, size: 0x2000n },
      arch(),
      'EOVERFLOW',
      'last address',
    ],
    ['the model of another IOMMU', { model: IOMMU_MODEL.SMMU }, arch(), 'EOPNOTSUPP', 'SMMU'],
    ['a magic that nobody has', { model: 3 }, arch(), 'EOPNOTSUPP', '0x3'],
    ['an architecture part that is too short', {}, arch().subarray(1), 'EINVAL', '15 were given'],
    ['one that is too long', {}, Uint8Array.of(...arch(), 1), 'E2BIG', 'more were given'],
    ['no type', {}, arch({ inv_type: 0 }), 'EINVAL', 'types 0x0'],
    ['an unknown type', {}, arch({ inv_type: 32 }), 'EINVAL', 'types 0x20'],
    ['an unknown flag of the architecture', {}, arch({ flags: 32 }), 'EINVAL', 'unknown flags 0x20'],
    ['mip without a device-TLB', {}, arch({ mip: 1 }), 'EINVAL', 'of device-TLBs'],
    ['pfsid without a device-TLB', {}, arch({ pfsid: 1 }), 'EINVAL', 'of device-TLBs'],
    ['mip of 6 bits', {}, arch({ inv_type: 8, mip: 32 }), 'EINVAL', 'out of range'],
    ['pfsid of 17 bits', {}, arch({ inv_type: 8, pfsid: 0x10000 }), 'EINVAL', 'out of range'],
    ['the global flag of device-TLBs alone', {}, arch({ flags: 16 }), 'EINVAL', 'no device-TLB'],
    ['requests without PASID, and a PASID', {}, arch({ inv_type: 1 }), 'EINVAL', 'without PASID'],
    [
      'requests with PASID, pages, and no PASID',
      { ...pages, granularity: 1, pasid: 0 },
      arch(),
      'EINVAL',
      'no PASID',
    ],
    ['pages of a PASID cache', pages, arch({ inv_type: 16 }), 'EINVAL', 'has no pages'],
    ['a PASID that has nothing', { pasid: 6 }, arch(), 'ENOENT', 'PASID 6'],
  ] as const)('%s', (_, change, opaque, error, why) => {
    const rig = standing('vtd');
    rig.bind(BIND.PGTABLE, page());

    const answer = rig.invalidate(generic, opaque, change);

    expect(answer.result).toBe(error);
    expect(answer.why).toContain(why);
  });

  test.each([
    ['nothing is bound', {}, 'ENOENT', 'no table'],
    ['an ASID of 17 bits', { asid: 0x10000 }, 'EINVAL', '16 bits'],
    ['the reserved word', { reserved: 1 }, 'EINVAL', '16 bits'],
  ])('of an SMMU: %s', (_, change, error, why) => {
    const opaque = encode(svm.SMMU_INVALIDATE, { inv_type: 2, ...change });
    const answer = standing('smmu').invalidate({ model: IOMMU_MODEL.SMMU, granularity: 2 }, opaque);

    expect(answer.result).toBe(error);
    expect(answer.why).toContain(why);
  });

  test('without a device there is nothing to invalidate', () => {
    const rig = new SvmRig(vtdHost());

    expect(rig.invalidate({ model: IOMMU_MODEL.INTL }, arch()).result).toBe('ENODEV');
  });
});

describe('structures', () => {
  test.each(svm.SVM_STRUCTS)('$name: fields are aligned, inside and apart', (struct) => {
    expect(faultsOf(struct)).toEqual([]);
  });

  test('magics are the characters of their names in decimal, read as hexadecimal', () => {
    const all = { ...IOMMU_MODEL, ...PAGE_TABLE_MODEL };
    const spelt = (name: string) => Number(`0x${[...name].map((one) => one.charCodeAt(0)).join('')}`);

    expect(Object.entries(all).filter(([name, magic]) => spelt(name) !== magic)).toEqual([]);
  });
});

describe('whichever allocation fails, nothing is left behind', () => {
  const smmuPage = new Uint8Array(0);
  const LIVES: readonly (readonly [string, 'vtd' | 'smmu', (rig: SvmRig) => Answer])[] = [
    ['a page table', 'vtd', (rig) => rig.bind(BIND.PGTABLE, page())],
    ['a page table of requests without PASID', 'vtd', (rig) => rig.bind(BIND.PGTABLE, page({ pasid: 0 }))],
    ['a table without entries', 'vtd', (rig) => rig.bind(BIND.PASIDTP, intlTable({ ptr: 0n, size: 0n }))],
    ['a PASID table', 'vtd', (rig) => rig.bind(BIND.PASIDTP, filledTable(rig))],
    ['a CD table', 'smmu', (rig) => rig.bind(BIND.PASIDTP, smmuTable({}, [0, smmuPage.length]))],
    ['a process', 'vtd', (rig) => rig.bind(0, new Uint8Array(4))],
    ['a process on an SMMU', 'smmu', (rig) => rig.bind(0, new Uint8Array(4))],
  ];

  /** Entries of PASIDs 0, 1 and 2, first stages. */
  function filledTable(rig: SvmRig): Uint8Array {
    rig.host.store(Number(DIRECTORY), 0x20_1001);
    for (const one of [0, 1, 2]) {
      rig.host.store(0x20_1000 + one * 64, 1 | (1 << 6));
      rig.host.store(0x20_1000 + one * 64 + 16, 0x21_0000);
    }
    return intlTable();
  }

  test.each(LIVES)('%s (%s): the call changes nothing, and another succeeds', (_, kind, bind) => {
    const rig = world(kind);
    const { allocations, memory } = rig.host.kernel;
    const before = allocations.census();
    const pinned = memory.pinned;
    let nth = 1;
    for (; ; nth++) {
      allocations.failNth(nth);
      const { result } = bind(rig);
      if (!allocations.endFailing()) break;
      expect([result, allocations.census(), memory.pinned]).toEqual(['ENOMEM', before, pinned]);
    }

    expect(nth).toBeGreaterThan(2);
    rig.calls.exit();
    expect([allocations.census()['object'], memory.pinned]).toEqual([undefined, 0]);
  });

  test('a device that comes later, and cannot be bound, does not come', () => {
    const rig = world('vtd');
    rig.bind(BIND.PGTABLE, page());
    const { host } = rig;
    let fd = -1;
    let requester = 0x200;
    for (let nth = 1; fd < 0; nth++, requester += 0x100) {
      const device = host.plug({ requester, pasidWidth: 20 });
      const { allocations } = host.kernel;
      const before = allocations.census();
      allocations.failNth(nth);
      fd = rig.open(device);
      allocations.endFailing();
      const left = fd < 0 ? allocations.census() : before;
      expect(left).toEqual(before);
    }

    expect(requester).toBeGreaterThan(0x800);
  });
});

test('random calls in any order return, and closing leaves nothing', () => {
  const number = fc.oneof(
    fc.integer({ min: 0, max: 40 }),
    fc.constantFrom(0xffff_ffff, 0x300, 4, ...Object.values({ ...IOMMU_MODEL, ...PAGE_TABLE_MODEL })),
  );
  const wide = fc.constantFrom(0n, 64n, 0x1000n, DIRECTORY, 0x21_0000n, FAR, ALL_ONES, 1n << 63n);
  const call = fc.record({
    nr: fc.constantFrom(0x7a, 0x7a, 0x7a, 0x7b, 0x7c),
    flags: fc.constantFrom(0, 1, 2, 5, 6, 8, 16, 99),
    numbers: fc.array(number, { minLength: 12, maxLength: 12 }),
    wides: fc.array(wide, { minLength: 3, maxLength: 3 }),
    tail: fc.uint8Array({ maxLength: 32 }),
  });
  const property = fc.property(
    fc.constantFrom('vtd' as const, 'smmu' as const),
    fc.array(call, { maxLength: 25 }),
    (kind, list) => {
      const rig = world(kind);
      for (const { nr, flags, numbers, wides, tail } of list) {
        const [n0, n1, n2, n3, n4, n5] = numbers as [number, number, number, number, number, number];
        const [w0, w1] = wides as [bigint, bigint];
        const answers =
          nr === 0x7c
            ? rig.invalidate(
                { model: n0, granularity: n1 & 3, pasid: n2, addr: w0, size: w1 },
                encode(svm.SMMU_INVALIDATE, { inv_type: n3, flags: n4, asid: n5 }).subarray(
                  0,
                  n0 === IOMMU_MODEL.INTL ? 16 : 24,
                ),
              )
            : rig.bind(
                flags,
                (flags & 1) !== 0
                  ? withOpaque(svm.PASID_TABLE, { ptr: w0, size: w1, model: n1, variant: n2 }, tail)
                  : withOpaque(svm.PAGE_TABLE, { pasid: n0, pgd: w0, model: n1, variant: n2 }, tail),
                {},
                nr,
              );
        expect(typeof answers.result).toBe('string');
      }
      rig.calls.exit();
      expect(rig.host.kernel.memory.pinned).toBe(0);
      expect(rig.host.kernel.allocations.census()['object']).toBe(undefined);
    },
  );

  fc.assert(property, { numRuns: runs(40) });
});
