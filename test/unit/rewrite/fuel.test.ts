import { describe, expect, test } from 'vitest';
import { boot, DEVICE, END, guestWithMemory, I32_LOAD, I32_STORE } from '../../kit/rewrite-rig.ts';
import { i32c, leb, mem, T, vec, type WasmBuilder } from '../../kit/wasm-builder.ts';
import { GuestFault } from '../../kit/wasm-trap-world.ts';

describe('fuel', () => {
  /** Instructions counted while a function runs, with a quantum that is not used up. */
  function counted(
    builder: WasmBuilder,
    name: string,
    args: number[] = [],
    imports: WebAssembly.Imports = {},
  ): number {
    builder.memory(1);
    const { guest, exports } = boot(builder.build(), { fuel: 'exact' }, imports);
    guest['tsvmm_set_fuel']!(1000);
    guest[name]!(...args);
    const fuel = exports['tsvmm_fuel'] as WebAssembly.Global;
    expect(fuel.value).toBe(BigInt(guest['tsvmm_get_fuel']!() as number));
    return 1000 - Number(fuel.value);
  }

  test('straight-line code costs its number of instructions, structure costs nothing', () => {
    const b = guestWithMemory();
    // block; nop; i32.const; drop; end; nop
    b.func([], [], [0x02, 0x40, 0x01, ...i32c(1), 0x1a, END, 0x01], { name: 'f' });
    expect(counted(b, 'f')).toBe(4);
  });

  // local.get, if; then: nop nop nop; else: nop; end; nop
  test.each([
    [1, 6],
    [0, 4],
  ])('an if with condition %i counts the branch that was taken: %i', (condition, count) => {
    const b = guestWithMemory();
    b.func([T.i32], [], [0x20, 0, 0x04, 0x40, 1, 1, 1, 0x05, 1, END, 1], { name: 'f' });
    expect(counted(b, 'f', [condition])).toBe(count);
  });

  test('a loop costs its body times its turns', () => {
    const b = guestWithMemory();
    // loop; local.get 0; i32.const 1; i32.sub; local.tee 0; br_if 0; end: 5 each turn
    const body = [0x03, 0x40, 0x20, 0, ...i32c(1), 0x6b, 0x22, 0, 0x0d, 0, END];
    b.func([T.i32], [], body, { name: 'f' });
    expect(counted(b, 'f', [10])).toBe(50);
  });

  test.each([
    [0, 3],
    [1, 4],
    [7, 5],
  ])('br_table to case %i counts %i', (index, count) => {
    const b = guestWithMemory();
    // block block block; local.get 0; br_table 0 1 2(default); end nop(default: 2 outermost) ...
    const body = [0x02, 0x40, 0x02, 0x40, 0x02, 0x40, 0x20, 0, 0x0e, 2, 2, 1, 0, END, 1, END, 1, END, 1];
    b.func([T.i32], [], body, { name: 'f' });
    expect(counted(b, 'f', [index])).toBe(count);
  });

  test('leaving by return, by br and by br_if out of the function all count up to there', () => {
    const b = guestWithMemory();
    // local.get; i32.const; i32.eq; if; nop; return; end; local.get; i32.const; i32.eq; br_if 0; nop; br 0
    const eq = (n: number): number[] => [0x20, 0, ...i32c(n), 0x46];
    b.func([T.i32], [], [...eq(1), 0x04, 0x40, 1, 0x0f, END, ...eq(2), 0x0d, 0, 1, 0x0c, 0], { name: 'f' });
    b.memory(1);
    const { guest } = boot(b.build(), { fuel: 'exact' });
    const run = (n: number): number => {
      guest['tsvmm_set_fuel']!(100);
      guest['f']!(n);
      return 100 - (guest['tsvmm_get_fuel']!() as number);
    };
    expect([run(1), run(2), run(3)]).toEqual([6, 8, 10]);
  });

  test('branching out of a function with results keeps them', () => {
    const b = guestWithMemory();
    b.func([T.i32], [T.i32], [...i32c(42), 0x20, 0, 0x0d, 0, 0x1a, ...i32c(7)], { name: 'one' });
    b.func(
      [T.i32],
      [T.i32, T.i32],
      [...i32c(1), ...i32c(2), 0x20, 0, 0x0d, 0, 0x1a, 0x1a, ...i32c(3), ...i32c(4)],
      {
        name: 'two',
      },
    );
    b.memory(1);
    const { guest } = boot(b.build(), { fuel: 'exact' });
    expect([guest['one']!(1), guest['one']!(0), guest['two']!(1), guest['two']!(0)]).toEqual([
      42,
      7,
      [1, 2],
      [3, 4],
    ]);
  });

  test('calls, indirect calls and tail calls add what the callee costs', () => {
    const b = guestWithMemory();
    const three = b.func([], [], [1, 1, 1]);
    const type = b.type([]);
    b.tables.push([T.funcref, 0, 1]);
    b.elements.push([0, ...i32c(0), END, ...vec([leb(three)])]);
    // call; nop; i32.const; call_indirect; nop; return_call
    b.func([], [], [0x10, three, 1, ...i32c(0), 0x11, type, 0, 1, 0x12, three], { name: 'f' });
    b.func([], [], [...i32c(0), 0x13, type, 0], { name: 'g' });
    expect(counted(b, 'f')).toBe(6 + 9);
    const { guest } = boot(b.build(), { fuel: 'exact' });
    guest['tsvmm_set_fuel']!(100);
    guest['g']!();
    expect(guest['tsvmm_get_fuel']!()).toBe(95);
  });

  test('a trapped access sees the exact count, its own instruction included', () => {
    const b = guestWithMemory();
    // nop; i32.const; i32.load (MMIO); drop; i32.const; i32.const; i32.store (MMIO); nop
    const base = i32c(DEVICE);
    b.func([], [], [1, ...base, ...mem(I32_LOAD, 0), 0x1a, ...base, ...i32c(5), ...mem(I32_STORE, 4), 1], {
      name: 'f',
    });
    b.memory(1);
    const { guest, world } = boot(b.build(), { fuel: 'exact' });
    const seen: number[] = [];
    world.onMmio = () => seen.push(100 - (guest['tsvmm_get_fuel']!() as number));
    guest['tsvmm_set_fuel']!(100);
    guest['f']!();
    expect(seen).toEqual([3, 7]);
    expect(guest['tsvmm_get_fuel']!()).toBe(92);
  });

  test('what the host charges during a trap stays charged', () => {
    const b = guestWithMemory();
    b.func([], [], [1, ...i32c(DEVICE), ...mem(I32_LOAD, 0), 0x1a], { name: 'f' });
    b.memory(1);
    const { guest, world } = boot(b.build(), { fuel: 'exact' });
    world.onMmio = () => guest['tsvmm_set_fuel']!((guest['tsvmm_get_fuel']!() as number) - 50);
    guest['tsvmm_set_fuel']!(100);
    guest['f']!();
    expect(guest['tsvmm_get_fuel']!()).toBe(46);
  });

  test('an endless loop asks at its head, is refilled, and stops when the host throws', () => {
    const b = guestWithMemory();
    b.func([], [], [0x03, 0x40, 1, 0x0c, 0, END], { name: 'f' });
    b.memory(1);
    const { guest, world } = boot(b.build(), { fuel: 'exact' });
    const seen: number[] = [];
    world.onSafepoint = () => {
      seen.push(guest['tsvmm_get_fuel']!() as number);
      if (seen.length === 3) throw new GuestFault('runaway');
      guest['tsvmm_set_fuel']!(9);
    };
    guest['tsvmm_set_fuel']!(10);
    expect(() => guest['f']!()).toThrow('runaway');
    expect(seen).toEqual([-2, -1, -1]);
  });

  test('endless recursion asks at the entry', () => {
    const b = guestWithMemory();
    b.func([], [], [1, 0x10, 0], { name: 'f' });
    b.memory(1);
    const { guest } = boot(b.build(), { fuel: 'exact' });
    guest['tsvmm_set_fuel']!(100);
    expect(() => guest['f']!()).toThrow('out of fuel');
    expect(guest['tsvmm_get_fuel']!()).toBe(-2);
  });

  test('exceptions lose no instructions: thrown, caught, rethrown, delegated', () => {
    const b = guestWithMemory();
    b.tags.push([0, ...leb(b.type([]))]);
    const thrower = b.func([], [], [1, 0x08, 0]);
    // try; nop; call thrower (nop, throw); nop; catch 0; nop; nop; end; nop
    b.func([], [], [0x06, 0x40, 1, 0x10, thrower, 1, 0x07, 0, 1, 1, END, 1], { name: 'f' });
    // try; try; call; delegate 0; catch_all; nop; end
    b.func([], [], [0x06, 0x40, 0x06, 0x40, 0x10, thrower, 0x18, 0, 0x19, 1, END], { name: 'g' });
    // try; try; call; catch_all; rethrow 0; end; catch_all; nop; end
    b.func([], [], [0x06, 0x40, 0x06, 0x40, 0x10, thrower, 0x19, 0x09, 0, END, 0x19, 1, END], { name: 'h' });
    b.func([T.i32], [], [0x06, 0x40, 0x20, 0, ...mem(I32_LOAD, 0), 0x1a, 0x19, 1, END, 0x03, 0x40, END], {
      name: 'mmio',
    });
    expect(counted(b, 'f')).toBe(2 + 2 + 3);
    const { guest, world } = boot(b.build(), { fuel: 'exact' });
    const run = (name: string, ...args: number[]): number => {
      guest['tsvmm_set_fuel']!(100);
      guest[name]!(...args);
      return 100 - (guest['tsvmm_get_fuel']!() as number);
    };
    expect([run('g'), run('h'), run('mmio', DEVICE)]).toEqual([4, 5, 3]);
    world.onMmio = () => {
      throw new GuestFault('caught by catch_all');
    };
    expect(run('mmio', DEVICE)).toBe(3);
  });

  test('the count does not depend on hints or on whether accesses trap', () => {
    const b = guestWithMemory();
    const body = [0x20, 0, ...i32c(7), ...mem(I32_STORE, 0), 0x20, 0, ...mem(I32_LOAD, 0), 0x1a];
    b.func([T.i32], [], body, { name: 'f' });
    b.memory(1);
    const counts = [true, false].flatMap((branchHints) => {
      const { guest } = boot(b.build(), { fuel: 'exact', branchHints });
      return [0x1000, 0x1000, DEVICE].map((address) => {
        guest['tsvmm_set_fuel']!(100);
        guest['f']!(address);
        return 100 - (guest['tsvmm_get_fuel']!() as number);
      });
    });
    expect(counts).toEqual([6, 6, 6, 6, 6, 6]);
  });

  test('bulk operations and atomics count one each', () => {
    const b = guestWithMemory();
    const zero3 = [...i32c(0), ...i32c(0), ...i32c(8)];
    b.func(
      [],
      [],
      [...zero3, 0xfc, 10, 0, 0, ...zero3, 0xfc, 11, 0, ...i32c(0), ...mem([0xfe, 0x10], 0, 2), 0x1a],
      {
        name: 'f',
      },
    );
    b.func([], [], [0xfe, 3, 0], { name: 'fence' });
    expect(counted(b, 'f')).toBe(11);
  });
});
