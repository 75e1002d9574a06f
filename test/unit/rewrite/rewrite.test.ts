import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { hiddenLayout } from '../../../vmm/mem/layout.ts';
import {
  decodeRewritten,
  encodeRewritten,
  originalPosition,
  REWRITER_VERSION,
  RewriteError,
  rewrite,
} from '../../../vmm/vcpu/rewrite/index.ts';
import {
  boot,
  DEVICE,
  END,
  type Guest,
  I32_LOAD,
  I32_STORE,
  layout,
  refusal,
} from '../../kit/rewrite-rig.ts';
import { runs } from '../../kit/runs.ts';
import { i32c, leb, mem, sleb, str, T, vec, WasmBuilder } from '../../kit/wasm-builder.ts';
import { TestDevice, TrapWorld } from '../../kit/wasm-trap-world.ts';

describe('memory size', () => {
  function sizes(min: number, max?: number): WasmBuilder {
    const b = new WasmBuilder();
    b.memory(min, max);
    b.func([], [T.i32], [0x3f, 0], { name: 'size' });
    b.func([T.i32], [T.i32], [0x20, 0, 0x40, 0], { name: 'grow' });
    return b;
  }

  test('starts as declared and grows within RAM, without the memory changing', () => {
    const { guest, world, result } = boot(sizes(2).build());
    const before = world.memory.buffer.byteLength;
    expect([guest['size']!(), guest['grow']!(3), guest['size']!()]).toEqual([2, 2, 5]);
    expect([guest['grow']!(12), guest['size']!(), guest['grow']!(11), guest['size']!()]).toEqual([
      -1, 5, 5, 16,
    ]);
    expect(guest['grow']!(-1)).toBe(-1);
    expect(world.memory.buffer.byteLength).toBe(before);
    expect([result.initialPages, result.maximumPages]).toEqual([2, 16]);
  });

  test('stops at the declared maximum and at growLimit', () => {
    expect(rewrite(sizes(2, 5).build(), { layout, fuel: 'off' }).maximumPages).toBe(5);
    expect(rewrite(sizes(2).build(), { layout, fuel: 'off', growLimit: 0x7ffff }).maximumPages).toBe(7);
    expect(rewrite(sizes(9).build(), { layout, fuel: 'off', growLimit: 0x7ffff }).maximumPages).toBe(9);
  });

  test('the size is a mutable global, for snapshots', () => {
    const { guest, exports, result } = boot(sizes(2).build());
    const pages = exports['tsvmm_pages'] as WebAssembly.Global;
    pages.value = 4;
    expect(guest['size']!()).toBe(4);
    expect(result.mutableGlobals).toEqual([{ name: 'tsvmm_pages', type: 'i32' }]);
  });
});

describe('imports', () => {
  function abiGuest(): WasmBuilder {
    const b = new WasmBuilder();
    b.memory(1);
    const read = b.importFunction('tsvmm', 'mmio_read', [T.i64, T.i32], [T.i64]);
    const write = b.importFunction('tsvmm', 'mmio_write', [T.i64, T.i32, T.i64]);
    b.importFunction('wasi_snapshot_preview1', 'fd_write', [T.i32, T.i64], [T.i32]);
    const port = b.importFunction('tsvmm', 'port_in', [T.i32, T.i32], [T.i32]);
    b.tables.push([T.funcref, 0, 3]);
    b.elements.push([0, ...i32c(0), END, ...vec([leb(read), leb(write), leb(port)])]);
    b.elements.push([5, T.funcref, ...vec([[0xd2, read, END]])]);
    b.func([T.i64], [T.i64], [0x20, 0, ...i32c(8), 0x10, read], { name: 'direct' });
    b.func([T.i64], [T.i64], [0x20, 0, ...i32c(8), ...i32c(0), 0x11, b.type([T.i64, T.i32], [T.i64]), 0], {
      name: 'indirect',
    });
    b.func([T.i64, T.i64], [], [0x20, 0, ...i32c(8), 0x20, 1, 0x10, write], { name: 'write' });
    b.func([], [T.i32], [...i32c(0x60), ...i32c(1), 0x10, port], { name: 'in' });
    b.func([], [T.funcref], [0xd2, read], { name: 'reference' });
    b.export('exported', 0, read);
    b.names([
      [0, 'mmio_read'],
      [4, 'direct_in_c'],
    ]);
    return b;
  }

  test('64-bit values of the guest ABI cross as halves, whichever way the import is reached', () => {
    const calls: unknown[] = [];
    const world = new TrapWorld(layout, new TestDevice(DEVICE, 0x1000));
    const result = rewrite(abiGuest().build(), { layout, fuel: 'exact' });
    const words = new Uint32Array(world.memory.buffer);
    const guest = world.instantiate(result, {
      wasi_snapshot_preview1: { fd_write: () => 0 },
      tsvmm: {
        mmio_read: (...args: number[]) => {
          calls.push(args.map((a) => a >>> 0));
          words[layout.hiWord >>> 2] = 0x89abcdef;
          return 0x81234567;
        },
        mmio_write: (...args: number[]) => void calls.push(args.map((a) => a >>> 0)),
        port_in: () => 0x5a,
      },
    }) as unknown as Guest;
    guest['tsvmm_set_fuel']!(1000);
    const value = BigInt.asIntN(64, 0x89abcdef81234567n);
    expect(guest['direct']!(0x1_8000_0004n)).toBe(value);
    expect(guest['indirect']!(0x2_0000_0000n)).toBe(value);
    expect(guest['exported']!(5n, 4)).toBe(value);
    expect((guest['reference']!() as unknown as (a: bigint, b: number) => bigint)(6n, 1)).toBe(value);
    guest['write']!(-1n, 0x1122334455667788n);
    expect(guest['in']!()).toBe(0x5a);
    expect(calls).toEqual([
      [0x80000004, 1, 8],
      [0, 2, 8],
      [5, 0, 4],
      [6, 0, 1],
      [0xffffffff, 0xffffffff, 8, 0x55667788, 0x11223344],
    ]);
  });

  test('are listed as the guest declares them', () => {
    const result = rewrite(abiGuest().build(), { layout, fuel: 'off' });
    expect(result.imports).toEqual([
      { module: 'tsvmm', name: 'mmio_read', kind: 'func' },
      { module: 'tsvmm', name: 'mmio_write', kind: 'func' },
      { module: 'wasi_snapshot_preview1', name: 'fd_write', kind: 'func' },
      { module: 'tsvmm', name: 'port_in', kind: 'func' },
    ]);
    expect(result.exports.find((e) => e.name === 'write')).toEqual({
      name: 'write',
      kind: 'func',
      type: 'i64 i64 ->',
    });
    expect(result.functionNames[4]).toBe('direct_in_c');
    expect(result.functionNames[6]).toBe('write');
    expect(result.table).toBe('tsvmm_table');
  });

  test('an imported memory becomes RAM; globals, tables and tags of other modules pass', () => {
    const b = new WasmBuilder();
    b.imports.push([...str('env'), ...str('memory'), 2, 0, 2]);
    b.imports.push([...str('env'), ...str('g'), 3, T.i32, 1]);
    b.imports.push([...str('env'), ...str('t'), 1, T.funcref, 1, 1, 9]);
    b.imports.push([...str('env'), ...str('e'), 4, 0, ...leb(b.type([]))]);
    b.func([], [T.i32], [0x3f, 0, 0x23, 0, 0x6a], { name: 'f' });
    const { guest, exports, result } = boot(b.build(), {}, {
      env: {
        g: new WebAssembly.Global({ value: 'i32', mutable: true }, 40),
        t: new WebAssembly.Table({ element: 'anyfunc', initial: 2, maximum: 9 }),
        e: new (WebAssembly as unknown as { Tag: new (t: object) => object }).Tag({ parameters: [] }),
      },
    } as unknown as WebAssembly.Imports);
    expect(guest['f']!()).toBe(42);
    expect(exports['memory']).toBeInstanceOf(WebAssembly.Memory);
    expect(result.imports.map((i) => i.kind)).toEqual(['global', 'table', 'tag']);
    expect(result.mutableGlobals[0]).toEqual({ name: 'tsvmm_g0', type: 'i32' });
  });

  test('unknown and wrongly declared ones of tsvmm are refused by name', () => {
    const b = new WasmBuilder();
    b.memory(1);
    b.importFunction('tsvmm', 'mmio_raed', [T.i64, T.i32], [T.i64]);
    expect(refusal(b.build())).toMatch(/import tsvmm\.mmio_raed does not exist.*did you mean 'mmio_read'/);
    const c = new WasmBuilder();
    c.memory(1);
    c.importFunction('tsvmm', 'mmio_read', [T.i32, T.i32], [T.i32]);
    expect(refusal(c.build())).toMatch(
      /mmio_read is declared as \(i32 i32 -> i32\), expected \(i64 i32 -> i64\)/,
    );
    const d = new WasmBuilder();
    d.memory(1);
    d.imports.push([...str('tsvmm'), ...str('mmio_read'), 3, T.i32, 0]);
    expect(refusal(d.build())).toMatch(/is a global; tsvmm has functions only/);
    const e = new WasmBuilder();
    e.memory(1);
    e.importFunction('tsvmm_vm', 'load8', []);
    expect(refusal(e.build())).toMatch(/module name tsvmm_vm is reserved/);
  });
});

describe('globals, tables, start', () => {
  test('all mutable globals are exported and the stack pointer is found by its name', () => {
    const b = new WasmBuilder();
    b.memory(1);
    b.globals.push([T.i32, 1, ...i32c(0x8000), END], [T.i64, 1, 0x42, 5, END], [T.i32, 0, ...i32c(-16), END]);
    b.globals.push([T.f64, 1, 0x44, 0, 0, 0, 0, 0, 0, 0, 0, END], [T.funcref, 1, 0xd0, T.funcref, END]);
    b.globals.push([T.f32, 0, 0x43, 0, 0, 0, 0, END]);
    b.globals.push([T.v128, 0, 0xfd, 12, ...new Array<number>(16).fill(1), END]);
    b.export('counter', 3, 1);
    b.export('__heap_base', 3, 2);
    b.names([], [[0, '__stack_pointer']]);
    const { exports, result } = boot(b.build(), { fuel: 'exact' });
    expect(result.stackPointer).toBe('tsvmm_g0');
    expect((exports['tsvmm_g0'] as WebAssembly.Global).value).toBe(0x8000);
    expect(result.mutableGlobals).toEqual([
      { name: 'tsvmm_g0', type: 'i32' },
      { name: 'counter', type: 'i64' },
      { name: 'tsvmm_g3', type: 'f64' },
      { name: 'tsvmm_g4', type: 'funcref' },
      { name: 'tsvmm_pages', type: 'i32' },
      { name: 'tsvmm_fuel', type: 'i64' },
    ]);
    expect(result.constants).toEqual({ __heap_base: 0xfffffff0 });
  });

  test('the table keeps the name it is exported under', () => {
    const b = new WasmBuilder();
    b.memory(1);
    b.tables.push([0x6f, 0, 1], [T.funcref, 1, 1, 4]);
    b.export('__indirect_function_table', 1, 1);
    expect(rewrite(b.build(), { layout, fuel: 'off' }).table).toBe('__indirect_function_table');
  });

  test('the start function is exported, not run', () => {
    const b = new WasmBuilder();
    b.memory(1);
    b.globals.push([T.i32, 1, ...i32c(0), END]);
    b.start = b.func([], [], [...i32c(9), 0x24, 0]);
    const { guest, exports, result } = boot(b.build());
    const global = exports['tsvmm_g0'] as WebAssembly.Global;
    expect([result.start, global.value]).toEqual(['tsvmm_start', 0]);
    guest['tsvmm_start']!();
    expect(global.value).toBe(9);
  });

  test('every form of element segment keeps pointing at its function', () => {
    const b = new WasmBuilder();
    b.memory(1);
    b.tables.push([T.funcref, 0, 20], [T.funcref, 0, 4]);
    const f = b.func([], [T.i32], i32c(77));
    const at = (n: number): number[] => [...i32c(n), END];
    b.elements.push([0, ...at(0), 1, f], [1, 0, 1, f], [2, 0, ...at(1), 0, 1, f], [3, 0, 1, f]);
    b.elements.push([4, ...at(2), 1, 0xd2, f, END], [5, T.funcref, 2, 0xd2, f, END, 0xd0, T.funcref, END]);
    b.elements.push([6, 0, ...at(3), T.funcref, 1, 0xd2, f, END], [7, T.funcref, 1, 0xd2, f, END]);
    const index = [0x20, 0];
    b.func([T.i32], [T.i32], [...index, 0x11, b.type([], [T.i32]), 0], { name: 'call' });
    b.func([], [], [...i32c(4), ...i32c(0), ...i32c(1), 0xfc, 12, 1, 0, 0xfc, 13, 5], { name: 'init' });
    b.func([], [T.i32], [...i32c(9), ...i32c(4), ...i32c(1), 0xfc, 14, 0, 0, 0xfc, 16, 0], { name: 'copy' });
    const body = [
      0xd0,
      T.funcref,
      ...i32c(1),
      0xfc,
      15,
      0,
      0x1a,
      ...i32c(0),
      0xd0,
      T.funcref,
      ...i32c(0),
      0xfc,
      17,
      0,
    ];
    b.func([], [], body, { name: 'fill' });
    const { guest } = boot(b.build(), { fuel: 'exact' });
    guest['tsvmm_set_fuel']!(1000);
    guest['init']!();
    expect([0, 1, 2, 3, 4].map((i) => guest['call']!(i))).toEqual([77, 77, 77, 77, 77]);
    expect(guest['copy']!()).toBe(20);
    guest['fill']!();
    expect(() => guest['call']!(5)).toThrow(/null function|signature/);
    expect(guest['call']!(9)).toBe(77);
  });
});

describe('data segments', () => {
  test('stay in place and are described, extended constants included', () => {
    const b = new WasmBuilder();
    b.memory(1);
    b.globals.push([T.i32, 0, ...i32c(0x100), END]);
    b.data.push([0, ...i32c(0x200), END, ...vec([[1], [2]])], [1, 1, 9], [2, 0, ...i32c(0x90), END, 0]);
    // (0x100 + 8) * 2 - 16 = 0x200
    b.data.push([0, 0x23, 0, ...i32c(8), 0x6a, ...i32c(2), 0x6c, ...i32c(16), 0x6b, END, 1, 7]);
    const { world, result } = boot(b.build());
    expect([...world.ram.subarray(0x1ff, 0x203)]).toEqual([0, 7, 2, 0]);
    expect(result.segments).toEqual([
      { address: 0x200, size: 2 },
      { address: 0x200, size: 1 },
    ]);
    expect(result.dataEnd).toBe(0x202);
  });

  test('must lie in RAM', () => {
    const b = new WasmBuilder();
    b.memory(1);
    b.data.push([0, ...i32c(0x400), END, 1, 7]);
    const high = hiddenLayout(0x40000, 0x40000);
    expect(refusal(b.build(), { layout: high })).toMatch(
      /data segment 0 at 0x400\.\.0x401 is outside of RAM 0x40000\.\.0x80000.*--global-base=263168/,
    );
    const c = new WasmBuilder();
    c.memory(1);
    c.data.push([0, ...i32c(0x100000), END, 1, 7]);
    expect(refusal(c.build())).toMatch(/outside of RAM.*more memory/);
  });

  test('at an address that is not constant are refused', () => {
    const b = new WasmBuilder();
    b.memory(1);
    b.imports.push([...str('env'), ...str('__memory_base'), 3, T.i32, 0]);
    b.data.push([0, 0x23, 0, ...i32c(1), 0x6a, END, 1, 7]);
    expect(refusal(b.build())).toMatch(/data segment 0 has no constant address/);
    const c = new WasmBuilder();
    c.memory(1);
    c.data.push([0, 0x42, 1, 0x42, 1, 0x7c, END, 1, 7]);
    expect(refusal(c.build())).toMatch(/data segment 0 has no constant address/);
  });
});

describe('where code came from', () => {
  function crashing(): { builder: WasmBuilder; pattern: number[] } {
    const b = new WasmBuilder();
    b.memory(1);
    const pattern = [...i32c(0x12345678), 0x1a];
    const store = [0x20, 0, 0x20, 0, ...mem(I32_STORE, 16)];
    const body = [...store, 0x20, 0, ...mem(I32_LOAD, 0), 0x1a, ...store, 1, ...pattern, 0x00];
    const inner = b.func([T.i32], [], body);
    b.func([T.i32], [], [1, ...store, 0x20, 0, 0x10, inner, 1], { name: 'outer' });
    b.func([T.i32], [], [0x20, 0, ...mem(I32_LOAD, 0), 0x1a], { name: 'fault' });
    b.names([
      [0, 'inner_function'],
      [1, 'outer_function'],
    ]);
    return { builder: b, pattern };
  }

  function frames(run: () => unknown): [string, number][] {
    try {
      run();
    } catch (error) {
      const matches = (error as Error).stack!.matchAll(
        /at (?:(\S+) \()?wasm:\/\/\S+:wasm-function\[\d+\]:0x([0-9a-f]+)/g,
      );
      return [...matches].map((m) => [m[1] ?? '', Number.parseInt(m[2]!, 16)]);
    }
    return [];
  }

  test.each(['off', 'exact'] as const)('V8 shows guest names, and offsets map back (fuel %s)', (fuel) => {
    const { builder, pattern } = crashing();
    const original = builder.build();
    const { guest, result } = boot(original, { fuel });
    guest['tsvmm_set_fuel']?.(1000);
    const stack = frames(() => guest['outer']!(0x100));
    expect(stack.map(([name]) => name.replace(/^kit\./, ''))).toEqual(['inner_function', 'outer_function']);
    const positions = stack.map(([, offset]) => originalPosition(result.offsetMap, offset)!);
    expect(positions.map((p) => p.functionIndex)).toEqual([0, 1]);
    expect(original[positions[0]!.offset]).toBe(0x00);
    const before = original.subarray(positions[0]!.offset - pattern.length, positions[0]!.offset);
    expect([...before]).toEqual(pattern);
    expect([...original.subarray(positions[1]!.offset, positions[1]!.offset + 2)]).toEqual([0x10, 0]);
  });

  test('a fault in a slow path maps to its load', () => {
    const original = crashing().builder.build();
    const { guest, result } = boot(original, { fuel: 'exact' });
    const [frame] = frames(() => guest['fault']!(0x7000_0000));
    const position = originalPosition(result.offsetMap, frame![1])!;
    expect([position.functionIndex, original[position.offset]]).toEqual([2, 0x28]);
  });

  test('offsets outside of the guest have no position', () => {
    const { offsetMap, wasm } = rewrite(crashing().builder.build(), { layout, fuel: 'exact' });
    expect(originalPosition(offsetMap, 8)).toBeUndefined();
    expect(originalPosition(offsetMap, wasm.length)).toBeUndefined();
    const prologue = originalPosition(offsetMap, offsetMap.functions[0]!);
    expect(prologue).toEqual({ functionIndex: 0, offset: offsetMap.functions[2] });
  });

  test('a damaged name section names nothing and harms nothing', () => {
    const b = new WasmBuilder();
    b.memory(1);
    b.func([], [], [], { name: 'f' });
    b.customs.push(
      { name: 'name', bytes: [1, 99, 1] },
      { name: '.debug_info', bytes: [1] },
      { name: 'producers', bytes: [0] },
    );
    const result = rewrite(b.build(), { layout, fuel: 'off' });
    expect(result.functionNames).toEqual(['f']);
    const module = new WebAssembly.Module(result.wasm);
    expect(WebAssembly.Module.customSections(module, '.debug_info')).toHaveLength(0);
    expect(WebAssembly.Module.customSections(module, 'producers')).toHaveLength(1);
    expect(WebAssembly.Module.customSections(module, 'name')).toHaveLength(1);
  });

  test('local names, which would no longer be true, are dropped', () => {
    const b = new WasmBuilder();
    b.memory(1);
    b.customs.push({ name: 'name', bytes: [2, 1, 0, 3, 1, 0, 4, 1, 0] });
    expect(WebAssembly.validate(rewrite(b.build(), { layout, fuel: 'off' }).wasm)).toBe(true);
  });
});

describe('branch hints', () => {
  test('name each inserted branch, in front of the code section', () => {
    const b = new WasmBuilder();
    b.memory(1);
    b.func([T.i32], [], [0x20, 0, 0x20, 0, ...mem(I32_LOAD, 0), ...mem(I32_STORE, 0)], { name: 'f' });
    const { wasm } = rewrite(b.build(), { layout, fuel: 'off' });
    const [section] = WebAssembly.Module.customSections(
      new WebAssembly.Module(wasm),
      'metadata.code.branch_hint',
    );
    const bytes = [...new Uint8Array(section!)];
    // One function (behind 15 imports) with two hints: the load's slow branch is unlikely, the store's fast one likely.
    expect(bytes.slice(0, 3)).toEqual([1, 15, 2]);
    expect([bytes[4], bytes[5], bytes[7], bytes[8]]).toEqual([1, 0, 1, 1]);
  });

  test('can be left out', () => {
    const b = new WasmBuilder();
    b.memory(1);
    b.func([T.i32], [], [0x03, 0x40, END, 0x20, 0, ...mem(I32_LOAD, 0), 0x1a], { name: 'f' });
    const { wasm } = rewrite(b.build(), { layout, fuel: 'off', branchHints: false });
    expect(
      WebAssembly.Module.customSections(new WebAssembly.Module(wasm), 'metadata.code.branch_hint'),
    ).toEqual([]);
  });
});

describe('the result on disk', () => {
  test('comes back as it went', () => {
    const b = new WasmBuilder();
    b.memory(1);
    b.func([T.i32], [], [0x20, 0, ...mem(I32_LOAD, 0), 0x1a], { name: 'f' });
    const result = rewrite(b.build(), { layout, fuel: 'exact' });
    const decoded = decodeRewritten(encodeRewritten(result));
    expect(decoded).toEqual(result);
    expect(decoded.version).toBe(REWRITER_VERSION);
  });

  test('is refused when it is cut short, foreign or of another version', () => {
    const b = new WasmBuilder();
    b.memory(1);
    const result = rewrite(b.build(), { layout, fuel: 'off' });
    const bytes = encodeRewritten(result);
    expect(() => decodeRewritten(bytes.subarray(0, 4))).toThrow(/too short/);
    expect(() => decodeRewritten(bytes.subarray(0, bytes.length - 1))).toThrow(/length is wrong/);
    expect(() => decodeRewritten(new Uint8Array(100))).toThrow(/head is wrong/);
    expect(() => decodeRewritten(encodeRewritten({ ...result, version: 0 }))).toThrow(/another version/);
    bytes[8] = 0;
    expect(() => decodeRewritten(bytes)).toThrow(/description cannot be read/);
  });
});

describe('modules that are not run', () => {
  const header = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
  const withBody = (...body: number[]): Uint8Array => {
    const b = new WasmBuilder();
    b.memory(1);
    b.func([], [], body);
    return b.build();
  };
  const withMemory = (...limits: number[]): Uint8Array => {
    const b = new WasmBuilder();
    b.memories = [limits];
    return b.build();
  };

  test.each<[string, Uint8Array, RegExp]>([
    ['nothing', new Uint8Array(0), /unexpected end \(at byte 0x0\)/],
    ['text', new TextEncoder().encode('(module)'), /not a WebAssembly module/],
    ['component', Uint8Array.of(0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0), /a WebAssembly component/],
    ['version', Uint8Array.of(0, 0x61, 0x73, 0x6d, 2, 0, 0, 0), /unknown WebAssembly version/],
    ['no memory', Uint8Array.from(header), /no memory/],
    ['memory too large', withMemory(0, 17), /needs addresses up to 2 MiB, but RAM ends at 1 MiB/],
    ['shared', withMemory(3, 1, 1), /shared memories are not supported/],
    ['memory64', withMemory(4, 1), /64-bit memories/],
    ['page size', withMemory(8, 1, 0), /custom page sizes/],
    ['bad limits', withMemory(1, 5, 2), /bad memory limits/],
    ['unknown section', Uint8Array.from([...header, 99, 0]), /unknown section 99/],
    ['section order', Uint8Array.from([...header, 3, 1, 0, 1, 1, 0]), /out of order/],
    [
      'long section',
      Uint8Array.from([...header, 1, 9, 0]),
      /section is longer than the module \(at byte 0x8\)/,
    ],
    ['gc type', Uint8Array.from([...header, 1, 3, 1, 0x5f, 0]), /garbage-collected/],
    ['type form', Uint8Array.from([...header, 1, 3, 1, 0x11, 0]), /unknown type form/],
    ['trailing bytes', Uint8Array.from([...header, 1, 2, 0, 0]), /section goes on/],
    ['unknown opcode', withBody(0x27), /unknown opcode 0x27/],
    ['unknown fc', withBody(0xfc, 18), /unknown opcode 0xfc 18/],
    ['unknown fd', withBody(0xfd, ...leb(0x200)), /unknown opcode 0xfd/],
    ['unknown fe', withBody(0xfe, 4, 0, 0), /unknown opcode 0xfe/],
    ['call_ref', withBody(0x14, 0), /garbage-collected/],
    ['ref type block', withBody(0x02, 0x63, 0x70, END), /garbage-collected/],
    ['bad block type', withBody(0x02, ...sleb(99), END), /./],
    ['branch', withBody(0x0c, 7), /branch to a label that does not exist/],
    ['else', withBody(0x05), /else without if/],
    ['catch', withBody(0x19), /handler without try/],
    ['catch clause', withBody(0x1f, 0x40, 1, 9, 0, END), /unknown catch clause/],
    ['callee', withBody(0x10, 9), /call of a function that does not exist/],
    ['reference', withBody(0xd2, 9), /reference to a function that does not exist/],
    ['segment', withBody(0xfc, 8, 0, 0), /unknown data segment/],
    ['second memory', withBody(0x3f, 1), /more than one memory/],
    ['second memory access', withBody(0x28, 0x42, 0, 0), /more than one memory/],
    ['after end', withBody(END, 1), /function goes on after its end/],
    ['long number', withBody(0x41, 255, 255, 255, 255, 255, 1), /does not fit 32 bits/],
    ['wide number', withBody(0x41, 255, 255, 255, 255, 0x4f), /does not fit 32 bits/],
    ['wide index', withBody(0x10, 255, 255, 255, 255, 0x1f), /does not fit 32 bits/],
    ['long 64-bit number', withBody(0x42, ...new Array<number>(11).fill(0x80)), /LEB128 number is too long/],
    ['types', withBody(0x45, 0x1a), /not enough arguments/],
    ['value type', withBody(0xd0, 0x01), /unknown value type/],
    ['gc value type', withBody(0xd0, 0x6e), /garbage-collected/],
  ])('%s', (_, wasm, reason) => {
    expect(refusal(wasm)).toMatch(reason);
    expect(refusal(wasm, { fuel: 'exact' })).toMatch(reason);
  });

  const sectionCases: [string, (b: WasmBuilder) => void, RegExp][] = [
    ['two memories', (b) => b.memory(1), /more than one memory/],
    ['reserved export', (b) => b.func([], [], [], { name: 'tsvmm_g7' }), /export name tsvmm_g7 is reserved/],
    ['reserved start', (b) => b.func([], [], [], { name: 'tsvmm_start' }), /tsvmm_start is reserved/],
    ['export kind', (b) => b.exports.push([...str('x'), 9, 0]), /unknown kind of export/],
    ['export index', (b) => b.export('x', 0, 5), /unknown function/],
    ['memory name', (b) => b.func([], [], [], { name: 'memory' }), /export memory is not a memory/],
    ['import kind', (b) => b.imports.push([...str('a'), ...str('b'), 9, 0]), /unknown kind of import/],
    ['import type', (b) => b.imports.push([...str('a'), ...str('b'), 0, 9]), /unknown type/],
    ['import name', (b) => b.imports.push([1, 0xff, ...str('b'), 0, 9]), /name is not UTF-8/],
    ['mutability', (b) => b.globals.push([T.i32, 2, ...i32c(0), END]), /bad mutability/],
    ['initialiser', (b) => b.globals.push([T.i32, 0, 0x01, END]), /not a constant expression/],
    ['vector initialiser', (b) => b.globals.push([T.v128, 0, 0xfd, 1, END]), /not a constant expression/],
    ['gc initialiser', (b) => b.globals.push([T.i32, 0, 0xfb, 0, END]), /garbage-collected/],
    [
      'table initialiser',
      (b) => b.tables.push([0x40, 0, T.funcref, 0, 1, 0xd0, 0x70, END]),
      /with initialisers/,
    ],
    ['table limits', (b) => b.tables.push([T.funcref, 5, 1]), /unknown table limits/],
    ['tag', (b) => b.tags.push([1, 0]), /unknown tag attribute/],
    ['element flags', (b) => b.elements.push([9]), /unknown element segment/],
    ['element kind', (b) => b.elements.push([1, 4, 0]), /unknown element kind/],
    ['data flags', (b) => b.data.push([3]), /unknown data segment/],
    ['data memory', (b) => b.data.push([2, 1, ...i32c(0), END, 0]), /more than one memory/],
    ['locals', (b) => b.func([], [], [], { locals: [0x11] }), /unknown value type/],
    [
      'imported memory too',
      (b) => b.imports.push([...str('e'), ...str('m'), 2, 0, 1]),
      /more than one memory/,
    ],
  ];
  test.each(sectionCases)('%s', (_, spoil, reason) => {
    const b = new WasmBuilder();
    b.memory(1);
    spoil(b);
    expect(refusal(b.build())).toMatch(reason);
  });

  test('functions without code, code without functions, unknown types', () => {
    const memory = [5, 3, 1, 0, 1];
    const type = [1, 4, 1, 0x60, 0, 0];
    expect(refusal(Uint8Array.from([...header, ...type, 3, 2, 1, 0, ...memory]))).toMatch(
      /functions without bodies/,
    );
    expect(refusal(Uint8Array.from([...header, ...type, 3, 2, 1, 7, ...memory]))).toMatch(/unknown type/);
    expect(refusal(Uint8Array.from([...header, ...type, ...memory, 10, 4, 1, 2, 0, END]))).toMatch(
      /do not agree/,
    );
    const imports = [2, 13, 2, ...str('a'), ...str('b'), 2, 0, 1, ...str('a'), ...str('c'), 2, 0, 1];
    imports[1] = imports.length - 2;
    expect(refusal(Uint8Array.from([...header, ...imports]))).toMatch(/more than one memory/);
  });

  test('an absurd number of locals', () => {
    const body = [1, ...leb(60000), T.i32, END];
    const code = [10, body.length + 2, 1, body.length, ...body];
    const wasm = [...header, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 5, 3, 1, 0, 1, ...code];
    expect(refusal(Uint8Array.from(wasm))).toMatch(/too many locals/);
  });
});

describe('damaged modules', () => {
  const source = new Uint8Array(readFileSync(new URL('../../bench/rewrite-loops.wasm', import.meta.url)));
  const big = hiddenLayout(0, 0x200000);

  function verdict(wasm: Uint8Array, fuel: 'exact' | 'off'): boolean {
    try {
      return WebAssembly.validate(rewrite(wasm, { layout: big, fuel }).wasm);
    } catch (error) {
      return error instanceof RewriteError && error.offset <= wasm.length && !error.message.includes('\n');
    }
  }

  test('cut short anywhere: refused or valid', () => {
    for (let length = 0; length < source.length; length += 7) {
      expect(verdict(source.slice(0, length), 'exact'), `cut to ${length}`).toBe(true);
    }
  });

  test('with any byte changed: refused or valid', () => {
    let state = 12345;
    for (let i = 0; i < runs(1500); i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const wasm = source.slice();
      const at = (state >>> 4) % wasm.length;
      wasm[at] = state >>> 24;
      expect(verdict(wasm, i % 2 === 0 ? 'exact' : 'off'), `byte ${at} = ${state >>> 24}`).toBe(true);
    }
  });
});

describe('deep and wide code', () => {
  test('hundreds of nested blocks, branch tables out of them, typed select, exceptions by reference', () => {
    const b = new WasmBuilder();
    b.memory(1);
    const deep = 300;
    const open = Array.from({ length: deep }, () => [0x02, 0x40]).flat();
    const close = new Array<number>(deep).fill(END);
    b.func([], [T.i32], [...open, 0x0c, ...leb(deep - 1), ...close, ...i32c(5)], { name: 'deep' });
    b.func([T.i32], [T.i32], [...i32c(1), ...i32c(2), 0x20, 0, 0x1c, 1, T.i32], { name: 'select' });
    b.func([], [T.f64], [0x44, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x43, 0, 0, 0, 0, 0x1a], { name: 'consts' });
    b.func([], [T.i32], [0xfd, 12, ...new Array<number>(16).fill(3), 0xfd, 0x16, 2], { name: 'lane' });
    b.func([T.i32], [T.i32], [0x20, 0, 0x02, b.type([T.i32], [T.i32]), END], { name: 'typed' });
    b.func([], [T.i32], [0x43, 0, 0, 0x40, 0x40, 0xfc, 0], { name: 'saturate' });
    const { guest } = boot(b.build(), { fuel: 'exact' });
    guest['tsvmm_set_fuel']!(1000);
    const results = [
      guest['deep']!(),
      guest['select']!(0),
      guest['consts']!(),
      guest['lane']!(),
      guest['typed']!(8),
    ];
    expect([...results, guest['saturate']!()]).toEqual([5, 2, 1, 3, 8, 3]);
  });

  test("try_table parses; whether it runs is the engine's matter", () => {
    const b = new WasmBuilder();
    b.memory(1);
    b.tags.push([0, ...leb(b.type([]))]);
    // block; try_table (catch 0 0) (catch_all 0); nop; end; end
    b.func([], [], [0x02, 0x40, 0x1f, 0x40, 2, 0, 0, 0, 2, 0, 1, END, END], { name: 'f' });
    const reason = refusal(b.build(), { fuel: 'exact' });
    expect(['accepted', 'engine']).toContain(
      /opcode|exnref|wasm-exnref|Invalid/i.test(reason) ? 'engine' : reason,
    );
  });
});
