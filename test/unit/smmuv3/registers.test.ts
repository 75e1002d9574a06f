import { describe, expect, test } from 'vitest';
import { CMDQEN, EVENTQEN, PRIQEN, REG, SMMUEN, SmmuMachine } from '../../kit/smmu-machine.ts';

const CR1 = 0x28;
const CR2 = 0x2c;
const GBPA = 0x44;
const IRQ_CTRL = 0x50;
const IRQ_CTRLACK = 0x54;
const GERROR_IRQ_CFG0 = 0x68;
const STRTAB_BASE = 0x80;
const STRTAB_BASE_CFG = 0x88;
const EVENTQ_IRQ_CFG0 = 0xb0;
const PRIQ_IRQ_CFG2 = 0xdc;

const SVM = { config: { svm: true } } as const;

describe('accesses', () => {
  test('64-bit registers are read and written whole and by halves', () => {
    const m = new SmmuMachine();

    m.write64(STRTAB_BASE, 0x40ff_ffff_ffff_ffffn);
    const whole = m.read64(STRTAB_BASE);
    m.write32(STRTAB_BASE + 4, 0x12);
    m.write32(STRTAB_BASE, 0x40012345);

    expect([whole, m.read64(STRTAB_BASE), m.read32(STRTAB_BASE + 4)]).toEqual([
      0x40ff_ffff_ffff_ffc0n,
      0x12_4001_2340n,
      0x12,
    ]);
  });

  test('a 64-bit access to two 32-bit registers is both of them', () => {
    const m = new SmmuMachine();

    m.write64(REG.eventqProd, 0x0000_0003_0000_0005n);

    expect([m.read32(REG.eventqProd), m.read32(REG.eventqCons), m.read64(REG.eventqProd)]).toEqual([
      5,
      3,
      0x3_0000_0005n,
    ]);
  });

  test('narrow and unaligned writes are ignored, reads give the bytes that are there', () => {
    const m = new SmmuMachine();
    m.write32(STRTAB_BASE_CFG, 0x10208);
    const at = m.config.base + STRTAB_BASE_CFG;

    m.bus.write(at, 1, 0xff, 0);
    m.bus.write(at + 2, 2, 0xff, 0);

    expect([m.bus.read(at, 1), m.bus.read(at + 1, 2), m.read32(STRTAB_BASE_CFG)]).toEqual([
      8, 0x102, 0x10208,
    ]);
  });

  test.each([
    ['IDR0', 0x00],
    ['IDR5', 0x14],
    ['AIDR', 0x1c],
    ['CR0ACK', 0x24],
    ['STATUSR', 0x40],
    ['GERROR', 0x60],
    ['IRQ_CTRLACK', 0x54],
    ['the alias of EVENTQ_PROD in page 0', 0xa8],
    ['GATOS_CTRL', 0x100],
    ['nothing', 0x2000],
    ['nothing in page 1', 0x10000],
  ])('%s ignores writes', (_name, offset) => {
    const m = new SmmuMachine(SVM);
    const before = m.read32(offset);

    m.write32(offset, ~before);

    expect(m.read32(offset)).toBe(before);
  });
});

describe('CR0', () => {
  test('CR0ACK follows every field the unit has', () => {
    const m = new SmmuMachine({ config: { svm: true, vmw: true } });

    m.write32(REG.cr0, 0xffffffff);

    expect([m.read32(REG.cr0), m.read32(REG.cr0ack)]).toEqual([0x1df, 0x1df]);
  });

  test('fields of features that are not there are not reflected', () => {
    const m = new SmmuMachine();

    m.write32(REG.cr0, 0xffffffff);

    expect([m.read32(REG.cr0), m.read32(REG.cr0ack)]).toEqual([0xd, 0xd]);
  });
});

describe('guards', () => {
  test.each([
    ['CR2', CR2, SMMUEN, 2],
    ['STRTAB_BASE', STRTAB_BASE, SMMUEN, 0x40],
    ['STRTAB_BASE_CFG', STRTAB_BASE_CFG, SMMUEN, 5],
    ['CMDQ_BASE', REG.cmdqBase, CMDQEN, 0x45],
    ['CMDQ_CONS', REG.cmdqCons, CMDQEN, 0],
    ['EVENTQ_BASE', REG.eventqBase, EVENTQEN, 0x45],
    ['EVENTQ_PROD', REG.eventqProd, EVENTQEN, 0x80000003],
    ['PRIQ_BASE', REG.priqBase, PRIQEN, 0x45],
    ['PRIQ_PROD', REG.priqProd, PRIQEN, 0x80000003],
  ])('%s keeps its value while its enable is set', (_name, offset, enable, value) => {
    const m = new SmmuMachine(SVM);
    m.write32(offset, value);

    m.write32(REG.cr0, enable);
    m.write32(offset, 0x60);
    const guarded = m.read32(offset);
    m.write32(REG.cr0, 0);
    m.write32(offset, 0);

    expect([guarded, m.read32(offset)]).toEqual([value, 0]);
  });

  test('CR1 has a guard for queues and one for tables', () => {
    const m = new SmmuMachine();

    m.write32(REG.cr0, EVENTQEN);
    m.write32(CR1, 0xfff);
    const tables = m.read32(CR1);
    m.write32(REG.cr0, SMMUEN);
    m.write32(CR1, 0x03f);

    expect([tables, m.read32(CR1)]).toEqual([0xfc0, 0xfff]);
  });

  test.each([
    ['GERROR', 0x68, 1],
    ['EVENTQ', 0xb0, 4],
    ['PRIQ', 0xd0, 2],
  ])('%s_IRQ_CFG keeps its values while its interrupt is enabled', (_name, offset, enable) => {
    const m = new SmmuMachine(SVM);
    m.write64(offset, 0x1_0000_1007n);
    m.write32(offset + 8, 0x55);
    m.write32(offset + 12, 0x3f);

    m.write32(IRQ_CTRL, enable);
    m.write64(offset, 0);
    m.write64(offset + 8, 0);

    expect([m.read64(offset), m.read32(offset + 8), m.read32(offset + 12)]).toEqual([
      0x1_0000_1004n,
      0x55,
      0x3f,
    ]);
  });
});

describe('GBPA', () => {
  test('resets to incoming shareability, and is written with Update, which reads 0', () => {
    const m = new SmmuMachine();
    const fresh = m.read32(GBPA);

    m.write32(GBPA, 0x00100000);
    const without = m.read32(GBPA);
    m.write32(GBPA, 0x80100000);

    expect([fresh, without, m.read32(GBPA)]).toEqual([0x1000, 0x1000, 0x00100000]);
  });
});

describe('features that are not there', () => {
  test.each([
    ['messages', EVENTQ_IRQ_CFG0, 0],
    ['messages of errors', GERROR_IRQ_CFG0, 0],
    ['page requests: PRIQ_BASE', REG.priqBase, 0],
    ['page requests: LO', PRIQ_IRQ_CFG2, 0],
    ['page requests: PRIQ_CONS', REG.priqCons, 0],
    ['EL2: CR2.E2H; broadcasts: PTM', CR2, 2],
    ['page requests: IRQ_CTRL', IRQ_CTRL, 5],
  ])('%s', (_name, offset, value) => {
    const m = new SmmuMachine();

    m.write32(offset, 0xffffffff);

    expect(m.read32(offset)).toBe(value);
  });

  test('LO stays where there are no messages', () => {
    const m = new SmmuMachine({ config: { ats: true, pri: true } });

    m.write32(PRIQ_IRQ_CFG2, 0xffffffff);

    expect(m.read32(PRIQ_IRQ_CFG2)).toBe(0x80000000);
  });

  test('a two-level format', () => {
    const m = new SmmuMachine({ config: { 'two-level-streams': false } });

    m.write32(STRTAB_BASE_CFG, 0xffffffff);

    expect(m.read32(STRTAB_BASE_CFG)).toBe(0x3f);
  });
});

test('IRQ_CTRLACK follows IRQ_CTRL', () => {
  const m = new SmmuMachine(SVM);

  m.write32(IRQ_CTRL, 0xffffffff);

  expect([m.read32(IRQ_CTRL), m.read32(IRQ_CTRLACK)]).toEqual([7, 7]);
});

describe('GERRORN', () => {
  test('acknowledges what is active and toggles nothing else', () => {
    const m = new SmmuMachine();
    m.start(CMDQEN);
    m.submit(0xff);
    const active = m.read32(REG.gerror);

    m.write32(REG.gerrorn, 0x1fc);
    const unchanged = m.read32(REG.gerrorn);
    m.store(0x40030000, 0x46);
    m.write32(REG.gerrorn, 1);

    expect([active, unchanged, m.read32(REG.gerrorn)]).toEqual([1, 0, 1]);
  });
});

test('reset ends what is stalled, awaited and due', () => {
  const m = new SmmuMachine({ config: { ats: true, invalidation: 'async' }, answers: [3] });
  m.start(CMDQEN | SMMUEN);
  m.submit(0x18_0000_0040n, 52);
  m.submit(0x46);
  m.clock.advanceTo(200);

  m.device.reset('cold');

  expect([m.device.s.deviceTlbs, m.device.s.queueDue, m.read32(REG.cr0), m.read32(REG.cmdqProd)]).toEqual([
    [],
    false,
    0,
    0,
  ]);
  expect(m.clock.nextAt).toBe(Number.POSITIVE_INFINITY);
});
