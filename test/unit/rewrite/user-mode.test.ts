import { describe, expect, test } from 'vitest';
import { programsNamed, withPrograms } from '../../../vmm/vcpu/compile/programs.ts';
import { programsOf, readInitialMemory } from '../../../vmm/vcpu/process/program.ts';
import { decodeRewritten, encodeRewritten, rewrite } from '../../../vmm/vcpu/rewrite/index.ts';
import { layout, refusal } from '../../kit/rewrite-rig.ts';
import { i32c, leb, T, WasmBuilder } from '../../kit/wasm-builder.ts';

const EMPTY = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
const seven = new Array<number>(7).fill(T.i32);

function program(): WasmBuilder {
  const builder = new WasmBuilder();
  builder.memory(2);
  return builder;
}

describe('a module for user mode', () => {
  test('imports from tsvmm_user what is there, as it is declared', () => {
    const good = program();
    good.importFunction('tsvmm_user', 'syscall', seven, [T.i32]);
    expect(refusal(good.build(), { userMode: true })).toBe('accepted');

    const misspelt = program();
    misspelt.importFunction('tsvmm_user', 'sycall', seven, [T.i32]);
    expect(refusal(misspelt.build(), { userMode: true })).toMatch(
      /tsvmm_user\.sycall does not exist.*'syscall'/,
    );

    const other = program();
    other.importFunction('tsvmm_user', 'syscall', [T.i32], [T.i32]);
    expect(refusal(other.build(), { userMode: true })).toMatch(/declared as \(i32 -> i32\), expected/);
  });

  test.each(['tsvmm', 'env', 'wasi_snapshot_preview1'])('imports nothing from %s', (module) => {
    const builder = program();
    builder.importFunction(module, 'wfi', []);

    expect(refusal(builder.build(), { userMode: true })).toMatch(/imports from tsvmm_user only/);
  });

  test('may have its data anywhere below 4 GiB: it is not placed when the module is', () => {
    const builder = program();
    builder.data.push([0, ...i32c(0x70000000), 0x0b, ...leb(3), 7, 8, 9]);
    const wasm = builder.build();

    const result = rewrite(wasm, { layout, fuel: 'off', userMode: true });

    const [segment] = result.programSegments;
    expect(segment).toMatchObject({ address: 0x70000000, size: 3, active: true });
    expect([...wasm.subarray(segment!.offset, segment!.offset + 3)]).toEqual([7, 8, 9]);
    expect(decodeRewritten(encodeRewritten(result))).toEqual(result);
  });

  test('may not have data that ends above 4 GiB', () => {
    const builder = program();
    builder.data.push([0, ...i32c(-2), 0x0b, ...leb(3), 7, 8, 9]);

    expect(refusal(builder.build(), { userMode: true })).toMatch(/ends above 4 GiB/);
  });

  test('carries the name that stack traces tell it by', () => {
    const result = rewrite(program().build(), {
      layout,
      fuel: 'off',
      userMode: true,
      moduleName: 'tsvmm-program-3',
    });

    expect(Buffer.from(result.wasm).includes('tsvmm-program-3')).toBe(true);
  });
});

describe('programs of a kernel', () => {
  test('are found in its sources, comments left out, from the directory that names them', () => {
    const text = `TSVMM_PROGRAM("a", "user/a.c");
// TSVMM_PROGRAM("b", "b.c");
/* TSVMM_PROGRAM("c", "c.c"); */
TSVMM_PROGRAM_PREEMPTIBLE( "d", "d.c" );
TSVMM_PROGRAM_BLOCKING("e", "e.wasm");`;

    expect(programsNamed([{ shown: 'drivers/kernel.c', text }])).toEqual([
      { name: 'a', file: 'drivers/user/a.c', mode: 'cooperative' },
      { name: 'd', file: 'drivers/d.c', mode: 'preemptible' },
      { name: 'e', file: 'drivers/e.wasm', mode: 'blocking' },
    ]);
  });

  test('travel in sections of its module', () => {
    const long = new Uint8Array(70_000).fill(5);
    const kernel = withPrograms(EMPTY, [
      { name: 'first', file: '', mode: 'cooperative', wasm: EMPTY },
      { name: 'second', file: '', mode: 'preemptible', wasm: long },
    ]);

    expect(WebAssembly.validate(new Uint8Array(kernel))).toBe(true);
    expect(programsOf(kernel).map(({ name, mode }) => [name, mode])).toEqual([
      ['first', 'cooperative'],
      ['second', 'preemptible'],
    ]);
    expect(programsOf(kernel)[1]!.wasm).toEqual(long);
  });

  test('of a module that is damaged are none', () => {
    expect(programsOf(Uint8Array.of(...EMPTY, 0, 200))).toEqual([]);
  });

  test('have zeros where their memory has no data', () => {
    const builder = program();
    builder.data.push([0, ...i32c(0x1000), 0x0b, ...leb(3), 7, 8, 9], [1, ...leb(2), 4, 4]);
    const wasm = builder.build();
    const image = {
      ...{ name: 'p', mode: 'cooperative' as const, wasm },
      rewritten: rewrite(wasm, { layout, fuel: 'off', userMode: true }),
    };
    const bytes = new Uint8Array(4).fill(1);

    readInitialMemory(image, 0x1001, bytes);

    expect([...bytes]).toEqual([8, 9, 0, 0]);
  });
});
