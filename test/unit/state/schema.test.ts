import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TsvmmError } from '../../../vmm/core/errors.ts';
import { RegisterBlock } from '../../../vmm/regs/block.ts';
import { rw } from '../../../vmm/regs/field.ts';
import { reg32, reg64 } from '../../../vmm/regs/layout.ts';
import { defineState } from '../../../vmm/state/define.ts';
import {
  bool,
  bytes,
  count,
  list,
  registers,
  text,
  u16,
  u32,
  withFresh,
  words,
} from '../../../vmm/state/schema.ts';

const block = new RegisterBlock(
  [reg32(0, 'A', 'd', { F: rw(31, 0, '') }), reg64(8, 'B', 'd', { F: rw(31, 0, '') })],
  16,
);
const DEF = defineState('dev', 2, {
  ctrl: u32,
  on: bool,
  name: text,
  depth: withFresh(u16, 7),
  total: count,
  table: words(64),
  buffer: bytes(16),
  regs: registers(block),
  jobs: list({ id: u32, left: count }),
});

test('fresh state has the declared values', () => {
  const s = DEF.fresh();
  expect(s.depth).toBe(7);
  expect(s.jobs).toEqual([]);
  expect(s.table.length).toBe(64);
});

test('a saved state loads to an equal state, in place', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(63), fc.nat())), fc.string(), fc.nat(), (stores, name, left) => {
      const a = DEF.fresh();
      for (const [i, v] of stores) a.table[i] = v;
      a.name = name;
      a.jobs.push({ id: 1, left });
      a.regs[2] = 0xdeadbeef;
      const b = DEF.fresh();
      const table = b.table;
      b.table.fill(5);
      DEF.load(b, JSON.parse(JSON.stringify(DEF.save(a))), 'dev0');
      expect(b).toEqual(a);
      expect(b.table).toBe(table);
    }),
  );
});

test('registers are saved by name', () => {
  const s = DEF.fresh();
  s.regs[3] = 0x12;
  expect((DEF.save(s).body as { regs: unknown }).regs).toEqual({
    A: '0x00000000',
    B: '0x00000000',
    'B.hi': '0x00000012',
  });
});

describe('a load is refused, naming the place, when', () => {
  const load = (change: (body: Record<string, unknown>) => void) => () => {
    const unit = JSON.parse(JSON.stringify(DEF.save(DEF.fresh())));
    change(unit.body);
    DEF.load(DEF.fresh(), unit, 'dev0');
  };

  test('a field is missing', () => {
    expect(load((b) => delete b['ctrl'])).toThrow('dev0.ctrl');
  });

  test('a field is unknown', () => {
    expect(load((b) => (b['extra'] = 1))).toThrow('dev0.extra');
  });

  test('a value is out of range', () => {
    expect(load((b) => (b['depth'] = 65536))).toThrow('dev0.depth');
  });

  test('a run leaves its array', () => {
    expect(load((b) => (b['table'] = { '63': '0000000100000002' }))).toThrow('dev0.table[63]');
  });

  test('a register is unknown', () => {
    expect(load((b) => (b['regs'] = { Z: '0x00000000' }))).toThrow('dev0.regs.Z');
  });

  test('the kind is another', () => {
    expect(() => DEF.load(DEF.fresh(), { ...DEF.save(DEF.fresh()), kind: 'nvme' }, 'dev0')).toThrow(
      TsvmmError,
    );
  });

  test('the version is newer or has no upgrade', () => {
    expect(() => DEF.load(DEF.fresh(), { ...DEF.save(DEF.fresh()), version: 3 }, 'dev0')).toThrow(
      'newer tsvmm',
    );
    expect(() => DEF.load(DEF.fresh(), { ...DEF.save(DEF.fresh()), version: 1 }, 'dev0')).toThrow(
      'older tsvmm',
    );
  });
});

test('an older version is upgraded step by step', () => {
  const V3 = defineState(
    'dev',
    3,
    { n: u32, m: u32 },
    {
      1: (old) => ({ n: (old as { x: number }).x }),
      2: (old) => ({ ...(old as object), m: 9 }),
    },
  );
  const s = V3.fresh();
  V3.load(s, { kind: 'dev', version: 1, body: { x: 5 } }, 'dev0');
  expect(s).toEqual({ n: 5, m: 9 });
});
