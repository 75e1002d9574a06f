import { describe, expect, test } from 'vitest';
import { GuestRam } from '../../../vmm/mem/ram.ts';
import { VmsaWalker } from '../../../vmm/vcpu/process/vmsa-walk.ts';

const BASE = 0x40000000;
const [L0, L1, L2, L3] = [BASE, BASE + 0x1000, BASE + 0x2000, BASE + 0x3000];
const VA = 0x00405000;
const PAGE = 0x40008000;

/** Tables of four levels with one last entry, for VA. */
function walk(leafLo: number, leafHi: number, write: boolean, tableHi = 0) {
  const ram = new GuestRam(BASE, 0x10000);
  const put = (at: number, lo: number, hi = 0) => {
    ram.u32[at >>> 2] = lo;
    ram.u32[(at >>> 2) + 1] = hi;
  };
  put(L0, L1 | 3);
  put(L1, L2 | 3);
  put(L2 + 2 * 8, L3 | 3, tableHi);
  put(L3 + 5 * 8, leafLo, leafHi);
  const walker = new VmsaWalker(ram);
  const fault = walker.walk(L0, 0, 4, VA, write);
  return { fault, page: walker.pageLo, flags: walker.flags, entry: ram.u32[(L3 + 5 * 8) >>> 2] };
}

describe('a VMSAv8-64 walk from EL0', () => {
  test.each([
    ['read of a page for EL0', PAGE | 0x443, 0, false, 0, 0],
    ['write of it', PAGE | 0x443, 0, true, 0, 0],
    ['an invalid descriptor', PAGE, 0, false, 0, 4],
    ['a reserved type at the last level', PAGE | 0x441, 0, false, 0, 4],
    ['a page for EL1 only', PAGE | 0x403, 0, false, 0, 5],
    ['a write of a read-only page', PAGE | 0x4c3, 0, true, 0, 7],
    ['a write below a read-only table', PAGE | 0x443, 0, true, 0x40000000, 7],
    ['a read below a table without EL0', PAGE | 0x443, 0, false, 0x20000000, 5],
  ])('%s', (_, lo, hi, write, tableHi, expected) => {
    expect(walk(lo, hi, write, tableHi).fault).toBe(expected);
  });

  test('sets the access flag, and with DBM gives write permission', () => {
    expect(walk(PAGE | 0x43, 0, false)).toEqual({ fault: 0, page: PAGE, flags: 7, entry: PAGE | 0x443 });
    expect(walk(PAGE | 0xc3, 1 << 19, false)).toMatchObject({ flags: 3, entry: PAGE | 0x4c3 });
    expect(walk(PAGE | 0xc3, 1 << 19, true)).toMatchObject({ fault: 0, flags: 7, entry: PAGE | 0x443 });
  });
});
