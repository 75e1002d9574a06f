import { describe, expect, test } from 'vitest';
import {
  ATS_CA,
  ATS_DISABLED,
  ATS_FAULT,
  ATS_OK,
  ATS_STALLED,
  ATS_UR,
  PRG_NO_CREDIT,
  PRG_NONE,
} from '../../../devices/pci/ats-agent.ts';
import {
  ALL_PASIDS,
  DMA_CA,
  DMA_STALLED,
  DMA_UR,
  EXEC,
  GRANTED_GLOBAL,
  NO_PASID,
  READ,
  UNTRANSLATED_ONLY,
  WRITE,
} from '../../../vmm/bus/dma.ts';
import { DEVICE_TLB_DONE, DEVICE_TLB_PENDING } from '../../../vmm/bus/iommu.ts';
import { AtsWorld } from '../../kit/ats-world.ts';

const RW = READ | WRITE;
/** PASID Control. */
const EXEC_ENABLE = 2;
const PRIV_ENABLE = 4;
/** Page Request Status. */
const RF = 1;
const UPRGI = 2;
const STOPPED = 0x100;
const PASID_REQUIRED = 0x8000;

describe('translation', () => {
  test('with ATS off a request goes out untranslated, with its PASID', () => {
    const world = new AtsWorld();
    world.enablePasid();
    world.iommu.pages = [{ pasid: 5, at: 0x4000, to: 0x10000, access: RW }];
    world.rig.ram.u8[0x10123] = 0x77;
    const got = new Uint8Array(1);

    const status = world.agent.read(5, false, 0x4123, 0, got, 0, 1);

    expect(status).toBe(ATS_OK);
    expect(got[0]).toBe(0x77);
    expect(world.iommu.seen).toEqual(['untranslated 4123 1 pasid 5']);
  });

  test('with ATS on the page is asked for once and then used translated, without a PASID', () => {
    const world = new AtsWorld();
    world.enablePasid();
    world.enableAts();
    world.iommu.pages = [{ pasid: 5, at: 0x4000, to: 0x10000, access: RW }];
    const data = Uint8Array.of(1, 2, 3);

    world.agent.write(5, false, 0x4010, 0, data, 0, 3);
    world.agent.write(5, false, 0x4020, 0, data, 0, 3);

    expect([...world.rig.ram.u8.subarray(0x10020, 0x10023)]).toEqual([1, 2, 3]);
    expect(world.iommu.seen).toEqual([
      'translation 4010 3 pasid 5',
      'translated 10010 2',
      'translated 10020 2',
    ]);
  });

  test('a PASID that is not enabled, or wider than the capability says, is not sent', () => {
    const world = new AtsWorld({ pasidWidth: 8 });
    expect(world.agent.access(5, false, 0, 0, READ)).toBe(ATS_DISABLED);

    world.enablePasid();

    expect(world.agent.access(0xff, false, 0, 0, READ)).toBe(ATS_OK);
    expect(world.agent.access(0x100, false, 0, 0, READ)).toBe(ATS_DISABLED);
    expect(world.iommu.seen).toEqual([]);
  });

  test('nothing is sent without bus mastering', () => {
    const world = new AtsWorld();
    world.fn.configWrite(4, 2, 0);

    expect(world.agent.read(NO_PASID, false, 0, 0, new Uint8Array(4), 0, 4)).toBe(ATS_DISABLED);
    expect(world.iommu.seen).toEqual([]);
  });

  test('privileged and execute go with a request only where the capability has them enabled', () => {
    const world = new AtsWorld();
    world.enablePasid();
    world.enableAts();
    world.agent.access(5, true, 0x4000, 0, READ | EXEC);
    world.disableAts();
    world.enablePasid(EXEC_ENABLE | PRIV_ENABLE);
    world.enableAts();
    world.agent.access(5, true, 0x4000, 0, READ | EXEC);
    world.agent.access(NO_PASID, true, 0x4000, 0, READ | EXEC);

    expect(world.iommu.seen).toEqual([
      'translation 4000 1 pasid 5',
      'translation 4000 5 pasid 5 priv',
      'translation 4000 1',
    ]);
  });

  test('an answer without permissions is a fault and is not kept', () => {
    const world = new AtsWorld();
    world.enableAts();

    expect(world.agent.access(NO_PASID, false, 0x4000, 0, READ)).toBe(ATS_FAULT);
    world.iommu.pages = [{ at: 0x4000, to: 0x10000, access: READ }];
    expect(world.agent.access(NO_PASID, false, 0x4000, 0, READ)).toBe(ATS_OK);
  });

  test('a kept read-only page is asked for again by a write, and the better answer replaces it', () => {
    const world = new AtsWorld();
    world.enableAts();
    world.iommu.pages = [{ at: 0x4000, to: 0x10000, access: READ }];
    world.agent.access(NO_PASID, false, 0x4000, 0, READ);

    expect(world.agent.access(NO_PASID, false, 0x4000, 0, WRITE)).toBe(ATS_FAULT);
    world.iommu.pages = [{ at: 0, to: 0x200000, bytes: 0x200000, access: RW }];
    expect(world.agent.access(NO_PASID, false, 0x4000, 0, WRITE)).toBe(ATS_OK);

    expect(world.agent.entries).toMatchObject([{ lo: 0, outLo: 0x200000, bytes: 0x200000, access: RW }]);
  });

  test('a page that is for untranslated access only is used so and not kept', () => {
    const world = new AtsWorld();
    world.enableAts();
    world.iommu.pages = [{ at: 0xfee00000, to: 0xfee00000, access: UNTRANSLATED_ONLY }];

    const status = world.agent.access(NO_PASID, false, 0xfee00010, 0, WRITE);

    expect(status).toBe(ATS_OK);
    expect(world.agent.outAt).toBe(0);
    expect(world.agent.outLo >>> 0).toBe(0xfee00010);
    expect(world.agent.entries).toEqual([]);
  });

  test('an answer smaller than the smallest translation unit is a completer abort', () => {
    const world = new AtsWorld();
    world.enableAts(4);
    world.iommu.pages = [{ at: 0x10000, to: 0x20000, access: RW }];

    expect(world.agent.access(NO_PASID, false, 0x10000, 0, READ)).toBe(ATS_CA);
  });

  test('refusals of a translation request are passed on', () => {
    const world = new AtsWorld();
    world.enableAts();
    const outcomes = [DMA_UR, DMA_CA, DMA_STALLED].map((status) => {
      world.iommu.next = status;
      return world.agent.access(NO_PASID, false, 0x4000, 0, READ);
    });

    expect(outcomes).toEqual([ATS_UR, ATS_CA, ATS_STALLED]);
  });

  test.each([
    ['2 MiB', 0x200000],
    ['64 KiB', 0x10000],
    ['1 GiB', 0x40000000],
  ])('a page of %s is one entry for all its addresses', (_name, bytes) => {
    const world = new AtsWorld();
    world.enableAts();
    world.iommu.pages = [{ at: 0x40000000, to: 0x80000000, bytes, access: RW }];
    world.agent.access(NO_PASID, false, 0x40000010, 0, READ);

    const status = world.agent.access(NO_PASID, false, 0x40000000 + bytes - 8, 0, WRITE);

    expect(status).toBe(ATS_OK);
    expect(world.agent.outLo >>> 0).toBe(0x80000000 + bytes - 8);
    expect(world.agent.outSpan).toBe(8);
    expect(world.iommu.seen).toHaveLength(1);
  });

  test('a global page serves every PASID, but not requests without one', () => {
    const world = new AtsWorld();
    world.enablePasid();
    world.enableAts();
    world.iommu.pages = [{ pasid: 5, at: 0x4000, to: 0x10000, access: RW | GRANTED_GLOBAL }];
    world.agent.access(5, false, 0x4000, 0, READ);

    expect(world.agent.access(6, false, 0x4000, 0, READ)).toBe(ATS_OK);
    expect(world.agent.access(NO_PASID, false, 0x4000, 0, READ)).toBe(ATS_FAULT);
  });
});

describe('moving data', () => {
  test('a fault in the middle leaves what was moved and where it stopped', () => {
    const world = new AtsWorld();
    world.enableAts();
    world.iommu.pages = [{ at: 0x4000, to: 0x10000, access: RW }];

    const status = world.agent.write(NO_PASID, false, 0x4ff0, 0, new Uint8Array(64).fill(9), 0, 64);

    expect(status).toBe(ATS_FAULT);
    expect(world.agent.done).toBe(16);
    expect(world.agent.faultLo).toBe(0x5000);
    expect(world.rig.ram.u8[0x10fff]).toBe(9);
  });

  test('addresses carry into the upper half', () => {
    const world = new AtsWorld();
    world.enableAts();
    world.iommu.pages = [
      { at: 0xfffff000, to: 0x10000, access: RW },
      { at: 0, hi: 1, to: 0x20000, access: RW },
    ];

    const status = world.agent.write(NO_PASID, false, 0xfffffffe, 0, Uint8Array.of(1, 2, 3, 4), 0, 4);

    expect(status).toBe(ATS_OK);
    expect([...world.rig.ram.u8.subarray(0x20000, 0x20002)]).toEqual([3, 4]);
  });

  test('atomics ask for both permissions and return what was there', () => {
    const world = new AtsWorld();
    world.enablePasid();
    world.iommu.pages = [{ pasid: 7, at: 0x4000, to: 0x10000, access: RW }];
    world.rig.ram.u32[0x10008 / 4] = 0xffffffff;
    world.rig.ram.u32[0x1000c / 4] = 1;

    const added = world.agent.fetchAdd(7, false, 0x4008, 0, 8, 2, 0);
    const missed = world.agent.compareAndSwap(7, false, 0x4008, 0, 4, 5, 0, 9, 0);
    const hit = world.agent.compareAndSwap(7, false, 0x4008, 0, 4, 1, 0, 9, 0);
    const swapped = world.agent.swap(7, false, 0x4008, 0, 4, 3, 0);

    expect([added, missed, hit, swapped]).toEqual([ATS_OK, ATS_OK, ATS_OK, ATS_OK]);
    expect(world.agent.oldLo).toBe(9);
    expect([world.rig.ram.u32[0x10008 / 4], world.rig.ram.u32[0x1000c / 4]]).toEqual([3, 2]);
    expect(world.iommu.seen[0]).toBe('untranslated 4008 3 atomic pasid 7');
  });

  test('an atomic on a read-only page changes nothing', () => {
    const world = new AtsWorld();
    world.enableAts();
    world.iommu.pages = [{ at: 0x4000, to: 0x10000, access: READ }];

    expect(world.agent.fetchAdd(NO_PASID, false, 0x4000, 0, 4, 1, 0)).toBe(ATS_FAULT);
    expect(world.rig.ram.u32[0x10000 / 4]).toBe(0);
  });
});

describe('invalidation', () => {
  function filled(): AtsWorld {
    const world = new AtsWorld({ rows: 256 });
    world.enablePasid();
    world.enableAts();
    world.iommu.pages = [
      ...[5, 6, NO_PASID].flatMap((pasid) => [
        { pasid, at: 0x4000, to: 0x10000, access: RW },
        { pasid, at: 0x5000, to: 0x11000, access: RW },
        { pasid, at: 0x200000, to: 0x400000, bytes: 0x200000, access: RW },
      ]),
      { pasid: 5, at: 0x8000, to: 0x18000, access: RW | GRANTED_GLOBAL },
    ];
    for (const pasid of [5, 6, NO_PASID])
      for (const at of [0x4000, 0x5000, 0x200000]) world.agent.access(pasid, false, at, 0, READ);
    world.agent.access(5, false, 0x8000, 0, READ);
    return world;
  }
  const left = (world: AtsWorld) => world.agent.entries.map((e) => `${e.pasid}:${e.lo.toString(16)}`).sort();

  test('of one page of a PASID drops that entry alone', () => {
    const world = filled();

    world.agent.invalidate(5, 0x4000, 0, 0, 0);

    expect(left(world)).not.toContain('5:4000');
    expect(left(world)).toHaveLength(9);
  });

  test('of a page inside a large entry drops the whole entry', () => {
    const world = filled();

    world.agent.invalidate(5, 0x234000, 0, 0, 0);

    expect(left(world)).not.toContain('5:200000');
    expect(left(world)).toHaveLength(9);
  });

  test('of a large range drops every entry in it', () => {
    const world = filled();

    world.agent.invalidate(6, 0, 0, 10, 0);

    expect(left(world).filter((e) => e.startsWith('6:'))).toEqual([]);
    expect(left(world)).toHaveLength(7);
  });

  test('without PASID keeps the entries of PASIDs', () => {
    const world = filled();

    world.agent.invalidate(NO_PASID, 0, 0, 52, 0);

    expect(left(world).filter((e) => e.startsWith('-1:'))).toEqual([]);
    expect(left(world)).toHaveLength(7);
  });

  test('of one PASID keeps global entries; of all PASIDs drops every overlap', () => {
    const world = filled();
    world.agent.invalidate(5, 0, 0, 52, 0);
    expect(left(world)).toContain('-2:8000');

    world.agent.invalidate(ALL_PASIDS, 0x8000, 0, 0, 0);
    expect(left(world)).toHaveLength(6);

    world.agent.invalidate(ALL_PASIDS, 0, 0, 52, 0);
    expect(left(world)).toEqual([]);
  });

  test('disabling ATS empties the cache, and a reset does', () => {
    const world = filled();
    world.disableAts();
    expect(left(world)).toEqual([]);

    world.enableAts();
    world.agent.access(5, false, 0x4000, 0, READ);
    world.agent.reset();
    expect(left(world)).toEqual([]);
  });

  test('is complete at once unless the device says otherwise; then once, by its tag', () => {
    let outcome = DEVICE_TLB_DONE;
    const world = new AtsWorld({ hooks: { onInvalidate: () => outcome } });
    expect(world.agent.invalidate(5, 0, 0, 0, 3)).toBe(DEVICE_TLB_DONE);
    outcome = DEVICE_TLB_PENDING;
    world.agent.invalidate(5, 0, 0, 0, 9);

    world.agent.completeInvalidation(3);
    world.agent.completeInvalidation(9);
    world.agent.completeInvalidation(9);

    expect(world.iommu.completed).toEqual([9]);
  });
});

describe('page requests', () => {
  function asking(options: { answers?: string[] } = {}): { world: AtsWorld; answers: string[] } {
    const answers = options.answers ?? [];
    const world = new AtsWorld({
      hooks: {
        onPageResponse: (pasid, group, code, owner) => answers.push(`${pasid}/${group}/${code}/${owner}`),
      },
    });
    world.enableAll();
    return { world, answers };
  }

  test('a group is closed by its last request and answered once', () => {
    const { world, answers } = asking();
    const first = world.agent.requestPage(5, false, 0x4567, 0, WRITE, false, 42);
    const second = world.agent.requestPage(5, false, 0x5000, 0, READ, true, 42);
    const other = world.agent.requestPage(5, false, 0x6000, 0, READ, true, 43);

    world.agent.pageResponse(5, first, 0);

    expect([first, second, other]).toEqual([0, 0, 1]);
    expect(answers).toEqual(['5/0/0/42']);
    expect(world.agent.outstanding).toBe(1);
    expect(world.iommu.seen.slice(0, 2)).toEqual([
      'page request 4000 2 group 0 pasid 5',
      'page request 5000 1 group 0 last pasid 5',
    ]);
  });

  test('no request goes out before PRI is enabled, or beyond the allocation', () => {
    const { world } = asking();
    world.fn.configWrite(world.fn.w.layout.pri + 4, 2, 0);
    expect(world.agent.requestPage(5, false, 0, 0, READ, true)).toBe(PRG_NONE);
    world.enablePri(2);

    const groups = [1, 2, 3].map(() => world.agent.requestPage(5, false, 0, 0, READ, true));

    expect(groups).toEqual([0, 1, PRG_NO_CREDIT]);
    world.agent.pageResponse(5, 0, 0);
    expect(world.agent.requestPage(5, false, 0, 0, READ, true)).toBe(2);
  });

  test('an answer may come while the request is being sent', () => {
    const { world, answers } = asking();
    world.iommu.onPageRequest = (group) => world.agent.pageResponse(5, group, 0);

    const group = world.agent.requestPage(5, false, 0x4000, 0, READ, true, 7);

    expect(group).toBe(0);
    expect(answers).toEqual(['5/0/0/7']);
    expect(world.agent.outstanding).toBe(0);
  });

  test('a request that nobody takes is not outstanding', () => {
    const { world } = asking();
    world.iommu.takes = DMA_UR;

    expect(world.agent.requestPage(5, false, 0x4000, 0, READ, true)).toBe(PRG_NONE);
    expect(world.agent.outstanding).toBe(0);
    expect(world.fn.s.pageRequests).toBe(0);
  });

  test('a response for nothing, or with another PASID, sets UPRGI', () => {
    const { world, answers } = asking();
    const group = world.agent.requestPage(5, false, 0x4000, 0, READ, true);

    world.agent.pageResponse(6, group, 0);

    expect(world.priStatus).toBe(PASID_REQUIRED | UPRGI);
    expect(answers).toEqual([]);
    world.fn.configWrite(world.fn.w.layout.pri + 6, 2, UPRGI);
    expect(world.priStatus).toBe(PASID_REQUIRED);
    world.agent.pageResponse(NO_PASID, 500, 0);
    expect(world.priStatus).toBe(PASID_REQUIRED | UPRGI);
  });

  test('a failure response disables the interface, and every group ends in failure', () => {
    const { world, answers } = asking();
    world.agent.requestPage(5, false, 0x4000, 0, READ, true, 1);
    world.agent.requestPage(5, false, 0x5000, 0, READ, true, 2);

    world.agent.pageResponse(5, 0, 15);

    expect(answers).toEqual(['5/0/15/1', '5/1/15/2']);
    expect(world.priControl).toBe(0);
    expect(world.priStatus).toBe(PASID_REQUIRED | STOPPED | RF);
  });

  test('an invalid-request response ends the group and leaves the interface on', () => {
    const { world, answers } = asking();
    world.agent.requestPage(5, false, 0x4000, 0, READ, true, 1);

    world.agent.pageResponse(5, 0, 1);

    expect(answers).toEqual(['5/0/1/1']);
    expect(world.priControl).toBe(1);
  });

  test('disabled, the interface is stopped once the last answer came, and only then enabled again', () => {
    const { world } = asking();
    const { pri } = world.fn.w.layout;
    world.agent.requestPage(5, false, 0x4000, 0, READ, true);
    world.fn.configWrite(pri + 4, 2, 0);
    expect(world.priStatus).toBe(PASID_REQUIRED);
    world.fn.configWrite(pri + 4, 2, 1);
    expect(world.priControl).toBe(0);

    world.agent.pageResponse(5, 0, 0);

    expect(world.priStatus).toBe(PASID_REQUIRED | STOPPED);
    world.fn.configWrite(pri + 4, 2, 1);
    expect(world.priControl).toBe(1);
  });

  test('a reset of the disabled interface gives up what is outstanding', () => {
    const { world, answers } = asking();
    const { pri } = world.fn.w.layout;
    world.agent.requestPage(5, false, 0x4000, 0, READ, true, 3);
    world.fn.configWrite(pri + 4, 2, 3);
    expect(answers).toEqual([]);

    world.fn.configWrite(pri + 4, 2, 0);
    world.fn.configWrite(pri + 4, 2, 2);

    expect(answers).toEqual(['5/0/15/3']);
    expect(world.priStatus).toBe(PASID_REQUIRED | STOPPED);
  });

  test('a stop marker takes no credit', () => {
    const { world } = asking();

    expect(world.agent.stopMarker(5)).toBe(0);
    expect(world.iommu.seen).toEqual(['page request 0 0 group 0 last pasid 5']);
    expect(world.agent.outstanding).toBe(0);
  });
});

describe('control registers', () => {
  test('PASID control and STU keep their values while ATS is enabled', () => {
    const world = new AtsWorld();
    const { pasid, ats } = world.fn.w.layout;
    world.enablePasid();
    world.enableAts(0);

    world.fn.configWrite(pasid + 6, 2, 0);
    world.fn.configWrite(ats + 6, 2, 0x8003);

    expect(world.fn.configRead(pasid + 6, 2)).toBe(1);
    expect(world.fn.configRead(ats + 6, 2)).toBe(0x8000);
  });

  test('the page request allocation keeps its value while PRI is enabled', () => {
    const world = new AtsWorld();
    world.enableAll();
    const { pri } = world.fn.w.layout;

    world.fn.configWrite(pri + 12, 4, 99);

    expect(world.fn.configRead(pri + 12, 4)).toBe(8);
  });

  test('FLR clears PASID, ATS and PRI', () => {
    const world = new AtsWorld();
    world.enableAll();
    const { pasid, ats, pri, pcie } = world.fn.w.layout;

    world.fn.configWrite(pcie + 8, 2, 0x8000);

    const controls = [pasid + 6, ats + 6, pri + 4].map((at) => world.fn.configRead(at, 2));
    expect(controls).toEqual([0, 0, 0]);
    expect(world.priStatus).toBe(PASID_REQUIRED | STOPPED);
  });
});
