import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Bug } from '../../../vmm/core/errors.ts';
import { RegisterBlock } from '../../../vmm/regs/block.ts';
import { ro, rw, unimpl, w1c, w1cs, wo } from '../../../vmm/regs/field.ts';
import { reg32, reg64, struct } from '../../../vmm/regs/layout.ts';
import { cMacros, markdownTable } from '../../../vmm/regs/views.ts';

const ENTRY = struct('ENTRY', 16, 'Doc: Entry', {
  P: rw(0, 0, 'present'),
  PTR: rw(63, 12, 'pointer'),
  AW: rw(66, 64, 'width', { 2: '48-bit' }),
  DID: rw(87, 72, 'domain'),
});
const STATUS = reg32(0x34, 'FSTS', 'Doc: Status', {
  PFO: w1cs(0, 0, 'overflow'),
  IQE: w1c(4, 4, 'queue error'),
  FRI: ro(15, 8, 'index'),
});
const CONTROL = reg32(0x38, 'FECTL', 'Doc: Control', {
  IM: rw(31, 31, 'mask', undefined, 1),
  IP: ro(30, 30, 'pending'),
});
const COMMAND = reg32(0x18, 'GCMD', 'Doc: Command', { TE: wo(31, 31, 'enable') });
const BASE = reg64(0x90, 'IQA', 'Doc: Base', {
  IQA: rw(63, 12, 'base'),
  QS: rw(2, 0, 'size'),
  X: unimpl(3, 3, 'not done'),
});

describe('a layout', () => {
  test('decodes fields that span words', () => {
    const words = Uint32Array.of(0x89abc001, 0x01234567, 0x00000002, 0);
    expect(ENTRY.get.PTR(words, 0)).toBe(0x0123456789abc);
    expect(ENTRY.decode(words)).toEqual({ P: 1, PTR: 0x0123456789abc, AW: 2, DID: 0 });
    expect(ENTRY.show(words)).toBe('P=1 PTR=0x123456789abc AW=2 (48-bit)');
  });

  test('packs what it decodes', () => {
    fc.assert(
      fc.property(
        fc.nat(1),
        fc.integer({ min: 0, max: 2 ** 52 - 1 }),
        fc.nat(7),
        fc.nat(0xffff),
        (P, PTR, AW, DID) => {
          const words = ENTRY.pack({ P, PTR, AW, DID });
          expect(ENTRY.decode(words)).toEqual({ P, PTR, AW, DID });
        },
      ),
    );
  });

  test('knows every undeclared bit as reserved', () => {
    expect([...ENTRY.reserved]).toEqual([0x00000ffe, 0, 0xff0000f8, 0xffffffff]);
  });

  test('refuses overlapping and overflowing fields', () => {
    expect(() => reg32(0, 'R', 'Doc: R', { A: rw(4, 0, ''), B: rw(4, 4, '') })).toThrow(Bug);
    expect(() => reg32(0, 'R', 'Doc: R', { A: rw(32, 31, '') })).toThrow(Bug);
  });
});

describe('a register block', () => {
  const block = new RegisterBlock([STATUS, CONTROL, COMMAND, BASE], 0x100);

  test('starts with the declared reset values', () => {
    expect(block.read32(block.fresh(), 0x38)).toBe(0x80000000);
  });

  test('applies read-write, read-only, write-1-clear and write-only fields', () => {
    const s = block.fresh();
    s[0x34 / 4] = 0x0000_0311;
    block.write32(s, 0x34, 0xffff_ff10);
    expect(block.read32(s, 0x34)).toBe(0x0000_0301);
    block.write32(s, 0x38, 0x4000_0000);
    expect(block.read32(s, 0x38)).toBe(0);
    block.write32(s, 0x18, 0x8000_0000);
    expect(block.read32(s, 0x18)).toBe(0);
  });

  test('ignores reserved and unimplemented bits', () => {
    const s = block.fresh();
    block.write32(s, 0x90, 0xffff_ffff);
    expect(block.read32(s, 0x90)).toBe(0xffff_f007);
  });

  test('writes only the enabled bytes', () => {
    const s = block.fresh();
    block.write32(s, 0x90, 0xffff_ffff, 0x0000_ff00);
    expect(block.read32(s, 0x90)).toBe(0x0000_f000);
  });

  test('keeps sticky fields over a warm reset and no others', () => {
    const s = block.fresh();
    s[0x34 / 4] = 0x11;
    s[0x38 / 4] = 0;
    block.warmReset(s);
    expect(block.read32(s, 0x34)).toBe(0x1);
    expect(block.read32(s, 0x38)).toBe(0x80000000);
  });

  test('refuses two registers at one offset', () => {
    expect(() => new RegisterBlock([STATUS, STATUS], 0x100)).toThrow(Bug);
  });
});

describe('views', () => {
  test('give C macros with shift, mask and bit', () => {
    expect(cMacros('vtd', CONTROL)).toBe(
      '/* Doc: Control */\n#define VTD_FECTL 0x38\n#define VTD_FECTL_IM_SHIFT 31\n#define VTD_FECTL_IM_MASK 0x1u\n' +
        '#define VTD_FECTL_IM (1u << 31) /* mask */\n#define VTD_FECTL_IP_SHIFT 30\n#define VTD_FECTL_IP_MASK 0x1u\n' +
        '#define VTD_FECTL_IP (1u << 30) /* pending */\n',
    );
    expect(cMacros('vtd', ENTRY)).toContain('#define VTD_ENTRY_DID_QW 1\n#define VTD_ENTRY_DID_SHIFT 8');
  });

  test('give a Markdown table', () => {
    expect(markdownTable(CONTROL)).toContain('| 31 | IM | rw | mask |');
  });
});
