import { describe, expect, test } from 'vitest';
import { ModelFault, UserModel } from '../../kit/user-model.ts';
import { UserRig } from '../../kit/user-rig.ts';
import { ACCESS_FORMS } from '../../kit/wasm-access-forms.ts';
import { i32c, T, WasmBuilder } from '../../kit/wasm-builder.ts';
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
import { GuestFault } from '../../kit/wasm-trap-world.ts';

/** USER_FUZZ_ADDRESSES=400 USER_FUZZ_SEED=7 for a longer run. */
const ADDRESSES = Number(process.env['USER_FUZZ_ADDRESSES'] ?? 10);
const SEED = Number(process.env['USER_FUZZ_SEED'] ?? 1);

const FIRST_PAGE = 0x10;
const PAGES = 24;
const DEVICE = 0xfed90000;
const PHYSICAL = 0x40; // first page of RAM that user pages lie in
const OFFSETS = [0, 0, 1, 4, 8, 4095, 4096, 0x10000, 0x80000001, 0xffffffff];

function outcome(run: () => bigint | undefined): string {
  try {
    return String(run());
  } catch (error) {
    if (error instanceof ModelFault || error instanceof GuestFault) return `fault ${error.reason}`;
    throw error;
  }
}

/** Pages of user mode, scattered over RAM: plain, read-only, of the kernel, absent, brought in at a fault, watched, registers. */
function makeWorld(seed: number) {
  const random = new Random(seed);
  const rig = new UserRig();
  const model = new UserModel(rig.device.base, 0x1000);
  const frames = Array.from({ length: PAGES * 2 }, (_, i) => PHYSICAL + i);
  const demand = new Map<number, number>();
  const watcher = {
    stored: (address: number, bytes: number) =>
      rig.device.events.push(`stored ${address.toString(16)} ${bytes}`),
  };
  for (const page of [...Array.from({ length: PAGES }, (_, i) => FIRST_PAGE + i), 0xfffff]) {
    const frame = frames.splice(random.below(frames.length), 1)[0]! * 4096;
    const kind = random.below(10);
    const va = page * 4096;
    if (kind === 0) rig.setPte(va, frame | 3);
    else if (kind === 1) {
      rig.setPte(va, frame | 5);
      model.map(page, frame, false);
    } else if (kind === 2) {
      rig.pteAt(va);
      demand.set(page, frame | 7);
      model.map(page, frame, true);
    } else if (kind === 3) {
      rig.setPte(va, DEVICE | 7);
      model.map(page, DEVICE, true);
    } else if (kind !== 4) {
      rig.setPte(va, frame | 7);
      model.map(page, frame, true);
      if (kind === 5) {
        rig.ram.watch(frame, watcher);
        model.watched.add(frame);
      }
    }
    for (let i = 0; i < 4096; i++) rig.ram.u8[frame + i] = model.physical[frame + i] = random.below(256);
  }
  rig.onFault = (address) => {
    const entry = demand.get(address >>> 12);
    if (entry === undefined) return false;
    demand.delete(address >>> 12);
    rig.setPte(address, entry);
    return true;
  };
  const place = (width: number): number => {
    const page =
      random.pick([FIRST_PAGE + random.below(PAGES), FIRST_PAGE + random.below(PAGES), 0xfffff, 0]) * 4096;
    const at =
      page + random.pick([0, 4096 - width, 4096 - random.below(width + 1), random.below(4096), 4096 - 1]);
    return (random.below(2) === 0 ? at : at - (at % width)) >>> 0;
  };
  return { random, rig, model, place };
}

type World = ReturnType<typeof makeWorld>;

function compare({ rig, model }: World, what: string, real: string, expected: string): void {
  if (real !== expected) expect.fail(`${what}: ${real}, expected ${expected}`);
  const events = rig.device.events.join('; ');
  const wanted = model.device.events.join('; ');
  if (events !== wanted) expect.fail(`${what}: did [${events}], expected [${wanted}]`);
  rig.device.events.length = model.device.events.length = 0;
}

function compareMemory({ rig, model }: World): void {
  for (const { frame } of model.pages.values()) {
    if (frame === DEVICE) continue;
    const real = rig.ram.u8.subarray(frame, frame + 4096);
    expect(Buffer.compare(real, model.physical.subarray(frame, frame + 4096))).toBe(0);
  }
}

describe.each([{ fuel: 'off' }, { fuel: 'exact' }] as const)('user mode with fuel $fuel', ({ fuel }) => {
  test('every load, store and atomic instruction does what the specification says, page by page', () => {
    const world = makeWorld(SEED * 7919);
    const { random, rig, model, place } = world;
    const builder = new WasmBuilder();
    builder.memory(1);
    const cases = ACCESS_FORMS.flatMap((form) =>
      OFFSETS.map((off, i) => ({
        ...{ form, off, natural: i % 2 === 0 },
        lane: random.below(16 / Math.min(16, widthOf(form))),
      })),
    );
    cases.forEach(({ form, off, lane, natural }, i) => {
      addForm(builder, `f${i}`, form, { off, lane, natural });
    });
    const guest = rig.instantiate(builder.build(), fuel) as unknown as Guest;
    let checks = 0;
    cases.forEach(({ form, off, lane }, i) => {
      const width = widthOf(form);
      for (let k = 0; k < ADDRESSES; k++) {
        const at = place(width);
        const operands = form.operands.map(() => random.u128());
        if (form.name.includes('cmpxchg') && random.below(2) === 0 && model.isRam(at, width))
          operands[0] = (operands[0]! << BigInt(8 * width)) | model.peek(at, width);
        const args = [(at - off) | 0, ...form.operands.flatMap((type, j) => argument(type, operands[j]!))];
        const bits = operands.map((value, j) => BigInt.asUintN(typeBits(form.operands[j]!), value));
        if (random.below(8) === 0) rig.mmu.flush(rig.space, at >>> 12, at >>> 12);
        if (random.below(50) === 0) rig.mmu.flushAll(rig.space);
        const real = outcome(() => resultBits(form.result, guest[`f${i}`]!(...args)));
        const expected = outcome(() => model.execute(form.name, at, bits, lane));
        compare(world, `${form.name} offset=${off.toString(16)} at ${at.toString(16)}`, real, expected);
        checks++;
      }
    });
    compareMemory(world);
    for (const [page, { frame }] of model.pages) {
      const pte = rig.pte(page * 4096);
      if (model.read_.has(page)) expect(pte & 0x20, `A of page ${page.toString(16)}`).toBe(0x20);
      if (model.written.has(page)) expect(pte & 0x40, `D of page ${page.toString(16)}`).toBe(0x40);
      else if (!model.tried.has(page))
        expect(pte & 0x40, `D of page ${page.toString(16)} at ${frame}`).toBe(0);
    }
    expect(checks).toBe(cases.length * ADDRESSES);
  });

  test('memory.copy, memory.fill and memory.init do too, and stop where a page faults', () => {
    const world = makeWorld(SEED * 131 + 5);
    const { random, rig, model, place } = world;
    const builder = new WasmBuilder();
    builder.memory(1);
    addBulk(builder);
    const guest = rig.instantiate(builder.build(), fuel) as unknown as Guest;
    for (let k = 0; k < ADDRESSES * 100; k++) {
      const kind = random.pick(['copy', 'fill', 'init']);
      const length = random.pick([0, 1, 3, 17, 64, 4096, 8191, random.below(9000)]);
      const dst = place(random.pick([1, 64, 4096]));
      const other =
        kind === 'copy'
          ? random.pick([place(64), (dst + random.below(9000) - 4500) >>> 0])
          : random.below(9100);
      const real = outcome(() => void guest[kind]!(dst | 0, other | 0, length) as undefined);
      rig.bulkDone = 0;
      const expected = outcome(() => model.bulk(kind, SEGMENT, dst, other, length));
      // What was stored before a fault is the same; how a watch is told of it is not compared.
      rig.device.events.length = model.device.events.length = 0;
      compare(world, `${kind} ${dst.toString(16)} ${other.toString(16)} ${length}`, real, expected);
    }
    compareMemory(world);
  });
});

test('page tables of random bytes give faults and values, never anything else', () => {
  const rig = new UserRig();
  const random = new Random(SEED * 17 + 3);
  const builder = new WasmBuilder();
  builder.memory(1);
  const forms = ACCESS_FORMS.filter((form) => !/wait|notify/.test(form.name));
  forms.forEach((form, i) => {
    addForm(builder, `f${i}`, form, { off: 0, lane: 0 });
  });
  const guest = rig.instantiate(builder.build()) as unknown as Guest;
  const outcomes = new Set<string>();
  for (let round = 0; round < 40; round++) {
    // Entries that are likely to be present, of user mode, and to lead to one of the first pages.
    for (let at = 0x1000; at < 0x6000; at += 8) {
      const likely =
        random.below(4) === 0 ? random.u32() : (random.below(6) << 12) | 7 | (random.u32() & 0x160);
      rig.ram.u32[at >>> 2] = likely;
      rig.ram.u32[(at >>> 2) + 1] = random.below(16) === 0 ? random.u32() : 0;
    }
    rig.mmu.flushAll(rig.space);
    forms.forEach((form, i) => {
      const operands = form.operands.flatMap((type) => argument(type, random.u128()));
      const real = outcome(() => resultBits(form.result, guest[`f${i}`]!(random.u32() | 0, ...operands)));
      outcomes.add(real.startsWith('fault') ? real : 'done');
    });
  }

  expect([...outcomes].sort()).toEqual(['done', 'fault address', 'fault misaligned']);
});

test('a handler that resolves nothing is found out', () => {
  const rig = new UserRig();
  rig.onFault = () => true;
  const builder = new WasmBuilder();
  builder.memory(1);
  builder.func([], [T.i32], [...i32c(0x5000), 0x28, 2, 0], { name: 'read' });
  const guest = rig.instantiate(builder.build()) as unknown as Guest;

  expect(outcome(() => BigInt(guest['read']!() as number))).toBe('fault livelock');
});

test('memory.size is what the program declares and memory.grow fails', () => {
  const rig = new UserRig();
  const builder = new WasmBuilder();
  builder.memory(3);
  builder.func([], [T.i32], [0x3f, 0], { name: 'size' });
  builder.func([], [T.i32], [...i32c(1), 0x40, 0], { name: 'grow' });

  const guest = rig.instantiate(builder.build()) as unknown as Guest;

  expect(guest['size']!()).toBe(3);
  expect(guest['grow']!()).toBe(-1);
});
