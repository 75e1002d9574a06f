import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chromeTrace } from '../../../vmm/trace/chrome.ts';
import { events } from '../../../vmm/trace/event.ts';
import { TimelineCollector } from '../../../vmm/trace/timeline.ts';
import { Tracer } from '../../../vmm/trace/tracer.ts';
import { type TraceFile, traceFormatProblems } from '../../kit/trace-event-format.ts';

const TABLE = events({
  dma_start: { doc: '.', args: { bdf: 'bdf', pasid: 'pasid', address: 'u64' }, role: 'dma-begin' },
  dma_done: { doc: '.', args: { bdf: 'bdf', pasid: 'pasid', address: 'u64', status: 'u8' }, role: 'dma-end' },
  bind: { doc: '.', args: { sid: 'bdf', pasid: 'pasid', did: 'u16' }, role: 'bind', iommu: true },
  unbind: { doc: '.', args: { by: 'text', sid: 'bdf', did: 'u16' }, role: 'unbind', iommu: true },
  store: { doc: '.', args: { structure: 'text', address: 'u32' }, role: 'store', iommu: true },
  command: { doc: '.', args: { kind: 'text' }, role: 'invalidation', iommu: true },
  announced: { doc: '.', args: { invalidation: 'text' }, role: 'announcement', iommu: true },
  fault: {
    doc: '.',
    args: { sid: 'bdf', pasid: 'pasid', reason: 'u8', entries: 'text' },
    role: 'fault',
    iommu: true,
  },
  entry: {
    doc: '.',
    args: { structure: 'text', address: 'u32' },
    role: 'store',
    announcedBy: 'entries',
    iommu: true,
  },
  entries: { doc: '.', args: { addresses: 'text' }, role: 'announcement', iommu: true },
  submit: { doc: '.', args: { bdf: 'bdf', opcode: 'u8', result: 'u8' }, role: 'dma-begin' },
  page_request: {
    doc: '.',
    args: { sid: 'bdf', pasid: 'pasid', address: 'u64', group: 'count' },
    role: 'page-request',
    iommu: true,
  },
  page_response: {
    doc: '.',
    args: { sid: 'bdf', pasid: 'pasid', group: 'count', code: 'count' },
    role: 'page-response',
    iommu: true,
  },
  torn: { doc: '.', args: { address: 'u32' }, role: 'mistake', iommu: true },
  register: { doc: '.', args: { offset: 'u16' }, iommu: true },
  interrupt: { doc: '.', args: { vector: 'u8' } },
});
const EDU = 0x10;
const NET = 0x18;

function setup(most = 1000) {
  const clock = { now: 0 };
  const tracer = new Tracer(() => clock.now);
  const collector = new TimelineCollector(most);
  const t = tracer.bind(TABLE);
  tracer.watch(() => true, collector.sink);
  const at = (time: number) => {
    clock.now = time;
    return t;
  };
  const timeline = (end = 1000) => collector.timeline(end, new Map([['00:02.0', 'edu0']]));
  const chrome = (end?: number) => JSON.parse(chromeTrace(timeline(end))) as TraceFile;
  return { at, timeline, chrome };
}

describe('lanes', () => {
  test('each requester and each of its PASIDs has one, faults included; stores are the guest, commands the IOMMU', () => {
    const { at, timeline } = setup();
    at(1).dma_start.emit(EDU, -1, 0, 0);
    at(2).fault.emit(EDU, 5, 1, '');
    at(3).store.emit('PTE', 0x1000);
    at(4).command.emit('iotlb');
    at(5).register.emit(8);
    at(6).interrupt.emit(0x30);

    const { lanes, items } = timeline();

    expect(lanes).toEqual([
      { group: 'requester', name: '00:02.0 edu0', requester: '00:02.0' },
      { group: 'requester', name: '00:02.0 PASID 5 edu0', requester: '00:02.0', pasid: 5 },
      { group: 'guest', name: 'table stores' },
      { group: 'iommu', name: 'invalidations' },
      { group: 'iommu', name: 'events' },
      { group: 'machine', name: 'events' },
    ]);
    expect(items.map((item) => item.lane)).toEqual([0, 1, 2, 3, 4, 5]);
  });
});

describe('DMAs', () => {
  test('last from their start to their end, and have the arguments of both', () => {
    const { at, timeline } = setup();
    at(100).dma_start.emit(EDU, -1, 0x1000, 0);
    at(250).dma_done.emit(EDU, -1, 0x1000, 0, 1);

    expect(timeline().items).toEqual([
      {
        lane: 0,
        kind: 'dma',
        name: 'DMA 0x1000',
        at: 100,
        end: 250,
        args: { bdf: '00:02.0', pasid: 'none', address: '0x1000', status: '0x1' },
      },
    ]);
  });

  test('of one requester that overlap end by their arguments', () => {
    const { at, timeline } = setup();
    at(1).dma_start.emit(NET, 1, 0x1000, 0);
    at(2).dma_start.emit(NET, 2, 0x1000, 0);
    at(3).dma_done.emit(NET, 2, 0x1000, 0, 0);
    at(9).dma_done.emit(NET, 1, 0x1000, 0, 0);

    expect(timeline().items.map(({ at: start, end }) => [start, end])).toEqual([
      [1, 9],
      [2, 3],
    ]);
  });

  test('whose end is told before their start, at the same time, are one', () => {
    const { at, timeline } = setup();
    at(5).dma_done.emit(EDU, 1, 0x1000, 0, 0);
    at(5).dma_start.emit(EDU, 1, 0x1000, 0);
    at(6).dma_start.emit(EDU, 1, 0x1000, 0);

    expect(timeline(50).items.map(({ at: start, end, open }) => [start, end, open])).toEqual([
      [5, 5, undefined],
      [6, 50, true],
    ]);
  });

  test('without a start have no length, without an end last until the trace ends', () => {
    const { at, timeline } = setup();
    at(5).dma_done.emit(EDU, -1, 0, 0, 0);
    at(6).dma_start.emit(NET, -1, 0, 0);

    expect(timeline(50).items.map(({ at: start, end, open }) => [start, end, open])).toEqual([
      [5, 5, undefined],
      [6, 50, true],
    ]);
  });
});

describe('refused DMAs', () => {
  const refused = (s: ReturnType<typeof setup>) =>
    s
      .timeline()
      .items.filter(({ kind }) => kind === 'dma')
      .map((item) => item.refused ?? false);

  test('are those that a fault of their requester and PASID fell into', () => {
    const s = setup();
    s.at(1).dma_start.emit(EDU, 5, 0x1000, 0);
    s.at(2).dma_start.emit(EDU, 6, 0x1000, 0);
    s.at(3).dma_start.emit(NET, 5, 0x1000, 0);
    s.at(4).fault.emit(EDU, 5, 1, '');

    expect(refused(s)).toEqual([true, false, false]);
  });

  test('without length are those with a fault at the same time', () => {
    const s = setup();
    s.at(1).fault.emit(EDU, -1, 1, '');
    s.at(1).dma_done.emit(EDU, -1, 0, 0, 1);
    s.at(2).dma_done.emit(EDU, -1, 0, 0, 0);

    expect(refused(s)).toEqual([true, false]);
  });

  test('are not guessed where a fault can belong to several', () => {
    const s = setup();
    s.at(1).dma_start.emit(EDU, -1, 0x1000, 0);
    s.at(1).dma_start.emit(EDU, -1, 0x2000, 0);
    s.at(2).fault.emit(EDU, -1, 1, '');

    expect(refused(s)).toEqual([false, false]);
  });

  test('have not begun when the device did not take them', () => {
    const s = setup();
    s.at(1).submit.emit(EDU, 3, 1);
    s.at(2).submit.emit(EDU, 3, 0);

    expect(s.timeline().items.map(({ kind, name }) => [kind, name])).toEqual([
      ['event', 'submit'],
      ['dma', 'submit 0x3'],
    ]);
  });
});

describe('page requests', () => {
  test('last until the response to their group, on the lane of their PASID', () => {
    const { at, timeline } = setup();
    at(1).page_request.emit(EDU, 5, 0x1000, 0, 7);
    at(2).page_request.emit(EDU, 5, 0x2000, 0, 7);
    at(3).page_request.emit(EDU, 5, 0x3000, 0, 8);
    at(9).page_response.emit(EDU, 5, 7, 0);

    const { items, lanes } = timeline();

    expect(items.map(({ name, at: from, end, open }) => [name, from, end, open ?? false])).toEqual([
      ['page request 0x1000', 1, 9, false],
      ['page request 0x2000', 2, 9, false],
      ['page request 0x3000', 3, 1000, true],
    ]);
    expect(lanes).toEqual([
      { group: 'requester', name: '00:02.0 PASID 5 edu0', requester: '00:02.0', pasid: 5 },
    ]);
  });
});

describe('bindings', () => {
  const bindings = (s: ReturnType<typeof setup>) =>
    s.timeline().items.map(({ name, at, end, open }) => [name, at, end, open ?? false]);

  test('last until what they depend on is dropped: of the requester, of the domain, or all', () => {
    const s = setup();
    s.at(1).bind.emit(EDU, -1, 1);
    s.at(2).bind.emit(NET, -1, 2);
    s.at(3).unbind.emit('sid', EDU, 0);
    s.at(4).bind.emit(EDU, -1, 2);
    s.at(5).unbind.emit('did', 0, 2);
    s.at(6).bind.emit(EDU, -1, 3);
    s.at(7).unbind.emit('', 0, 0);
    s.at(8).bind.emit(NET, -1, 4);

    expect(bindings(s)).toEqual([
      ['domain 1', 1, 3, false],
      ['domain 2', 2, 5, false],
      ['domain 2', 4, 5, false],
      ['domain 3', 6, 7, false],
      ['domain 4', 8, 1000, true],
    ]);
  });

  test('told again go on; another domain ends the one before', () => {
    const s = setup();
    s.at(1).bind.emit(EDU, -1, 1);
    s.at(2).bind.emit(EDU, -1, 1);
    s.at(3).bind.emit(EDU, -1, 2);

    expect(bindings(s)).toEqual([
      ['domain 1', 1, 3, false],
      ['domain 2', 3, 1000, true],
    ]);
  });

  test('of PASIDs of one requester are apart', () => {
    const s = setup();
    s.at(1).bind.emit(EDU, 1, 1);
    s.at(2).bind.emit(EDU, 2, 2);

    expect(bindings(s)).toEqual([
      ['domain 1', 1, 1000, true],
      ['domain 2', 2, 1000, true],
    ]);
  });
});

describe('flows', () => {
  test('lead from a store to the invalidation that announced it and to each fault it caused', () => {
    const { at, timeline } = setup();
    at(1).store.emit('PTE', 0x8000);
    at(2).announced.emit('iotlb');
    at(3).fault.emit(EDU, -1, 5, '0x1000 0x8000');
    at(4).fault.emit(EDU, -1, 5, '0x1000 0x8000');

    expect(timeline().flows).toEqual([[0, 1, 2, 3]]);
  });

  test('of a fault begin at the last entry read that was changed', () => {
    const { at, timeline } = setup();
    at(1).store.emit('root entry', 0x1000);
    at(2).store.emit('PDE', 0x7000);
    at(3).fault.emit(EDU, -1, 5, '0x1000 0x7000 0x8000');

    expect(timeline().flows).toEqual([[1, 2]]);
  });

  test('begin at the last store to an entry; one that was neither announced nor seen has none', () => {
    const { at, timeline } = setup();
    at(1).store.emit('PTE', 0x8000);
    at(2).announced.emit('iotlb');
    at(3).store.emit('PTE', 0x8000);
    at(4).fault.emit(EDU, -1, 5, '0x8000');
    at(5).store.emit('PTE', 0x9000);

    expect(timeline().flows).toEqual([
      [0, 1],
      [2, 3],
    ]);
  });
});

describe('announcements', () => {
  test('of one kind do not announce stores that another kind announces', () => {
    const { at, timeline } = setup();
    at(1).entry.emit('PASID entry', 0x4000);
    at(2).announced.emit('iotlb');
    at(3).entries.emit('0x4000');

    expect(timeline().flows).toEqual([[0, 2]]);
  });

  test('with addresses announce the stores to these only', () => {
    const { at, timeline } = setup();
    at(1).entry.emit('PASID entry', 0x4000);
    at(2).entry.emit('PASID entry', 0x5000);
    at(3).entries.emit('0x5000');
    at(4).entries.emit('0x3000 0x4000');

    expect(timeline().flows).toEqual([
      [0, 3],
      [1, 2],
    ]);
  });
});

describe('the Chrome trace', () => {
  test('has times in microseconds with a fraction, async DMAs, an instant for a fault and names of rows', () => {
    const { at, chrome } = setup();
    at(1500).dma_start.emit(EDU, 7, 0x1000, 0);
    at(2001).fault.emit(EDU, 7, 5, '');
    at(2001).dma_done.emit(EDU, 7, 0x1000, 0, 1);

    const { traceEvents, displayTimeUnit } = chrome();

    expect(displayTimeUnit).toBe('ns');
    expect(traceEvents.filter((e) => e.ph === 'M' && e.name !== 'process_sort_index')).toEqual([
      { ph: 'M', pid: 16, tid: 0, name: 'process_name', args: { name: '00:02.0 edu0' } },
      { ph: 'M', pid: 16, tid: 9, name: 'thread_name', args: { name: 'PASID 7' } },
    ]);
    expect(
      traceEvents
        .filter((e) => e.ph !== 'M')
        .map(({ ph, pid, tid, ts, name, id }) => [ph, pid, tid, ts, name, id]),
    ).toEqual([
      ['b', 16, 9, 1.5, 'DMA 0x1000', '0x1'],
      ['X', 16, 9, 2.001, 'fault 05h', undefined],
      ['i', 16, 9, 2.001, 'fault 05h', undefined],
      ['e', 16, 9, 2.001, 'DMA 0x1000', '0x1'],
    ]);
  });

  test('has a flow from the store over the announcement to the fault', () => {
    const { at, chrome } = setup();
    at(1).store.emit('PTE', 0x8000);
    at(2).announced.emit('iotlb');
    at(3).fault.emit(EDU, -1, 5, '0x8000');

    const { traceEvents } = chrome();

    expect(
      traceEvents
        .filter(({ ph }) => 'stf'.includes(ph))
        .map(({ ph, pid, ts, id, bp }) => [ph, pid, ts, id, bp]),
    ).toEqual([
      ['s', 1, 0.001, 1, undefined],
      ['t', 2, 0.002, 1, undefined],
      ['f', 16, 0.003, 1, 'e'],
    ]);
  });

  test('says how many events came when no more were kept', () => {
    const { at, chrome } = setup(2);
    for (let i = 0; i < 5; i++) at(i).register.emit(i);

    const { traceEvents, otherData } = chrome();

    expect(traceEvents.filter(({ ph }) => ph === 'i').length).toBe(2);
    expect(otherData).toEqual({ clock: 'virtual time', droppedEvents: 3 });
  });

  const step = fc.record({
    event: fc.constantFrom(...Object.keys(TABLE)),
    after: fc.integer({ min: 0, max: 3 }),
    bdf: fc.constantFrom(EDU, NET),
    pasid: fc.constantFrom(-1, 0, 1, 0xfffff),
    address: fc.constantFrom(0x1000, 0x2000),
    by: fc.constantFrom('', 'sid', 'did', 'sid,did'),
    text: fc.string(),
  });

  test('is valid whatever happened', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { at, chrome } = setup();
        let now = 0;
        for (const { event, after, bdf, pasid, address, by, text } of steps) {
          now += after;
          const t = at(now);
          const emit: Readonly<Record<string, () => void>> = {
            dma_start: () => t.dma_start.emit(bdf, pasid, address, 0),
            dma_done: () => t.dma_done.emit(bdf, pasid, address, 0, 0),
            bind: () => t.bind.emit(bdf, pasid, address),
            unbind: () => t.unbind.emit(by, bdf, address),
            store: () => t.store.emit(text, address),
            command: () => t.command.emit(text),
            announced: () => t.announced.emit(text),
            fault: () => t.fault.emit(bdf, pasid, 5, `0x1000 0x${address.toString(16)}`),
            entry: () => t.entry.emit(text, address),
            entries: () => t.entries.emit(`0x${address.toString(16)}`),
            submit: () => t.submit.emit(bdf, 1, pasid & 1),
            page_request: () => t.page_request.emit(bdf, pasid, address, 0, 1),
            page_response: () => t.page_response.emit(bdf, pasid, 1, 0),
            torn: () => t.torn.emit(address),
            register: () => t.register.emit(8),
            interrupt: () => t.interrupt.emit(8),
          };
          emit[event]!();
        }

        expect(traceFormatProblems(chrome(now))).toEqual([]);
      }),
    );
  });
});

test('the validator refuses what the format does not allow', () => {
  const base = { pid: 1, tid: 1, ts: 1, cat: 'x', name: 'n' };
  const name = [
    { ph: 'M', pid: 1, tid: 0, ts: 0, name: 'process_name', args: { name: 'p' } },
    { ph: 'M', pid: 1, tid: 1, ts: 0, name: 'thread_name', args: { name: 't' } },
  ];
  const problems = (...more: TraceFile['traceEvents']) =>
    traceFormatProblems({ traceEvents: [...name, ...more] });

  expect(problems({ ...base, ph: 'X', dur: 1 })).toEqual([]);
  expect(problems({ ...base, ph: 'b', id: 1 })[0]).toContain('never ends');
  expect(problems({ ...base, ph: 'e', id: 1 })[0]).toContain('has not begun');
  expect(problems({ ...base, ph: 's', id: 1 })[0]).toContain("is 's'");
  expect(problems({ ...base, ph: 'i' }, { ...base, ph: 'i', ts: 0 })[0]).toContain('time goes back');
  expect(problems({ ...base, ph: 'i', tid: 2 })[0]).toContain('nameless');
  expect(problems({ ...base, ph: 'Q' })[0]).toContain('ph');
});
