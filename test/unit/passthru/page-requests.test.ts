import { describe, expect, test } from 'vitest';
import { PAGE_RESPONSE_DESCRIPTOR } from '../../../viommu/spec/vtd/descriptors.ts';
import { NestedVtd } from '../../kit/nested.ts';

const AT = 0x8000_0000;
const DATA = 0x40_0000;

/** The engine asks for a page of PASID 5, and waits for it. */
function asking(n: NestedVtd, frame = 0): Record<string, number>[] {
  n.frames.start(frame, { op: 'fill', pasid: 5, dst: AT, size: 8, operand: 7n, control: { PRI: 1 } });
  n.machine.clock.advanceTo(n.machine.clock.now);
  return n.pageRequests();
}

function respond(n: NestedVtd, { RID, PASID, PRGI }: Record<string, number>): string {
  const words = { TYPE: 9, PP: 1, RC: 0, RID: RID!, PASID: PASID!, LPIG: 1, PRGI: PRGI! };
  n.vtd.describe(PAGE_RESPONSE_DESCRIPTOR, words);
  n.machine.clock.advanceTo(n.machine.clock.now);
  return n.frames.outcome(0);
}

const refusals = (n: NestedVtd) => n.passthrough.log.lines.filter((line) => line.includes('fault queue'));

describe('a page request of an assigned device', () => {
  test('has the requester id that the guest knows, and its answer lets the device go on', () => {
    const n = new NestedVtd();
    const [request] = asking(n);
    n.map(AT, DATA);

    expect([request!['RID'], request!['PASID'], respond(n, request!)]).toEqual([0x100, 5, 'done']);
    expect(n.vtd.load(DATA)).toBe(7n);
  });

  test('counts in what the guest sees until it is answered', () => {
    const n = new NestedVtd();
    const { fn } = n.machine.pciDevice('svm')!;
    const [request] = asking(n);
    const before = fn.s.pageRequests;

    respond(n, request!);

    expect(before).toBe(1);
  });

  test('waits while its bus is numbered anew: an answer to the old id is nobody’s, one to the new id is its own', () => {
    const n = new NestedVtd();
    const [old] = asking(n);

    n.renumber(3);
    n.vtd.scalableContext(n.requester, { PDTS: 0 });
    n.passthrough.settle();
    n.map(AT, DATA);

    expect([respond(n, old!), respond(n, { ...old!, RID: 0x300 })]).toEqual(['waiting', 'done']);
    expect(refusals(n)).toEqual([]);
  });

  test('made after that has the new id', () => {
    const n = new NestedVtd();
    n.renumber(3);
    n.vtd.scalableContext(n.requester, { PDTS: 0 });

    const [request] = asking(n);
    n.map(AT, DATA);

    expect([request!['RID'], respond(n, request!)]).toEqual([0x300, 'done']);
  });

  test('of a device that is unplugged is answered by nobody, and an answer that comes later does nothing', () => {
    const n = new NestedVtd();
    const [request] = asking(n);

    n.machine.unplug('svm');
    const words = { TYPE: 9, PP: 1, RC: 0, RID: 0x100, PASID: 5, LPIG: 1, PRGI: request!['PRGI']! };
    n.vtd.describe(PAGE_RESPONSE_DESCRIPTOR, words);

    expect(n.vtd.head).toBe(BigInt(n.vtd.tail));
    expect(refusals(n)).toEqual([]);
  });
});
