import { describe, expect, test } from 'vitest';
import type { Host } from '../../../vmm/host/model/create.ts';
import type { Machine } from '../../../vmm/machine/machine.ts';
import type { PathMode } from '../../../vmm/passthru/guest-device.ts';
import type { Passthrough } from '../../../vmm/passthru/passthrough.ts';
import { NestedVtd } from '../../kit/nested.ts';
import { NestedDsa } from '../../kit/nested-dsa.ts';
import { NestedSmmu } from '../../kit/nested-smmu.ts';
import { DATA } from '../../kit/smmu-machine.ts';

const AT = 0x8000_0000;
const PAGES = 0x40_0000;
/** PASID-based IOTLB of PASID 5 in domain 5: everything. */
const FLUSH = [0x5_0005_0026n, 0n] as const;

interface World {
  readonly machine: Machine;
  readonly passthrough: Passthrough;
}

/** What there is on the host. */
function left({ machine }: World): Record<string, number> {
  const { kernel } = machine.host!.running as Host;
  return { ...kernel.allocations.census(), pinned: kernel.memory.pinned };
}

/** Device-TLB of a PASID: everything. */
function flushDevice({ vtd, requester }: NestedVtd, pasid: bigint): void {
  const sid = BigInt(requester);
  const owner = ((sid & 15n) << 12n) | ((sid >> 4n) << 52n);
  vtd.submit(8n | (sid << 16n) | owner | (pasid << 32n), 0x7fff_ffff_ffff_f800n);
}

const attached = ({ passthrough }: World) =>
  passthrough.attachments(passthrough.assignments[0]!.device).map(([pasid, { kind }]) => [pasid, kind]);

describe.each(['nested', 'shadow', 'software'] as PathMode[])('a VT-d guest, %s, after a rebuild', (mode) => {
  function world() {
    const w = new NestedVtd({}, { mode });
    const { u32 } = w.machine.ram;
    for (let i = 0; i < 8; i++) u32[(PAGES + i * 4096) / 4] = i + 1;
    const read = (at: number, pasid = 5) => {
      const outcome = w.frames.run(0, { op: 'sum', src: at, size: 8, pasid });
      return outcome === 'done' ? w.frames.result(0) : outcome;
    };
    return { w, read };
  }

  test('reads what its tables map, under the same PASIDs, and nothing else', () => {
    const { w, read } = world();
    const top = w.vtd.page();
    w.vtd.mapFirst(top, 4, AT, (PAGES + 0x3000) | 7);
    w.vtd.pasid(9, { PGTT: 1, DID: 9, FSPTPTR: top });
    w.map(AT, PAGES);
    const all = () => [read(AT), read(AT, 9), read(AT + 0x1000), read(AT, 6)];
    const before = all();
    const bound = attached(w);

    w.passthrough.rebuild();

    expect(attached(w)).toEqual(bound);
    expect(before).toEqual([1n, 4n, 'fault', 'unsupportedRequest']);
    expect(all()).toEqual(before);
    expect(
      w.passthrough.log.lines.filter((line) => line.includes('IOMMU_') || line.includes('VFIO')),
    ).toEqual([]);
  });

  test('leaves no more on the host than there was, as often as it is done', () => {
    const { w, read } = world();
    w.map(AT, PAGES);
    read(AT);
    const before = left(w);

    for (let i = 0; i < 3; i++) w.passthrough.rebuild();

    expect(left(w)).toEqual(before);
    expect(read(AT)).toBe(1n);
  });

  test('is stale from then on as before, until it announces what it has changed', () => {
    const { w, read } = world();
    w.map(AT, PAGES);
    read(AT);
    w.passthrough.rebuild();
    const first = read(AT);
    w.map(AT, PAGES + 0x1000);
    const stale = read(AT);
    w.vtd.submit(...FLUSH);
    flushDevice(w, 5n);

    expect([first, stale, read(AT)]).toEqual([1n, 1n, 2n]);
  });

  test('has bindings that came and went without a rebuild, and its table entries count without a word', () => {
    const { w, read } = world();
    w.passthrough.rebuild();
    const top = w.vtd.page();
    w.vtd.mapFirst(top, 4, AT, (PAGES + 0x3000) | 7);
    w.vtd.pasid(9, { PGTT: 1, DID: 9, FSPTPTR: top });
    w.map(AT, PAGES);
    const present = [read(AT), read(AT, 9)];
    w.vtd.storeWords(0x38000 + 9 * 64, new Array(16).fill(0));
    w.vtd.submit(0x9_0009_0017n, 0n);
    w.vtd.submit(0x9_0009_0026n, 0n);
    flushDevice(w, 9n);

    expect(present).toEqual([1n, 4n]);
    expect(read(AT, 9)).not.toBe(4n);
  });

  test('keeps the requester id of a bus that was numbered anew', () => {
    const { w, read } = world();
    w.map(AT, PAGES);
    w.renumber(3);
    w.vtd.scalableContext(w.requester, { PDTS: 0 });
    w.passthrough.rebuild();

    expect(read(AT)).toBe(1n);
  });

  test('is unplugged and leaves nothing of its bindings', () => {
    const { w, read } = world();
    w.map(AT, PAGES);
    read(AT);
    w.passthrough.rebuild();
    w.machine.unplug('svm');
    const gone = left(w);
    w.passthrough.rebuild();

    expect(left(w)['object'] ?? 0).toBeLessThanOrEqual(gone['object'] ?? 0);
    expect(w.passthrough.log.lines.filter((line) => line.includes('IOMMU_'))).toEqual([]);
  });
});

test('what a nested guest has changed without a word counts after a rebuild: nothing is cached then', () => {
  const w = new NestedVtd();
  w.machine.ram.u32[PAGES / 4] = 1;
  w.machine.ram.u32[PAGES / 4 + 1024] = 2;
  const read = () => {
    w.frames.run(0, { op: 'sum', src: AT, size: 8, pasid: 5 });
    return w.frames.result(0);
  };
  w.map(AT, PAGES);
  read();
  w.map(AT, PAGES + 0x1000);
  const stale = read();

  w.passthrough.rebuild();

  expect([stale, read()]).toEqual([1n, 2n]);
});

describe('page requests that wait for their answer', () => {
  /** The engine asks for a page, and waits. */
  function asking(mode: PathMode) {
    const n = new NestedVtd({}, { mode });
    n.frames.start(0, { op: 'fill', pasid: 5, dst: AT, size: 8, operand: 7n, control: { PRI: 1 } });
    n.machine.clock.advanceTo(n.machine.clock.now);
    const [request] = n.pageRequests();
    const answer = () => {
      n.map(AT, PAGES);
      n.vtd.submit(
        0x9n | (1n << 4n) | (BigInt(n.requester) << 16n) | (5n << 32n),
        (1n << 2n) | (BigInt(request!['PRGI']!) << 3n),
      );
      n.machine.clock.advanceTo(n.machine.clock.now);
      return n.frames.outcome(0);
    };
    return { n, answer };
  }

  test('have a rebuild refused, and are answered as ever; then it is done', () => {
    const { n, answer } = asking('nested');
    const before = left(n);

    expect(() => n.passthrough.rebuild()).toThrow('wait for an answer of the guest');
    expect(left(n)).toEqual(before);
    expect(answer()).toBe('done');
    n.passthrough.rebuild();
    expect(attached(n)).toEqual([
      [-1, 'blocked'],
      [5, 'nested'],
    ]);
  });

  test('of a device on the software path stay with its own unit', () => {
    const { n, answer } = asking('software');

    n.passthrough.rebuild();

    expect(answer()).toBe('done');
  });
});

test('page requests come after a rebuild as before it', () => {
  const n = new NestedVtd();
  const ask = (frame: number, at: number) => {
    n.frames.start(frame, { op: 'fill', pasid: 5, dst: at, size: 8, operand: 7n, control: { PRI: 1 } });
    n.machine.clock.advanceTo(n.machine.clock.now);
    return n.pageRequests().map(({ RID, PASID }) => [RID, PASID]);
  };
  n.passthrough.rebuild();

  expect(ask(0, AT)).toEqual([[0x100, 5]]);
});

test('commands (ENQCMD) on their way have the PASID of the host that they were given', () => {
  const n = new NestedDsa({ hostPasids: 8 });
  n.bind(300, PAGES);
  n.vtd.submit(0x17n | (300n << 32n) | (300n << 16n));
  const command = { op: 4, pasid: 300, dst: 0x2000_0000, size: 8 };
  const before = n.enqueue(command);
  const census = left(n);

  n.passthrough.rebuild();
  n.run();

  expect([before, left(n), n.enqueue(command)]).toEqual([0, census, 0]);
});

describe.each(['nested', 'shadow', 'software'] as PathMode[])(
  'an SMMUv3 guest, %s, after a rebuild',
  (mode) => {
    const store = (page: number) => ({ op: 'fill', dst: page * 4096 + 8, size: 8, operand: 5n }) as const;
    const world = () => {
      const n = new NestedSmmu({ stall: 'terminate' }, { mode });
      n.smmu.stage1(n.requester, {});
      n.smmu.submit(3n | (BigInt(n.requester) << 32n), 1);
      n.smmu.submit(5n | (BigInt(n.requester) << 32n), 1);
      return n;
    };

    test('moves data by its tables, and is stale until it announces what it has changed', () => {
      const n = world();
      n.map(1, DATA);
      const first = n.frames.run(0, store(1));
      n.passthrough.rebuild();
      const second = n.frames.run(0, store(1));
      n.smmu.store(DATA + 8, 0n);
      n.map(1, DATA + 0x1000);
      n.frames.run(0, store(1));
      const stale = [n.smmu.load(DATA + 8), n.smmu.load(DATA + 0x1008)];
      // CMD_TLBI_NH_ALL, CMD_SYNC.
      n.smmu.submit(0x10n);
      n.smmu.submit(0x46n);
      n.frames.run(0, store(1));

      expect([first, second, stale]).toEqual(['done', 'done', [5n, 0n]]);
      expect(n.smmu.load(DATA + 0x1008)).toBe(5n);
    });

    test('leaves no more on the host than there was, and the same attached', () => {
      const n = world();
      n.map(1, DATA);
      n.frames.run(0, store(1));
      const before = [left(n), attached(n)];

      for (let i = 0; i < 3; i++) n.passthrough.rebuild();

      expect([left(n), attached(n)]).toEqual(before);
      expect(
        n.passthrough.log.lines.filter((line) => line.includes('IOMMU_') || line.includes('VFIO')),
      ).toEqual([]);
    });

    test('has its faults under the StreamID that the guest knows', () => {
      const n = world();
      n.renumber(3);
      n.smmu.stage1(n.requester, {});
      n.smmu.submit(3n | (BigInt(n.requester) << 32n), 1);
      n.passthrough.rebuild();

      n.frames.start(0, store(7));
      n.settle();

      // Behind shadows the host uses the device's ATS: what gets no translation leaves no fault.
      expect(n.smmu.event(0)[0]).toBe(mode === 'shadow' ? 0n : 0x0000_0300_0000_0010n);
    });
  },
);

test('transactions that the host holds have a rebuild refused; ended, it is done, and the next one is held', () => {
  const n = new NestedSmmu();
  const start = (frame: number, page: number) => {
    n.frames.start(frame, { op: 'fill', dst: page * 4096 + 8, size: 8, operand: 5n, control: { STALL: 1 } });
    n.settle();
    return n.frames.outcome(frame);
  };
  start(0, 1);
  const before = left(n);

  expect(() => n.passthrough.rebuild()).toThrow('wait for an answer of the guest');
  expect(left(n)).toEqual(before);
  n.resume(0, false);
  n.settle();
  n.passthrough.rebuild();
  expect(start(1, 2)).toBe('stalled');
});

test('what the hardware translates after a rebuild is what the guest’s IOMMU model says', () => {
  const w = new NestedVtd({}, { verify: true });
  w.machine.ram.u32[PAGES / 4] = 1;
  w.machine.ram.u32[PAGES / 4 + 1024] = 2;
  const read = () => {
    w.frames.run(0, { op: 'sum', src: AT, size: 8, pasid: 5 });
    return w.frames.result(0);
  };
  w.map(AT, PAGES);
  const first = read();
  w.map(AT, PAGES + 0x1000);
  w.passthrough.rebuild();
  const second = read();
  const { checked } = w.passthrough.verification!;
  w.vtd.submit(...FLUSH);

  expect([first, second, read()]).toEqual([1n, 2n, 2n]);
  expect(w.passthrough.verification!.checked).toBeGreaterThan(checked);
});

/** Makes the n-th allocation of a rebuild fail; false: it has fewer. */
function rebuildFailing({ machine, passthrough }: World, nth: number): boolean {
  const { allocations } = (machine.host!.running as Host).kernel;
  allocations.failNth(nth);
  passthrough.rebuild();
  return allocations.endFailing();
}

test('where the host refuses what it had before, the device goes on by what there is, and nothing stays behind', () => {
  const outcomes = new Set<string>();
  const objects = new Set<number>();
  for (let nth = 1, failed = true; failed && nth < 40; nth++) {
    const w = new NestedVtd();
    w.machine.ram.u32[PAGES / 4] = 1;
    w.map(AT, PAGES);
    w.frames.run(0, { op: 'sum', src: AT, size: 8, pasid: 5 });

    failed = rebuildFailing(w, nth);

    const [assignment] = w.passthrough.assignments;
    w.frames.run(0, { op: 'sum', src: AT, size: 8, pasid: 5 });
    outcomes.add(`${w.passthrough.pathOf(assignment!)} ${w.frames.result(0)}`);
    w.machine.unplug('svm');
    w.passthrough.rebuild();
    objects.add(left(w)['object'] ?? 0);
  }

  expect([...outcomes].sort()).toEqual(['nested 1', 'software 1']);
  // The two IOASes.
  expect([...objects]).toEqual([2]);
});

test('the same of an SMMUv3', () => {
  const outcomes = new Set<string>();
  const objects = new Set<number>();
  for (let nth = 1, failed = true; failed && nth < 40; nth++) {
    const n = new NestedSmmu({ stall: 'terminate' });
    n.smmu.stage1(n.requester, {});
    n.smmu.submit(3n | (BigInt(n.requester) << 32n), 1);
    n.map(1, DATA);

    failed = rebuildFailing(n, nth);

    const outcome = n.frames.run(0, { op: 'fill', dst: 4096 + 8, size: 8, operand: 5n });
    outcomes.add(`${n.passthrough.pathOf(n.passthrough.assignments[0]!)} ${outcome}`);
    n.machine.unplug('svm');
    n.passthrough.rebuild();
    objects.add(left(n)['object'] ?? 0);
  }

  expect([...outcomes].sort()).toEqual(['nested done', 'shadow done', 'software done']);
  expect([...objects]).toEqual([2]);
});
