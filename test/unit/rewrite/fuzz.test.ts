import { describe, expect, test } from 'vitest';
import { hiddenLayout } from '../../../vmm/mem/layout.ts';
import { type RewriteOptions, rewrite } from '../../../vmm/vcpu/rewrite/index.ts';
import { ACCESS_FORMS } from '../../kit/wasm-access-forms.ts';
import { AccessModel, ModelFault } from '../../kit/wasm-access-model.ts';
import { WasmBuilder } from '../../kit/wasm-builder.ts';
import {
  addBulk,
  addForm,
  argument,
  type Guest,
  Random,
  resultBits,
  SEGMENT,
  typeBits,
  widthOf,
} from '../../kit/wasm-form-calls.ts';
import { GuestFault, TestDevice, TrapWorld } from '../../kit/wasm-trap-world.ts';

/** REWRITE_FUZZ_ADDRESSES=400 REWRITE_FUZZ_SEED=7 for a longer run. */
const ADDRESSES = Number(process.env['REWRITE_FUZZ_ADDRESSES'] ?? 12);
const SEED = Number(process.env['REWRITE_FUZZ_SEED'] ?? 1);

const RAM_SIZE = 0x40000;
const DEVICE = 0xfed90000;

const CONFIGURATIONS: readonly (Omit<RewriteOptions, 'layout'> & { ramBase: number })[] = [
  { fuel: 'off', ramBase: 0 },
  { fuel: 'exact', ramBase: 0 },
  { fuel: 'off', ramBase: 0x20000, branchHints: false },
  { fuel: 'exact', ramBase: 0x20000 },
];

interface Pair {
  readonly world: TrapWorld;
  readonly model: AccessModel;
  readonly random: Random;
}

function makePair(ramBase: number, seed: number): Pair {
  const layout = hiddenLayout(ramBase, RAM_SIZE);
  const world = new TrapWorld(layout, new TestDevice(DEVICE, 0x2000));
  const first = ramBase >>> 12;
  for (const page of [5, 9, 10, 40]) world.watch(first + page);
  const model = new AccessModel(ramBase, layout.ramEnd, new TestDevice(DEVICE, 0x2000), world.watched);
  return { world, model, random: new Random(seed) };
}

/** Puts random bytes, the same on both sides, where the access may land, and forgets some dirty marks. */
function stir({ world, model, random }: Pair, at: number, length: number): void {
  const from = Math.max(model.ramBase, at - 16);
  const to = Math.min(model.ram.length, at + length + 16);
  for (let i = from; i < to; i++) world.ram[i] = model.ram[i] = random.below(256);
  if (random.below(3) === 0) {
    const page = Math.floor(at / 4096) + random.below(2);
    world.clean(page);
    model.dirty.delete(page);
  }
}

/** Outcome of one side: the result, or why there is none. */
function outcome(run: () => bigint | undefined): string {
  try {
    return String(run());
  } catch (error) {
    if (error instanceof ModelFault) return `fault ${error.reason}`;
    if (error instanceof GuestFault) return `fault ${faultClass(error.reason)}`;
    if (!(error instanceof WebAssembly.RuntimeError)) throw error;
    if (/unaligned/.test(error.message)) return 'fault misaligned';
    if (/shared/.test(error.message)) return 'fault wait';
    return `fault ${error.message}`;
  }
}

function faultClass(reason: string): string {
  return ['misaligned', 'wait', 'notify'].includes(reason) ? reason : 'address';
}

function compare(pair: Pair, what: string, at: number, length: number, real: string, expected: string): void {
  const { world, model } = pair;
  const same =
    real === expected || (at + length > 2 ** 32 && real.startsWith('fault') && expected.startsWith('fault'));
  if (!same) expect.fail(`${what}: ${real}, expected ${expected}`);
  const events = world.device.events.join('; ');
  const wanted = model.device.events.join('; ');
  if (events !== wanted) expect.fail(`${what}: did [${events}], expected [${wanted}]`);
  world.device.events.length = model.device.events.length = 0;
  const from = Math.max(0, at - 32);
  const to = Math.min(model.ram.length, at + length + 32);
  if (from < to && Buffer.compare(world.ram.subarray(from, to), model.ram.subarray(from, to)) !== 0) {
    expect.fail(`${what}: RAM differs`);
  }
  for (const page of model.dirty)
    if (!world.dirty.has(page)) expect.fail(`${what}: page ${page} is not marked dirty`);
}

function interesting(pair: Pair, width: number): number {
  const { random, model } = pair;
  const base = model.ramBase;
  const end = model.ram.length;
  const page = base + 4096 * random.pick([0, 1, 4, 5, 6, 8, 9, 10, 11, 40, 41, 63, 64]);
  const spots = [
    base,
    base - width,
    base - random.below(width + 1),
    end - width,
    end - random.below(width + 1),
    end,
    end + random.below(0x200000),
    page,
    page - random.below(width + 1),
    page + 8 * random.below(500),
    base + random.below(RAM_SIZE),
    base + 8 * random.below(RAM_SIZE / 8),
    DEVICE + 8 * random.below(0x400),
    DEVICE + random.below(0x2000),
    DEVICE - random.below(width + 1),
    DEVICE + 0x2000 - random.below(width + 1),
    0xffffffff - random.below(32),
    random.u32(),
    0,
  ];
  const at = random.pick(spots);
  // Most atomic accesses should get past the alignment check.
  return random.below(2) === 0 ? at : Math.floor(at / width) * width;
}

const OFFSETS = [
  0,
  0,
  1,
  4,
  8,
  4095,
  4096,
  0x1f000,
  0x20000,
  0x3fffc,
  0x5fff8,
  0x60000,
  0x80000001,
  DEVICE,
  0xffffffff,
];

describe.each(CONFIGURATIONS)('rewritten with fuel $fuel, RAM at $ramBase', ({ ramBase, ...options }) => {
  const layout = hiddenLayout(ramBase, RAM_SIZE);

  test('every load, store and atomic instruction does what the specification says', () => {
    const pair = makePair(ramBase, SEED * 7919 + ramBase);
    const { world, model, random } = pair;
    const builder = new WasmBuilder();
    builder.memory(1);
    const cases = ACCESS_FORMS.flatMap((form) =>
      OFFSETS.map((off) => ({ form, off, lane: random.below(16 / Math.min(16, widthOf(form))) })),
    );
    cases.forEach(({ form, off, lane }, i) => {
      addForm(builder, `f${i}`, form, { off, lane });
    });
    const guest = world.instantiate(rewrite(builder.build(), { layout, ...options })) as unknown as Guest;
    world.onSafepoint = () => {};
    let checks = 0;
    cases.forEach(({ form, off, lane }, i) => {
      const width = widthOf(form);
      for (let k = 0; k < ADDRESSES; k++) {
        const wanted = interesting(pair, width);
        const addr =
          wanted >= off ? wanted - off : random.below(4) === 0 ? (wanted - off) >>> 0 : random.below(64);
        const at = addr + off;
        stir(pair, at, width);
        const operands = form.operands.map(() => random.u128());
        if (
          form.name.includes('cmpxchg') &&
          random.below(2) === 0 &&
          at + width <= model.ram.length &&
          at >= ramBase
        ) {
          // Equal in the bytes that count, garbage above them.
          operands[0] = (operands[0]! << BigInt(8 * width)) | model.read(at, width);
        }
        const args = [addr | 0, ...form.operands.flatMap((type, j) => argument(type, operands[j]!))];
        const bits = operands.map((value, j) => BigInt.asUintN(typeBits(form.operands[j]!), value));
        const real = outcome(() => resultBits(form.result, guest[`f${i}`]!(...args)));
        const expected = outcome(() => model.execute(form.name, at, bits, lane));
        compare(
          pair,
          `${form.name} offset=${off.toString(16)} at ${addr.toString(16)}`,
          at,
          width,
          real,
          expected,
        );
        checks++;
      }
    });
    expect(Buffer.compare(world.ram, model.ram)).toBe(0);
    expect(checks).toBe(cases.length * ADDRESSES);
  });

  test('loads from constant addresses do too', () => {
    const pair = makePair(ramBase, SEED * 31 + ramBase);
    const { world, model } = pair;
    const forms = ACCESS_FORMS.filter((form) => form.operands.length === 0);
    const builder = new WasmBuilder();
    builder.memory(1);
    const cases = forms.flatMap((form) =>
      [0, 4].flatMap((off) =>
        Array.from({ length: 12 }, () => ({ form, off, at: interesting(pair, widthOf(form)) >>> 0 })),
      ),
    );
    cases.forEach(({ form, off, at }, i) => {
      addForm(builder, `f${i}`, form, { off, lane: 0, constant: at });
    });
    const guest = world.instantiate(rewrite(builder.build(), { layout, ...options })) as unknown as Guest;
    world.onSafepoint = () => {};
    cases.forEach(({ form, off, at }, i) => {
      stir(pair, at + off, widthOf(form));
      const real = outcome(() => resultBits(form.result, guest[`f${i}`]!(0)));
      const expected = outcome(() => model.execute(form.name, at + off, [], 0));
      compare(
        pair,
        `${form.name} offset=${off} at constant ${at.toString(16)}`,
        at + off,
        widthOf(form),
        real,
        expected,
      );
    });
  });

  test('memory.copy, memory.fill and memory.init do too', () => {
    const pair = makePair(ramBase, SEED * 131 + ramBase);
    const { world, model, random } = pair;
    const builder = new WasmBuilder();
    builder.memory(1);
    addBulk(builder);
    const guest = world.instantiate(rewrite(builder.build(), { layout, ...options })) as unknown as Guest;
    world.onSafepoint = () => {};
    for (let k = 0; k < ADDRESSES * 100; k++) {
      const kind = random.pick(['copy', 'fill', 'init']);
      const length = random.pick([0, 1, 3, 4, 17, 64, 4096, 8191, random.below(9000)]);
      const dst = interesting(pair, random.pick([1, 4, 64, 4096])) >>> 0;
      const other =
        kind === 'copy'
          ? random.pick([interesting(pair, 64) >>> 0, (dst + random.below(40) - 20) >>> 0])
          : random.below(9100);
      stir(pair, dst, Math.min(length, 64));
      if (kind === 'copy') stir(pair, other, Math.min(length, 64));
      const real = outcome(() => void guest[kind]!(dst | 0, other | 0, length) as undefined);
      const expected = outcome(() => {
        if (kind === 'copy') model.copy(dst, other, length);
        else if (kind === 'fill') model.fill(dst, other, length);
        else model.init(SEGMENT, dst, other, length);
        return undefined;
      });
      const same =
        expected === 'fault segment' ? real.replace(/memory access out of bounds/, 'segment') : real;
      compare(
        pair,
        `${kind} ${dst.toString(16)} ${other.toString(16)} ${length}`,
        dst,
        length,
        same,
        expected,
      );
    }
    expect(Buffer.compare(world.ram, model.ram)).toBe(0);
  });
});
