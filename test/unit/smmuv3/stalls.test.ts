import { describe, expect, test } from 'vitest';
import { DMA_OK, DMA_STALLED, DMA_UR, type DmaPort, READ, WRITE } from '../../../vmm/bus/dma.ts';
import {
  CMDQEN,
  EVENTQEN,
  REG,
  SMMUEN,
  SmmuMachine,
  type SmmuMachineOptions,
} from '../../kit/smmu-machine.ts';

const SID = 0x18;
const EVENTQ_WIRE = 106;
const ALL = SMMUEN | EVENTQEN | CMDQEN;

const RETRY = 0x18_0000_1044n;
const TERMINATE = 0x18_0000_0044n;
const STALL_TERM = 0x18_0000_0045n;
const CFGI_STE = 0x18_0000_0003n;
const TLBI_ALL = 0x30n;

/** Stream 18h stalls at stage 1; its tables are empty. */
function started(options: SmmuMachineOptions = {}, log2 = 4) {
  const m = new SmmuMachine({ ...options, config: { stall: 'optional', ...options.config } });
  m.stage1(SID, { S: 1 });
  m.start(ALL, log2, 4);
  const port = m.port(SID);
  port.mayStall = true;
  return { m, port };
}

const at = (port: DmaPort, page: number, access = READ) => port.translate(page << 12, 0, access);

describe('a stalled transaction', () => {
  test('has Stall and its tag in the record', () => {
    const { m, port } = started();

    const statuses = [at(port, 5), at(port, 6)];

    expect([statuses, port.stallTag, m.event(0), m.event(1)]).toEqual([
      [DMA_STALLED, DMA_STALLED],
      1,
      [0x18_0000_0010n, 0x208_8000_0000n, 0x5000n, 0n],
      [0x18_0000_0010n, 0x208_8000_0001n, 0x6000n, 0n],
    ]);
    expect(m.pulses).toEqual([EVENTQ_WIRE]);
  });

  test('is no fault yet, but for the trace', () => {
    const { m, port } = started();

    at(port, 5);

    expect([m.faults, m.read32(REG.eventqProd)]).toEqual([[], 1]);
  });

  test('is terminated where the bus master cannot wait', () => {
    const { m, port } = started();
    port.mayStall = false;

    expect([at(port, 5), m.event(0)[1]]).toEqual([DMA_UR, 0x208_0000_0000n]);
  });

  test('is terminated when STALL_MAX are held already', () => {
    const { m, port } = started({ config: { 'stall-max': 2 } });

    const statuses = [5, 6, 7].map((page) => at(port, page));

    expect([statuses, m.event(2)[1]]).toEqual([[DMA_STALLED, DMA_STALLED, DMA_UR], 0x208_0000_0000n]);
  });

  test('is no translation request', () => {
    const { m, port } = started({ config: { ats: true } });
    m.store(0x40010000 + SID * 64 + 8, 1 << 28);
    port.at = 1;

    expect([at(port, 5), port.outAccess, m.read32(REG.eventqProd)]).toEqual([DMA_OK, 0, 0]);
  });
});

describe('CMD_RESUME', () => {
  test.each([
    ['retry', RETRY, true],
    ['terminate', TERMINATE, false],
    ['abort', 0x18_0000_2044n, false],
  ])('%s', (_name, command, retry) => {
    const { m, port } = started();
    at(port, 5);
    at(port, 6);

    m.submit(command, 1);

    expect([m.resumes, m.stopped]).toEqual([[[SID, 1, retry]], [0, 1]]);
  });

  test('retried, it is translated anew', () => {
    const { m, port } = started();
    at(port, 0);
    m.map();

    m.submit(RETRY, 0);

    expect([m.resumes, at(port, 0), port.outLo]).toEqual([[[SID, 0, true]], DMA_OK, 0x40100000]);
  });

  test.each([
    ['a tag that nobody has', RETRY, 3n],
    ['the tag of another stream', 0x19_0000_1044n, 0n],
    ['a tag beyond STALL_MAX', RETRY, 0xffffn],
  ])('of %s does nothing', (_name, q0, q1) => {
    const { m, port } = started();
    at(port, 5);

    m.submit(q0, q1);

    expect([m.resumes, m.stopped]).toEqual([[], [0, 1]]);
  });

  test('twice is once', () => {
    const { m, port } = started();
    at(port, 5);

    m.submit(RETRY, 0);
    m.submit(RETRY, 0);

    expect(m.resumes).toHaveLength(1);
  });

  test('the tag is used again when the others had their turn', () => {
    const { m, port } = started({ config: { 'stall-max': 2 } });
    const tags: number[] = [];
    for (const page of [5, 6, 7, 8]) {
      at(port, page);
      tags.push(port.stallTag);
      m.submit(RETRY, port.stallTag);
    }

    expect(tags).toEqual([0, 1, 0, 1]);
  });

  test('an endpoint that stalls at once again gets another tag and a new record', () => {
    let again = 0;
    const { m, port } = started({
      resumed: () => {
        if (again++ < 3) at(port, 5);
      },
    });
    at(port, 5);

    m.submit(RETRY, 0);

    expect([m.resumes, port.stallTag, m.read32(REG.eventqProd)]).toEqual([[[SID, 0, true]], 1, 2]);
  });
});

describe('duplicates', () => {
  test('one with the same page, substream and access gets no record, and is retried with the first', () => {
    const { m, port } = started();
    port.translate(0x5004, 0, READ);
    port.translate(0x5ff8, 0, READ);
    at(port, 6);
    at(port, 5, WRITE);
    const records = m.read32(REG.eventqProd);

    m.submit(RETRY, 1);
    const unknown = m.resumes.length;
    m.submit(TERMINATE, 0);

    expect([records, unknown, m.resumes]).toEqual([
      3,
      0,
      [
        [SID, 0, false],
        [SID, 1, true],
      ],
    ]);
  });
});

describe('a record that finds no place', () => {
  test('is kept until there is one, in order, and is no overflow', () => {
    const { m, port } = started({}, 1);
    for (const page of [1, 2, 3, 4]) at(port, page);
    const full = m.read32(REG.eventqProd);

    m.write32(REG.eventqCons, 1);
    const third = [m.read32(REG.eventqProd), m.event(0)[2]];
    m.write32(REG.eventqCons, 3);

    expect([full, third, m.read32(REG.eventqProd), m.event(1)[2]]).toEqual([2, [3, 0x3000n], 0, 0x4000n]);
  });

  test('is kept while the queue is off or has aborted', () => {
    const { m, port } = started();
    m.write32(REG.cr0, SMMUEN);
    at(port, 1);
    m.write64(REG.eventqBase, 0x9000_0004n);
    m.write32(REG.cr0, SMMUEN | EVENTQEN);
    const aborted = [m.read32(REG.gerror), m.read32(REG.eventqProd)];

    m.write32(REG.cr0, SMMUEN);
    m.write64(REG.eventqBase, 0x4004_0004n);
    m.write32(REG.cr0, SMMUEN | EVENTQEN);
    const unacknowledged = m.read32(REG.eventqProd);
    m.write32(REG.gerrorn, 4);

    expect([aborted, unacknowledged, m.read32(REG.eventqProd), m.event(0)[2]]).toEqual([
      [4, 0],
      0,
      1,
      0x1000n,
    ]);
  });

  test('a transaction without a record is nobody that CMD_RESUME could name', () => {
    const { m, port } = started({}, 0);
    at(port, 1);
    at(port, 2);

    m.submit(RETRY, 1);

    expect(m.resumes).toEqual([]);
  });

  test('goes with its transaction', () => {
    const { m, port } = started({}, 0);
    for (const page of [1, 2, 3]) at(port, page);

    m.store(0x40030000, STALL_TERM);
    m.write32(REG.cmdqProd, 1);
    m.write32(REG.eventqCons, 1);

    expect([m.resumes.map(([, tag]) => tag), m.read32(REG.eventqProd)]).toEqual([[0, 1, 2], 1]);
  });
});

describe('what ends stalls', () => {
  test('CMD_STALL_TERM aborts those of its stream', () => {
    const { m, port } = started();
    const other = m.port(0x19);
    other.mayStall = true;
    m.stage1(0x19, { S: 1 });
    at(port, 1);
    at(other, 1);
    at(port, 2);

    m.submit(STALL_TERM);

    expect(m.resumes).toEqual([
      [SID, 0, false],
      [SID, 2, false],
    ]);
  });

  test('SMMUEN = 0 aborts all of them', () => {
    const { m, port } = started();
    for (const page of [1, 2, 2]) at(port, page);

    m.write32(REG.cr0, EVENTQEN);

    expect([m.resumes, m.device.c.control.stalls.count]).toEqual([
      [
        [SID, 0, false],
        [SID, 1, false],
        [SID, 2, false],
      ],
      0,
    ]);
  });

  test.each([
    ['CFGI_STE', CFGI_STE],
    ['TLBI_NSNH_ALL', TLBI_ALL],
    ['SYNC', 0x46n],
  ])('%s does not', (_name, command) => {
    const { m, port } = started();
    at(port, 1);

    m.submit(command);

    expect([m.resumes, m.device.c.control.stalls.count]).toEqual([[], 1]);
  });
});

test('stalls are state: they are saved, loaded and resumed', () => {
  const { m, port } = started({}, 0);
  for (const page of [1, 2, 3]) at(port, page);
  const saved = JSON.parse(JSON.stringify(m.device.stateDef().save(m.device.s)));
  const fresh = started({}, 0);
  fresh.m.device.stateDef().load(fresh.m.device.s, saved, 'smmu0');
  fresh.m.device.dropCache();

  fresh.m.write32(REG.eventqCons, 1);
  fresh.m.submit(RETRY, 1);
  fresh.m.submit(STALL_TERM);

  expect([fresh.m.event(0)[2], fresh.m.resumes]).toEqual([
    0x2000n,
    [
      [SID, 1, true],
      [SID, 0, false],
      [SID, 2, false],
    ],
  ]);
});
