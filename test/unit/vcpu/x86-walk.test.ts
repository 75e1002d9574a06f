import { describe, expect, test } from 'vitest';
import { GuestRam } from '../../../vmm/mem/ram.ts';
import { Mmu } from '../../../vmm/vcpu/process/mmu.ts';
import { TLB_DIRTY, TLB_VALID, TLB_WRITE } from '../../../vmm/vcpu/process/page-walk.ts';
import { Tlb } from '../../../vmm/vcpu/process/tlb.ts';
import { X86Walker } from '../../../vmm/vcpu/process/x86-walk.ts';

const MIB = 1 << 20;
const [PML4, PDPT, PD, PT, PML5] = [0x1000, 0x2000, 0x3000, 0x4000, 0x5000];
/** Bits of entries (Intel SDM: 4-Level Paging). */
const [P, W, U, A, D, PS] = [1, 2, 4, 0x20, 0x40, 0x80];
/** Page 5 of the second 2 MiB. */
const VA = 0x205000;

function tables() {
  const ram = new GuestRam(0, 4 * MIB, 0, true);
  const set = (table: number, index: number, lo: number, hi = 0) => {
    ram.u32[table / 4 + index * 2] = lo;
    ram.u32[table / 4 + index * 2 + 1] = hi;
  };
  const get = (table: number, index: number) => ram.u32[table / 4 + index * 2]!;
  set(PML5, 0, PML4 | P | W | U);
  set(PML4, 0, PDPT | P | W | U);
  set(PDPT, 0, PD | P | W | U);
  set(PD, 1, PT | P | W | U);
  set(PT, 5, 0x123000 | P | W | U);
  return { ram, set, get, walker: new X86Walker(ram) };
}

const READ = false;
const WRITE = true;

describe('a walk of x86 tables', () => {
  test.each([
    [4, PML4],
    [5, PML5],
  ])('of %i levels ends at the page and marks it accessed', (levels, root) => {
    const { walker, get } = tables();

    expect(walker.walk(root, 0, levels, VA, READ)).toBe(0);

    expect([walker.pageLo, walker.pageHi, walker.flags]).toEqual([0x123000, 0, TLB_VALID | TLB_WRITE]);
    expect([get(PML4, 0), get(PD, 1), get(PT, 5)].map((entry) => entry & (A | D))).toEqual([A, A, A]);
  });

  test('for a write marks only the leaf dirty', () => {
    const { walker, get } = tables();

    expect(walker.walk(PML4, 0, 4, VA, WRITE)).toBe(0);

    expect(walker.flags).toBe(TLB_VALID | TLB_WRITE | TLB_DIRTY);
    expect([get(PD, 1) & D, get(PT, 5) & D]).toEqual([0, D]);
  });

  test.each([
    ['an absent page', PT, 5, 0, READ, 4],
    ['an absent page, written', PT, 5, 0, WRITE, 6],
    ['an absent table', PDPT, 0, 0, READ, 4],
    ['a page of the kernel', PT, 5, 0x123000 | P | W, READ, 5],
    ['tables of the kernel', PML4, 0, PDPT | P | W, READ, 5],
    ['a write to a read-only page', PT, 5, 0x123000 | P | U, WRITE, 7],
    ['a write below a read-only table', PD, 1, PT | P | U, WRITE, 7],
    ['a large page in the root', PML4, 0, PDPT | P | W | U | PS, READ, 13],
    ['reserved bits of a 2 MiB page', PD, 1, 0x202000 | P | W | U | PS, READ, 13],
    ['reserved bits of a 1 GiB page', PDPT, 0, 0x200000 | P | W | U | PS, WRITE, 15],
  ])('that meets %s is a fault with the error code of the manual', (_, table, index, entry, write, code) => {
    const { walker, set, get } = tables();
    set(table, index, entry);

    expect(walker.walk(PML4, 0, 4, VA, write)).toBe(code);

    expect(get(PT, 5) & (A | D)).toBe(0);
  });

  test('a read of a read-only page is none', () => {
    const { walker, set } = tables();
    set(PT, 5, 0x123000 | P | U);

    expect(walker.walk(PML4, 0, 4, VA, READ)).toBe(0);
    expect(walker.flags).toBe(TLB_VALID);
  });

  test('tables outside of RAM are a fault', () => {
    const { walker, set } = tables();
    set(PD, 1, 0x7f000000 | P | W | U);

    expect(walker.walk(PML4, 0, 4, VA, READ)).toBe(13);
  });

  test('large pages give the 4 KiB page within them', () => {
    const { walker, set } = tables();
    set(PD, 1, 0x600000 | P | W | U | PS);
    expect(walker.walk(PML4, 0, 4, VA, READ)).toBe(0);
    expect(walker.pageLo).toBe(0x605000);

    set(PDPT, 3, (0xc0000000 | P | W | U | PS) >>> 0, 0x12);
    expect(walker.walk(PML4, 0, 4, 0xc0605fff, READ)).toBe(0);
    expect([walker.pageLo >>> 0, walker.pageHi]).toEqual([0xc0605000, 0x12]);
  });

  test('a store of the walk to a watched table is seen', () => {
    const { ram, walker } = tables();
    const seen: number[] = [];
    ram.watch(PT, { stored: (address) => seen.push(address) });

    walker.walk(PML4, 0, 4, VA, WRITE);
    walker.walk(PML4, 0, 4, VA, WRITE);

    expect(seen).toEqual([PT + 40]);
  });
});

describe('the translations a processor remembers', () => {
  const space = () => ({ tlb: new Tlb(), rootLo: PML4, rootHi: 0, levels: 4 });

  function mmuOf() {
    const world = tables();
    const mmu = new Mmu(world.ram, world.walker);
    const own = space();
    mmu.switchTo(own);
    return { ...world, mmu, own };
  }

  test('outlast a change of the tables until they are flushed', () => {
    const { mmu, set, own } = mmuOf();
    mmu.translate(VA, READ);
    set(PT, 5, 0x222000 | P | W | U);

    mmu.translate(VA, READ);
    expect(mmu.pageLo).toBe(0x123000);
    mmu.flush(own, VA >>> 12, VA >>> 12);
    mmu.translate(VA, READ);
    expect(mmu.pageLo).toBe(0x222000);
  });

  test('outlast a switch to another address space and back', () => {
    const { mmu, set, own } = mmuOf();
    mmu.translate(VA, READ);
    set(PT, 5, 0);

    mmu.switchTo(space());
    expect(mmu.translate(VA, READ)).toBe(4);
    mmu.switchTo(own);
    expect(mmu.translate(VA, READ)).toBe(0);
  });

  test('of a page read first are walked again for its first write, which marks it dirty', () => {
    const { mmu, get } = mmuOf();
    mmu.translate(VA, READ);
    expect(get(PT, 5) & D).toBe(0);

    mmu.translate(VA, WRITE);

    expect(get(PT, 5) & D).toBe(D);
  });

  test('go when their page faults', () => {
    const { mmu, set } = mmuOf();
    set(PT, 5, 0x123000 | P | U);
    mmu.translate(VA, READ);

    expect(mmu.translate(VA, WRITE)).toBe(7);
    set(PT, 5, 0x222000 | P | U);

    mmu.translate(VA, READ);
    expect(mmu.pageLo).toBe(0x222000);
  });

  test('of a large page go together, whichever address is flushed', () => {
    const { mmu, set, own } = mmuOf();
    set(PD, 1, 0x600000 | P | W | U | PS);
    mmu.translate(VA, READ);
    mmu.translate(VA + 0x1000, READ);

    mmu.flush(own, 0x3ff, 0x3ff);

    expect(own.tlb.entries()).toEqual([]);
  });

  test('let code store directly only where nobody wants to know', () => {
    const { mmu, ram } = mmuOf();
    const entry = () => ram.u32[ram.layout.tlbWrite / 4 + (VA >>> 12)]!;
    mmu.translate(VA, WRITE);
    expect(mmu.direct(VA, 0x123000, true)).toBe((0x123000 - VA - 1) | 0);
    expect(entry()).not.toBe(0);

    ram.watch(0x123000, { stored: () => {} });

    expect(entry()).toBe(0);
    expect(mmu.direct(VA, 0x123000, true)).toBe(0);
  });

  test('of many pages are listed for a snapshot and dropped by range', () => {
    const { mmu, own, set } = mmuOf();
    for (let i = 0; i < 16; i++) set(PT, i, ((0x100 + i) << 12) | P | W | U);
    for (let i = 0; i < 16; i++) mmu.translate(0x200000 + i * 4096, READ);

    mmu.flush(own, 0x202, 0x20d);

    expect(own.tlb.entries().map((entry) => entry.page)).toEqual([0x200, 0x201, 0x20e, 0x20f]);
  });
});
