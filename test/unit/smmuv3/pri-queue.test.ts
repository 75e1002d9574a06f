import { describe, expect, test } from 'vitest';
import { DMA_OK, DMA_UR, EXEC, READ, WRITE } from '../../../vmm/bus/dma.ts';
import {
  DATA,
  PRIQEN,
  REG,
  SMMUEN,
  SmmuMachine,
  type SmmuMachineOptions,
  STREAMS,
} from '../../kit/smmu-machine.ts';

const SID = 0x18;
const PRIQ_WIRE = 107;
const GERROR_WIRE = 109;
const FAILURE = 15;
const IRQ_CTRL = 0x50;
const CFG2 = 0xdc;
const LO = 0x80000000;

function started(options: SmmuMachineOptions = {}, log2 = 4) {
  const m = new SmmuMachine({ ...options, config: { svm: true, ...options.config } });
  m.stage1(SID);
  m.start(SMMUEN | PRIQEN, log2);
  return { m, port: m.port(SID) };
}

function setLastOnly(m: SmmuMachine) {
  m.write32(IRQ_CTRL, 5);
  m.write32(CFG2, LO);
  m.write32(IRQ_CTRL, 7);
}

describe('an entry', () => {
  test.each<[string, number, number, boolean, boolean, [bigint, bigint]]>([
    ['read, last', -1, READ, false, true, [0x5000_0000_0000_0018n, 0x7_1234_5105n]],
    ['write, not last', -1, WRITE, false, false, [0x2000_0000_0000_0018n, 0x7_1234_5105n]],
    ['with PASID', 0xabcde, READ | WRITE, false, true, [0xf00a_bcde_0000_0018n, 0x7_1234_5105n]],
    ['execute, privileged', 3, READ | EXEC, true, false, [0x9c00_0003_0000_0018n, 0x7_1234_5105n]],
    [
      'without PASID there is neither',
      -1,
      READ | EXEC,
      true,
      false,
      [0x1000_0000_0000_0018n, 0x7_1234_5105n],
    ],
    ['stop marker', 3, 0, false, true, [0xc000_0003_0000_0018n, 0x7_1234_5105n]],
  ])('%s', (_name, pasid, access, privileged, last, entry) => {
    const { m, port } = started();
    port.pasid = pasid;
    port.privileged = privileged;

    const status = port.pageRequest(0x12345678, 7, access, 0x105, last);

    expect([status, m.request(0), m.read32(REG.priqProd), m.responses]).toEqual([DMA_OK, entry, 1, []]);
  });
});

describe('nobody takes requests', () => {
  test('of a unit without PRI', () => {
    const m = new SmmuMachine();
    m.start(SMMUEN);

    expect(m.port(SID).pageRequest(0, 0, READ, 1, true)).toBe(DMA_UR);
  });

  test.each([
    ['PRIQEN', SMMUEN],
    ['SMMUEN', PRIQEN],
  ])('while %s is 0: each is answered with Response Failure, without PASID', (_name, enables) => {
    const { m, port } = started();
    m.write32(REG.cr0, enables);
    port.pasid = 3;

    port.pageRequest(0x1000, 0, READ, 1, false);
    port.pageRequest(0x1000, 0, READ, 1, true);
    port.pageRequest(0x1000, 0, 0, 1, true);

    expect([m.responses, m.read32(REG.priqProd)]).toEqual([
      [
        [SID, -1, 1, FAILURE],
        [SID, -1, 1, FAILURE],
      ],
      0,
    ]);
  });

  test('after an aborted write, until it is acknowledged', () => {
    const { m, port } = started();
    m.write32(REG.cr0, 0);
    m.write64(REG.priqBase, 0x9000_0004n);
    m.write32(REG.cr0, SMMUEN | PRIQEN);

    port.pageRequest(0x1000, 0, READ, 1, true);
    port.pageRequest(0x1000, 0, READ, 2, true);

    expect([m.responses, m.read32(REG.gerror), m.read32(REG.priqProd), m.pulses]).toEqual([
      [
        [SID, -1, 1, FAILURE],
        [SID, -1, 2, FAILURE],
      ],
      8,
      0,
      [GERROR_WIRE],
    ]);
  });
});

describe('overflow', () => {
  function full(options: SmmuMachineOptions = {}) {
    const { m, port } = started(options, 1);
    for (const group of [1, 2]) port.pageRequest(0x1000, 0, READ, group, true);
    return { m, port };
  }

  test('answers the last request of a group with Success, and nothing else', () => {
    const { m, port } = full();

    port.pageRequest(0x1000, 0, READ, 3, false);
    port.pageRequest(0x1000, 0, READ, 3, true);
    port.pasid = 9;
    port.pageRequest(0x1000, 0, 0, 4, true);

    expect([m.responses, m.read32(REG.priqProd)]).toEqual([[[SID, -1, 3, 0]], 0x80000002]);
  });

  test('nothing is written until it is acknowledged, room or not', () => {
    const { m, port } = full();
    port.pageRequest(0x1000, 0, READ, 3, true);

    m.write32(REG.priqCons, 2);
    port.pageRequest(0x1000, 0, READ, 4, true);
    const between = m.read32(REG.priqProd);
    m.write32(REG.priqCons, 0x80000002);
    port.pageRequest(0x1000, 0, READ, 5, true);

    expect([between, m.read32(REG.priqProd), m.responses.map((r) => r[2])]).toEqual([
      0x80000002,
      0x80000003,
      [3, 4],
    ]);
  });

  test.each([
    ['with PPS the PASID is in it', { pps: true }, 0, [SID, 9, 3, 0]],
    ['without PPS and PPAR it is not', { pps: false }, 0, [SID, -1, 3, 0]],
    ['with PPAR it is', { pps: false }, 0x40000, [SID, 9, 3, 0]],
  ])('of a request with PASID: %s', (_name, config, ppar, response) => {
    const { m, port } = full({ config: { svm: false, ats: true, pri: true, ssidsize: 8, ...config } });
    m.store(STREAMS + SID * 64 + 8, ppar);
    port.pasid = 9;

    port.pageRequest(0x1000, 0, READ, 3, true);

    expect(m.responses).toEqual([response]);
  });

  test('of a request with PASID of a stream without a valid STE is a failure', () => {
    const { m } = full({ config: { svm: false, ats: true, pri: true, ssidsize: 8 } });
    const other = m.port(0x20);
    other.pasid = 9;

    other.pageRequest(0x1000, 0, READ, 3, true);

    expect(m.responses).toEqual([[0x20, -1, 3, FAILURE]]);
  });
});

describe('the interrupt', () => {
  test('comes when the queue is not empty any more', () => {
    const { m, port } = started();

    for (const group of [1, 2]) port.pageRequest(0x1000, 0, READ, group, true);

    expect(m.pulses).toEqual([PRIQ_WIRE]);
  });

  test('with LO comes for the last request of each group, and for one that was lost', () => {
    const { m, port } = started({}, 1);
    setLastOnly(m);
    const seen: number[] = [];

    for (const last of [false, true, false, true]) {
      port.pageRequest(0x1000, 0, READ, 1, last);
      seen.push(m.pulses.length);
    }

    expect([seen, m.pulses]).toEqual([
      [0, 1, 1, 2],
      [PRIQ_WIRE, PRIQ_WIRE],
    ]);
  });

  test('with LO does not come for a request that is refused', () => {
    const { m, port } = started();
    setLastOnly(m);
    m.write32(REG.cr0, SMMUEN);

    port.pageRequest(0x1000, 0, READ, 1, true);

    expect(m.pulses).toEqual([]);
  });

  test('is a message where there is an address', () => {
    const { m, port } = started();
    m.write32(IRQ_CTRL, 5);
    m.write64(0xd0, DATA);
    m.write32(0xd8, 0x99);
    m.write32(IRQ_CTRL, 7);

    port.pageRequest(0x1000, 0, READ, 1, true);

    expect([m.load(DATA), m.pulses]).toEqual([0x99n, []]);
  });
});
