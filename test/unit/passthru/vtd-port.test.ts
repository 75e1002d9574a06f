import { describe, expect, test } from 'vitest';
import { type VtdBackend, type VtdPort, vtdBinding } from '../../../viommu/port/vtd.ts';
import { IOTLB, RTADDR } from '../../../viommu/spec/vtd/registers.ts';
import { NO_PASID } from '../../../vmm/bus/dma.ts';
import { QIE, ROOT, SRTP, TE, VtdMachine } from '../../kit/vtd-machine.ts';
import { DIRECTORY, PASIDS, ScalableMachine } from '../../kit/vtd-scalable.ts';

const REQUESTER = 0x0010;

/** Notes what it is told. */
function recorder(calls: unknown[][]): VtdBackend {
  const note =
    (name: string) =>
    (...args: unknown[]) => {
      calls.push([name, ...args]);
    };
  return {
    remappingChanged: note('remapping'),
    contextsChanged: note('contexts'),
    pasidsChanged: note('pasids'),
    domainInvalidated: note('domain'),
    pasidInvalidated: note('pasid'),
    sync: note('sync'),
  };
}

function scalable() {
  const m = new ScalableMachine();
  m.startScalable();
  const port = m.iommu.port as VtdPort;
  const calls: unknown[][] = [];
  port.connect(recorder(calls));
  return { m, port, calls };
}

describe('a backend of VT-d is told', () => {
  test.each([
    ['context-cache, global', [0x11n, 0n], ['contexts', 0, 0xffff]],
    ['context-cache, of a domain', [0x0005_0021n, 0n], ['contexts', 0, 0xffff]],
    ['context-cache, of a function', [0x0010_0000_0031n, 0n], ['contexts', 0x10, 0]],
    ['context-cache, of a function and its neighbours', [0x3_0013_0000_0031n, 0n], ['contexts', 0x10, 7]],
    ['IOTLB, global', [0x12n, 0n], ['domain', -1, 0, 0, 52, false]],
    ['IOTLB, of a domain', [0x0005_0022n, 0n], ['domain', 5, 0, 0, 52, false]],
    ['IOTLB, of pages with the hint', [0x0005_0032n, 0x1234_4042n], ['domain', 5, 0x1234_4000, 0, 2, true]],
    ['PASID-cache, of a domain', [0x0005_0007n, 0n], ['pasids', 5, -1]],
    ['PASID-cache, of a PASID', [0x0009_0005_0017n, 0n], ['pasids', 5, 9]],
    ['PASID-cache, global', [0x37n, 0n], ['pasids', -1, -1]],
    ['PASID-based IOTLB, of a PASID', [0x0009_0005_0026n, 0n], ['pasid', 5, 9, 0, 0, 52, false]],
    [
      'PASID-based IOTLB, of pages above 4 GiB',
      [0x0009_0005_0036n, 0x7_0000_0001n],
      ['pasid', 5, 9, 0, 7, 1, false],
    ],
  ] as const)('%s', (_, [q0, q1], call) => {
    const { m, calls } = scalable();

    m.submit(q0, q1);

    expect(calls).toEqual([call, ['sync']]);
  });

  test('a root pointer, translation switched off and on, and a reset', () => {
    const { m, calls } = scalable();

    m.write(RTADDR, ROOT);
    m.command(SRTP);
    m.disable(TE);
    m.command(TE);
    m.device.reset('warm');

    expect(calls).toEqual([['remapping'], ['remapping'], ['remapping'], ['remapping']]);
  });

  test('of a descriptor with an error no more than that the queue is at its end', () => {
    const { m, calls } = scalable();

    m.submit(0x01n);

    expect(calls).toEqual([['sync']]);
  });

  test('to do what it has kept before a wait says that it is done', () => {
    const { m, port } = scalable();
    const status: bigint[] = [];
    port.connect({ ...recorder([]), sync: () => status.push(m.load(0x4_8000)) });

    m.submit(0x0000_0001_0000_0025n, 0x4_8000n);

    expect([status[0], m.load(0x4_8000)]).toEqual([0n, 1n]);
  });

  test('of an invalidation by register, which is done when the register says so', () => {
    const m = new VtdMachine();
    m.start();
    m.disable(QIE);
    const calls: unknown[][] = [];
    (m.iommu.port as VtdPort).connect(recorder(calls));

    m.write(IOTLB, 0x9000_0000_0000_0000n);

    expect(calls.slice(-2)).toEqual([['domain', -1, 0, 0, 52, false], ['sync']]);
  });

  test('nothing any more once it is disconnected', () => {
    const { m, port, calls } = scalable();
    port.connect(null);

    m.submit(0x37n);

    expect(calls).toEqual([]);
  });
});

describe('a binding of VT-d', () => {
  test('with translation off is the identity', () => {
    const port = new VtdMachine().iommu.port as VtdPort;
    const out = vtdBinding();

    port.binding(REQUESTER, NO_PASID, out);

    expect(out).toMatchObject({ kind: 'identity', fault: 0 });
  });

  test('of a first-stage entry has its table, its width and its flags, and says where it was read', () => {
    const { m, port } = scalable();
    m.scalableContext(REQUESTER);
    m.pasid(9, { PGTT: 1, DID: 5, FSPTPTR: 0x10_0000, SRE: 1, WPE: 1 });
    const out = vtdBinding();

    port.binding(REQUESTER, 9, out);

    expect(out).toMatchObject({
      kind: 'first-stage',
      absent: false,
      did: 5,
      pasid: 9,
      firstLo: 0x10_0000,
      levels: 4,
      supervisor: true,
      writeProtect: true,
      deviceTlb: true,
      read: { directory: DIRECTORY, entry: PASIDS + 9 * 64 },
    });
  });

  test('of an entry that is not present is blocked, and may come without announcement', () => {
    const { m, port } = scalable();
    m.scalableContext(REQUESTER);
    const out = vtdBinding();

    port.binding(REQUESTER, 9, out);

    expect(out).toMatchObject({ kind: 'blocked', fault: 0x59, absent: true });
  });

  test('of an entry with reserved bits is blocked for good', () => {
    const { m, port } = scalable();
    m.scalableContext(REQUESTER);
    m.pasid(9, { PGTT: 1, FSPTPTR: 0x10_0000 });
    m.store(PASIDS + 9 * 64 + 56, 1n);
    const out = vtdBinding();

    port.binding(REQUESTER, 9, out);

    expect(out).toMatchObject({ kind: 'blocked', fault: 0x5a, absent: false });
  });

  test('of legacy mode is its second stage', () => {
    const m = new VtdMachine();
    m.context(REQUESTER, { P: 1, TT: 0, SSPTPTR: 0x20_0000, AW: 2, DID: 7 });
    m.start();
    const out = vtdBinding();

    (m.iommu.port as VtdPort).binding(REQUESTER, NO_PASID, out);

    expect(out).toMatchObject({ kind: 'second-stage', legacy: true, did: 7, secondLo: 0x20_0000, width: 2 });
  });

  test('every PASID with a present entry is found, in order', () => {
    const { m, port } = scalable();
    m.scalableContext(REQUESTER);
    for (const pasid of [63, 1, 9]) m.pasid(pasid, { PGTT: 1, FSPTPTR: 0x10_0000 });
    const found: number[] = [];

    port.pasids(REQUESTER, (pasid) => found.push(pasid));

    expect(found).toEqual([1, 9, 63]);
  });
});
