import { describe, expect, test } from 'vitest';
import { BLOCK, CR, DRAIN, DsaRig, MEMMOVE, NOOP, WITH_RECORD } from '../../kit/dsa-rig.ts';

describe('a page that is not there', () => {
  function withHole(blockOnFault: boolean) {
    const rig = new DsaRig();
    for (const page of [0x1000, 0x2000, 0x4000, 0x8000]) rig.map(page);
    rig.start({ blockOnFault });
    return rig;
  }
  const MOVE = { op: MEMMOVE, src: 0x1f00, dst: 0x4e00, size: 0x400 };

  test('without Block On Fault ends the descriptor with what was done and the address', () => {
    const rig = withHole(true);

    rig.submit(MOVE);

    // 83h: of a write.
    expect([rig.record(), rig.pageRequests]).toEqual([
      { status: 0x83, result: 0, bytes: 0x200, fault: 0x5000, specific: 0 },
      [],
    ]);
  });

  test('with the flag, but not for the queue, does the same', () => {
    const rig = withHole(false);

    rig.submit({ ...MOVE, flags: BLOCK });

    expect([rig.record().status, rig.pageRequests]).toEqual([0x83, []]);
  });

  test('with Block On Fault is requested, and the descriptor goes on when it is there', () => {
    const rig = withHole(true);
    rig.fill(0x2000, [7]);

    rig.submit({ ...MOVE, flags: BLOCK });
    expect([rig.record().status, rig.pageRequests]).toEqual([
      0,
      ['page request 5000 2 group 0 last pasid 5'],
    ]);
    rig.map(0x5000);
    rig.respond(0);

    expect([rig.record(), rig.bytes(0x4f00, 1)]).toEqual([
      { status: 1, result: 0, bytes: 0x400, fault: 0, specific: 0 },
      [7],
    ]);
  });

  test('that stays away is asked for again', () => {
    const rig = withHole(true);
    rig.submit({ ...MOVE, flags: BLOCK });

    rig.respond(0);

    expect([rig.record().status, rig.pageRequests.length]).toEqual([0, 2]);
  });

  test.each([
    [1, 'invalid'],
    [15, 'failure'],
  ])('answered with %i (%s) ends with status 4 and the address', (code) => {
    const rig = withHole(true);
    rig.submit({ ...MOVE, flags: BLOCK });

    rig.respond(0, code);

    expect(rig.record()).toMatchObject({ status: 0x84, bytes: 0x200, fault: 0x5000 });
  });

  test('answered within the request goes on', () => {
    const rig = withHole(true);
    rig.iommu.onPageRequest = (group) => {
      rig.map(0x5000);
      rig.respond(group);
    };

    rig.submit({ ...MOVE, flags: BLOCK });
    rig.settle();

    expect(rig.record().status).toBe(1);
  });

  test('that is answered for and never comes is asked for once a microsecond, not without end', () => {
    const rig = withHole(true);
    rig.iommu.onPageRequest = (group) => rig.dsa.agent.pageResponse(5, group, 0);

    rig.submit({ ...MOVE, flags: BLOCK });
    for (let i = 0; i < 9; i++) rig.settle();

    expect([rig.pageRequests.length, rig.record().status]).toEqual([10, 0]);
  });

  test('under the completion record is asked for, and the record comes when it is there', () => {
    const rig = withHole(true);

    rig.submit({ op: NOOP, flags: WITH_RECORD, cr: 0x9000 });
    expect(rig.read(0xc0) & 0xff00).toBe(0x1a00);
    rig.write(0xc0, 3);
    rig.submit({ ...MOVE, size: 4, flags: BLOCK, cr: 0x9000 });
    expect(rig.pageRequests).toEqual(['page request 9000 2 group 0 last pasid 5']);
    rig.map(0x9000);
    rig.respond(0);

    expect(rig.record(0x9000).status).toBe(1);
  });

  test('refused by the IOMMU for good is a translation error', () => {
    const rig = withHole(true);
    rig.iommu.next = 1;

    rig.submit(MOVE);

    expect(rig.record()).toMatchObject({ status: 0x22, fault: 0x1f00 });
  });

  test('blocks one engine; the other three go on, and a drain waits for it', () => {
    const rig = withHole(true);
    rig.submit({ ...MOVE, flags: BLOCK });

    rig.submit({ op: DRAIN, cr: CR + 0x40 });
    rig.submit({ op: NOOP, cr: CR + 0x80 });
    expect([rig.record(CR + 0x40).status, rig.record(CR + 0x80).status]).toEqual([0, 1]);
    rig.map(0x5000);
    rig.respond(0);

    expect([rig.record().status, rig.record(CR + 0x40).status]).toEqual([1, 1]);
  });

  test('lets Disable WQ wait, and Abort WQ end it without a record', () => {
    const rig = withHole(true);
    rig.submit({ ...MOVE, flags: BLOCK });

    expect([rig.command(7, 1), rig.read(0x418) >>> 30]).toEqual([0x80000000, 2]);
    rig.map(0x5000);
    rig.respond(0);
    expect([rig.read(0xa8), rig.read(0x418) >>> 30, rig.record().status]).toEqual([0, 0, 1]);
  });

  test('aborted with its queue leaves no record', () => {
    const rig = withHole(true);
    rig.submit({ ...MOVE, flags: BLOCK });

    expect(rig.command(9, 1)).toBe(0);
    rig.map(0x5000);
    rig.respond(0);

    expect(rig.record().status).toBe(0);
  });

  test('of an aborted descriptor: its answer means nothing to the one that the engine does next', () => {
    const rig = withHole(true);
    rig.submit({ ...MOVE, flags: BLOCK });
    rig.command(9, 1);
    rig.submit({ ...MOVE, flags: BLOCK });

    rig.respond(0, 1);
    expect([rig.record().status, rig.pageRequests.length]).toEqual([0, 2]);
    rig.map(0x5000);
    rig.respond(1);

    expect(rig.record()).toMatchObject({ status: 1, bytes: 0x400 });
  });

  test('on every engine: descriptors of another queue go on when those are aborted', () => {
    const rig = new DsaRig();
    for (const page of [0x1000, 0x2000, 0x4000, 0x8000]) rig.map(page);
    rig.start({ blockOnFault: true }, {});
    for (let i = 0; i < 4; i++) rig.submit({ ...MOVE, flags: BLOCK });
    rig.submit({ op: NOOP, cr: CR + 0x40 }, 1);
    expect(rig.record(CR + 0x40).status).toBe(0);

    rig.command(9, 1);

    expect(rig.record(CR + 0x40).status).toBe(1);
  });

  test('survives a snapshot: the engine goes on in the loaded device', () => {
    const rig = withHole(true);
    rig.submit({ ...MOVE, flags: BLOCK });
    const def = rig.dsa.stateDef();
    const saved = JSON.parse(JSON.stringify(def.save(rig.dsa.s)));
    rig.command(4);

    def.load(rig.dsa.s, saved, 'dsa');
    rig.dsa.dropCache();
    rig.map(0x5000);
    rig.respond(0);

    expect(rig.record()).toMatchObject({ status: 1, bytes: 0x400 });
  });
});
