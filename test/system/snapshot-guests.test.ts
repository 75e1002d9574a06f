import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { TsvmmError } from '../../vmm/core/errors.ts';
import { builtinRegistry } from '../../vmm/machine/builtin.ts';
import { defaultConfig } from '../../vmm/machine/config.ts';
import { type GuestModule, prepareGuest } from '../../vmm/machine/guest-module.ts';
import type { Machine } from '../../vmm/machine/machine.ts';
import { Q35 } from '../../vmm/machine/platforms/q35-map.ts';
import { growLimitOf } from '../../vmm/machine/ram-plan.ts';
import { type RunResult, runGuest } from '../../vmm/machine/run-guest.ts';
import { resumeSnapshot, runToSnapshot, suspendable } from '../../vmm/machine/snapshot-run.ts';
import { hiddenLayout } from '../../vmm/mem/layout.ts';
import { readSnapshot, type Snapshot, writeSnapshot } from '../../vmm/state/container.ts';
import { recordText } from '../../vmm/trace/tracer.ts';
import { openCache } from '../../vmm/vcpu/cache/disk-cache.ts';

const scratch = mkdtempSync(join(tmpdir(), 'tsvmm-snapshot-guests-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const registry = builtinRegistry();
const config = { ...defaultConfig(registry), memory: 4 << 20 };
const cache = openCache({ dir: join(scratch, 'cache') });
let files = 0;

async function prepare(wat: string): Promise<GuestModule> {
  const file = join(scratch, `guest-${++files}.wat`);
  writeFileSync(file, wat);
  return load(file);
}

async function load(file: string, memory = config.memory): Promise<GuestModule> {
  const guest = await prepareGuest({ file }, hiddenLayout(0, memory), growLimitOf(Q35, memory), cache);
  return suspendable(guest, cache);
}

const large = { ...config, memory: 32 << 20 };
const example = (name: string) =>
  fileURLToPath(new URL(`../../guest/examples/${name}/${name}.wasm`, import.meta.url));

const quiet = { args: ['guest'], env: {}, fuelLimit: 1e9, stdout: () => {}, stderr: () => {} };
const place = (dir: string, n: number) => ({ dir: join(scratch, dir), n, program: '0', force: true });

/** Saved at the n-th point and continued. */
async function interrupted(guest: GuestModule, n = 1): Promise<RunResult> {
  const saved = await runToSnapshot(config, registry, guest, quiet, place('again', n));
  expect(saved.end).toEqual({ kind: 'suspended' });
  return resumeSnapshot(join(scratch, 'again'), registry, quiet);
}

const WFI = '(import "tsvmm" "wfi" (func $wfi))';
const YIELD = '(import "tsvmm" "yield" (func $yield))';

describe('the processor of a guest is saved whole:', () => {
  test('globals of every type, signed zeros and denormals included', async () => {
    const guest = await prepare(`(module ${YIELD} (memory 1)
      (global $i32 (mut i32) (i32.const 0)) (global $i64 (mut i64) (i64.const 0))
      (global $f32 (mut f32) (f32.const 0)) (global $f64 (mut f64) (f64.const 0))
      (func (export "main") (result i32)
        (global.set $i32 (i32.const -2)) (global.set $i64 (i64.const 0x8000000000000001))
        (global.set $f32 (f32.const -0)) (global.set $f64 (f64.const -0x1.8p-1070))
        (call $yield)
        (i32.and (i32.and (i32.eq (global.get $i32) (i32.const -2))
                          (i64.eq (global.get $i64) (i64.const 0x8000000000000001)))
                 (i32.and (i32.eq (i32.reinterpret_f32 (global.get $f32)) (i32.const 0x80000000))
                          (f64.eq (global.get $f64) (f64.const -0x1.8p-1070))))))`);
    expect((await interrupted(guest)).end).toEqual({ kind: 'exit', status: 1 });
  });

  test('a function table that was changed and grown, and a reference in a global', async () => {
    const guest = await prepare(`(module ${YIELD} (memory 1)
      (type $f (func (result i32)))
      (table 2 8 funcref) (elem (i32.const 0) $one $two)
      (global $kept (mut funcref) (ref.null func))
      (func $one (result i32) (i32.const 1)) (func $two (result i32) (i32.const 20))
      (func (export "main") (result i32)
        (global.set $kept (table.get (i32.const 0)))
        (table.set (i32.const 0) (table.get (i32.const 1)))
        (drop (table.grow (global.get $kept) (i32.const 3)))
        (table.set (i32.const 1) (ref.null func))
        (call $yield)
        (table.set (i32.const 2) (global.get $kept))
        (i32.add (i32.add (call_indirect (type $f) (i32.const 0)) (call_indirect (type $f) (i32.const 2)))
                 (i32.add (call_indirect (type $f) (i32.const 4))
                          (i32.mul (i32.const 100) (i32.add (table.size) (ref.is_null (table.get (i32.const 1)))))))))`);
    // 20 + 1 + 1 + 100 * (5 entries + 1)
    expect((await interrupted(guest)).end).toEqual({ kind: 'exit', status: 622 });
  });

  test('frames that hold values of every type across the wait', async () => {
    const guest = await prepare(`(module ${YIELD} (memory 1)
      (func $sum (param i32 i64 f32 f64) (result f64)
        (if (i32.eqz (local.get 0)) (then (call $yield) (return (f64.const 0))))
        (f64.add (f64.add (f64.convert_i64_s (local.get 1)) (f64.promote_f32 (local.get 2)))
          (f64.add (local.get 3)
            (call $sum (i32.sub (local.get 0) (i32.const 1)) (i64.add (local.get 1) (i64.const 1))
                       (f32.mul (local.get 2) (f32.const 2)) (local.get 3)))))
      (func (export "main") (result i32)
        (i32.trunc_f64_s (call $sum (i32.const 4) (i64.const 10) (f32.const 1) (f64.const 0.25)))))`);
    // 10 + 11 + 12 + 13, 1 + 2 + 4 + 8, 4 / 4
    expect((await interrupted(guest)).end).toEqual({ kind: 'exit', status: 62 });
  });

  test('its memory.grow and its data segments, which loading does not write again', async () => {
    const guest = await prepare(`(module ${YIELD} (memory 1 8) (data (i32.const 0x8000) "\\01")
      (func (export "main") (result i32)
        (drop (memory.grow (i32.const 2)))
        (i32.store8 (i32.const 0x8000) (i32.const 7))
        (call $yield)
        (i32.add (i32.load8_u (i32.const 0x8000)) (i32.mul (i32.const 10) (memory.size)))))`);
    expect((await interrupted(guest)).end).toEqual({ kind: 'exit', status: 37 });
  });
});

describe('a guest that is suspendable', () => {
  test('runs as it does when it is not: same output, instructions, time and source lines of faults', async () => {
    const plain = await prepareGuest(
      { file: example('edu') },
      hiddenLayout(0, large.memory),
      growLimitOf(Q35, large.memory),
      cache,
    );
    const run = async (guest: GuestModule) => {
      let out = '';
      const stdout = (bytes: Uint8Array) => (out += Buffer.from(bytes).toString());
      const result = await runGuest(large, registry, guest, { ...quiet, stdout: (b) => void stdout(b) });
      return { out, result };
    };
    const expected = await run(plain);
    expect(expected.result.end).toEqual({ kind: 'exit', status: 0 });
    expect(await run(await load(example('edu'), large.memory))).toEqual(expected);
  });

  test('and drives a device behind VT-d ends the same wherever it is saved, its explained faults included', async () => {
    const guest = await load(example('edu'), large.memory);
    const whole = await runGuest(large, registry, guest, quiet);
    expect(whole.faults.length).toBeGreaterThan(3);
    for (let n = 1; n <= 8; n++) {
      await runToSnapshot(large, registry, guest, quiet, place('edu', n));
      expect(await resumeSnapshot(join(scratch, 'edu'), registry, quiet)).toEqual(whole);
    }
  });

  test('goes on in the same trace, event for event', async () => {
    const guest = await load(example('edu'), large.memory);
    const traced = (lines: string[]) => ({
      ...quiet,
      prepare: ({ tracer }: Machine) => {
        tracer.select('*');
        tracer.addSink((record) => void lines.push(recordText(record)));
      },
    });
    const whole: string[] = [];
    await runGuest(large, registry, guest, traced(whole));
    for (const n of [1, 4, 8]) {
      const parts: string[] = [];
      await runToSnapshot(large, registry, guest, traced(parts), place('traced', n));
      await resumeSnapshot(join(scratch, 'traced'), registry, traced(parts));
      expect(parts).toEqual(whole);
    }
    expect(whole.length).toBeGreaterThan(100);
  });

  test('crashes with the same report', async () => {
    const wat = `(module ${YIELD} (memory 1)
      (func $poke (param i32) (call $yield) (i32.store (local.get 0) (i32.const 1)))
      (func $main (export "main") (call $poke (i32.const 0xfe000000))))`;
    const { end } = await interrupted(await prepare(wat));
    expect(end).toMatchObject({
      kind: 'crash',
      address: '0xfe000000',
      frames: [{ function: 'poke' }, { function: 'main' }],
    });
  });

  test('is made once and then comes from the cache', async () => {
    const file = join(scratch, 'cached.wat');
    writeFileSync(file, `(module ${WFI} (memory 1) (func (export "main") (call $wfi)))`);
    const guest = await prepareGuest(
      { file },
      hiddenLayout(0, config.memory),
      growLimitOf(Q35, config.memory),
      cache,
    );
    const stages: string[] = [];
    await suspendable(guest, openCache({ dir: join(scratch, 'own') }), () => stages.push('made'));
    const again = await suspendable(guest, openCache({ dir: join(scratch, 'own') }), () =>
      stages.push('again'),
    );
    expect(stages).toEqual(['made']);
    expect(WebAssembly.validate(again.rewritten.wasm)).toBe(true);
  });

  test('keeps its branch hints', async () => {
    const guest = await prepare(`(module ${YIELD} (memory 1)
      (func (export "main") (loop $l (i32.store (i32.const 0x8000) (i32.const 1)) (call $yield)
        (br_if $l (i32.lt_u (i32.load (i32.const 0x8000)) (i32.const 1))))))`);
    expect(Buffer.from(guest.rewritten.wasm).includes('metadata.code.branch_hint')).toBe(true);
  });

  test('in recursion too deep to be saved ends in a report', async () => {
    const params = 12;
    const list = (text: (i: number) => string) =>
      Array.from({ length: params }, (_, i) => text(i + 1)).join(' ');
    // Each frame keeps twelve 8-byte values for after the call.
    const guest = await prepare(`(module ${YIELD} (memory 1)
      (func $down (param i32 ${list(() => 'i64')}) (result i64)
        (if (i32.eqz (local.get 0)) (then (call $yield) (return (i64.const 0))))
        (call $down (i32.sub (local.get 0) (i32.const 1)) ${list((i) => `(local.get ${i})`)})
        ${list((i) => `(i64.add (local.get ${i}))`)})
      (func (export "main")
        (drop (call $down (i32.const 2000) ${list((i) => `(i64.const ${i})`)}))
        (drop (call $down (i32.const 3000) ${list((i) => `(i64.const ${i})`)}))))`);
    const shallow = await runToSnapshot(config, registry, guest, quiet, place('deep', 1));
    const deep = await runToSnapshot(config, registry, guest, quiet, place('deeper', 2));

    expect(shallow.end).toEqual({ kind: 'suspended' });
    expect(deep.end).toMatchObject({
      kind: 'crash',
      reason: 'the call stack is too deep to be saved (256 KiB)',
    });
  });
});

describe('a snapshot with matching checksums that fits no machine is refused:', () => {
  const cases: [string, (s: Mutable) => void, string][] = [
    ['a unit is missing', (s) => s.units.delete('rng'), "lacks the unit 'rng'"],
    [
      'a unit is too many',
      (s) => s.units.set('rtc', { kind: 'rtc', version: 1, body: {} }),
      "has a unit 'rtc'",
    ],
    ['a file is too many', (s) => s.files.set('x.bin', new Uint8Array(1)), 'belongs to no unit'],
    ['a file is missing', (s) => s.files.delete('console.bin'), 'console.bin: is missing'],
    [
      'a unit is of a newer version',
      (s) => s.units.set('edu0', { ...s.units.get('edu0')!, version: 99 }),
      'cannot be loaded by version',
    ],
    [
      'a unit is of another kind',
      (s) => s.units.set('edu0', { ...s.units.get('edu0')!, kind: 'nvme' }),
      "holds a 'nvme' here",
    ],
    [
      'the clock has an event for nobody',
      (s) => {
        const queue = [{ at: 1, seq: 1, dev: 'ghost', ev: 'x', arg: 0 }];
        s.units.set('clock', { kind: 'clock', version: 1, body: { now: 0, seq: 2, queue } });
      },
      "unknown device 'ghost'",
    ],
    [
      'its machine has another size',
      (s) => (s.config = { ...(s.config as object), memory: 8 << 20 }),
      'other memory',
    ],
    [
      'its machine has a device nobody knows',
      (s) => (s.config = { ...(s.config as object), devices: [{ kind: 'nvme' }] }),
      "no device kind 'nvme'",
    ],
    ['its guest is damaged', (s) => s.files.set('guest.rewritten', new Uint8Array(9)), 'rewritten module'],
  ];
  type Mutable = {
    -readonly [K in keyof Snapshot]: Snapshot[K] extends ReadonlyMap<infer A, infer B>
      ? Map<A, B>
      : Snapshot[K];
  };

  test.each(cases)('%s', async (_title, spoil, why) => {
    const guest = await prepare(`(module ${YIELD} (memory 1) (func (export "main") (call $yield)))`);
    await runToSnapshot(config, registry, guest, quiet, place('spoilt', 1));
    const good = readSnapshot(join(scratch, 'spoilt'));
    const bad = { ...good, units: new Map(good.units), files: new Map(good.files) } as Mutable;
    spoil(bad);
    writeSnapshot(join(scratch, 'spoilt'), bad, { force: true });

    const error = await resumeSnapshot(join(scratch, 'spoilt'), registry, quiet).catch((e: unknown) => e);

    expect(error).toBeInstanceOf(TsvmmError);
    expect((error as TsvmmError).exit).toBe(2);
    expect((error as TsvmmError).message).toContain(why);
    expect(readFileSync(join(scratch, 'spoilt', 'manifest.json')).length).toBeGreaterThan(0);
  });
});
