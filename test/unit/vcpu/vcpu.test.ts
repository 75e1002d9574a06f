import { describe, expect, test } from 'vitest';
import type { MmioHandler } from '../../../vmm/bus/mmio.ts';
import { bareGuest } from '../../kit/guest.ts';

/** A module with memory, a one-entry table and the imports a test names. */
function guest(imports: string, body: string): string {
  return `(module ${imports} (memory (export "memory") 2) ${body})`;
}

const WFI = '(import "tsvmm" "wfi" (func $wfi))';
const RELAX = '(import "tsvmm" "cpu_relax" (func $relax))';
const EXIT = '(import "tsvmm" "exit" (func $exit (param i32)))';
const IRQ =
  '(import "tsvmm" "irq_restore" (func $irq (param i32))) (import "tsvmm" "irq_handler" (func $handler (param i32 i32)))';
const CLOCK = '(import "tsvmm" "clock_ns" (func $clock (result i64)))';
const READ = '(import "tsvmm" "mmio_read" (func $read (param i64 i32) (result i64)))';
const WRITE = '(import "tsvmm" "mmio_write" (func $write (param i64 i32 i64)))';
const DELAY = '(import "tsvmm" "delay_ns" (func $delay (param i64)))';

class Register implements MmioHandler {
  readonly log: string[] = [];
  onWrite: (() => void) | undefined;

  read(offset: number, size: number): number {
    this.log.push(`r${size}@${offset}`);
    return 0x42;
  }

  write(offset: number, size: number, lo: number, hi: number): void {
    this.log.push(`w${size}@${offset}=${hi.toString(16)}:${lo.toString(16)}`);
    this.onWrite?.();
  }
}

function withRegister(wat: string, fuelLimit?: number) {
  const g = bareGuest(wat, fuelLimit);
  const register = new Register();
  g.mmio.add({ name: 'reg', base: 0xfed90000, size: 0x1000, handler: register });
  return { ...g, register };
}

describe('a guest ends', () => {
  test('with status 0 when its entry point returns nothing', () => {
    const g = bareGuest(guest('', '(func (export "main"))'));
    expect(g.vcpu.run('main')).toEqual({ kind: 'exit', status: 0 });
  });

  test('with the status main returns', () => {
    const g = bareGuest(guest('', '(func (export "main") (result i32) (i32.const 7))'));
    expect(g.vcpu.run('main')).toEqual({ kind: 'exit', status: 7 });
  });

  test('with the status it gives to exit, at once', () => {
    const g = bareGuest(guest(EXIT, '(func (export "main") (call $exit (i32.const 3)) unreachable)'));
    expect(g.vcpu.run('main')).toEqual({ kind: 'exit', status: 3 });
  });
});

describe('registers', () => {
  test('are reached by plain loads and stores in the width the guest uses', () => {
    const g = withRegister(
      guest(
        '',
        `(func (export "main") (result i32)
          (i64.store (i32.const 0xfed90020) (i64.const 0x100000002))
          (i32.store8 (i32.const 0xfed90001) (i32.const 0x1ff))
          (i32.load16_u (i32.const 0xfed90002)))`,
      ),
    );
    expect(g.vcpu.run('main')).toEqual({ kind: 'exit', status: 0x42 });
    expect(g.register.log).toEqual(['w8@32=1:2', 'w1@1=0:ff', 'r2@2']);
  });

  test('above 4 GiB are reached by the imports with 64-bit addresses', () => {
    const g = bareGuest(
      guest(
        READ + WRITE,
        `(func (export "main") (result i32)
          (call $write (i64.const 0x4010000008) (i32.const 8) (i64.const 0x300000004))
          (i32.wrap_i64 (call $read (i64.const 0x4010000000) (i32.const 4))))`,
      ),
    );
    const high = new Register();
    g.mmio.add({ name: 'high', base: 0x4010000000, size: 0x1000, handler: high });
    expect(g.vcpu.run('main')).toEqual({ kind: 'exit', status: 0x42 });
    expect(high.log).toEqual(['w8@8=3:4', 'r4@0']);
  });

  test('nobody has end the guest with the address and its functions', () => {
    const g = bareGuest(
      guest(
        '',
        '(func $poke (i32.store (i32.const 0xfe000000) (i32.const 1))) (func $main (export "main") (call $poke))',
      ),
    );
    const end = g.vcpu.run('main');
    expect(end).toMatchObject({
      kind: 'crash',
      reason: '4-byte store to an address nothing is mapped at',
      address: '0xfe000000',
      frames: [{ function: 'poke' }, { function: 'main' }],
    });
  });

  test('cannot be accessed with an odd size', () => {
    const g = bareGuest(
      guest(READ, '(func (export "main") (drop (call $read (i64.const 0) (i32.const 3))))'),
    );
    expect(g.vcpu.run('main')).toMatchObject({
      kind: 'crash',
      reason: 'mmio_read of 3 bytes; it takes 1, 2, 4, 8',
    });
  });
});

describe('guest mistakes end in a report', () => {
  test('recursion without end', () => {
    const g = bareGuest(guest('', '(func $f (export "main") (call $f))'));
    expect(g.vcpu.run('main')).toMatchObject({
      kind: 'crash',
      reason: 'stack overflow: recursion without end',
    });
  });

  test('a bad function pointer', () => {
    const g = bareGuest(
      guest(
        '',
        '(type $t (func)) (table 4 funcref) (func (export "main") (call_indirect (type $t) (i32.const 2)))',
      ),
    );
    expect(g.vcpu.run('main')).toMatchObject({
      kind: 'crash',
      reason: expect.stringContaining('bad function pointer'),
    });
  });

  test('unreachable code', () => {
    const g = bareGuest(guest('', '(func (export "main") unreachable)'));
    expect(g.vcpu.run('main')).toMatchObject({
      kind: 'crash',
      reason: expect.stringContaining('unreachable'),
    });
  });

  test('a loop without end runs out of fuel', () => {
    const g = bareGuest(guest('', '(func $spin (export "main") (loop (br 0)))'), 1_000_000);
    expect(g.vcpu.run('main')).toMatchObject({ kind: 'hung', frames: [{ function: 'spin' }] });
    expect(g.vcpu.executed).toBeGreaterThanOrEqual(1_000_000);
  });

  test('a wait for an interrupt that nothing can raise', () => {
    const g = bareGuest(guest(WFI, '(func (export "main") (call $wfi))'));
    expect(g.vcpu.run('main')).toMatchObject({
      kind: 'hung',
      reason: expect.stringContaining('nothing is scheduled'),
    });
  });

  test('an end that the guest tries to catch', () => {
    const g = withRegister(
      guest(
        '',
        `(func (export "main") (loop
          (try (do (i32.store (i32.const 0xfe000000) (i32.const 1))) (catch_all))
          (i32.store (i32.const 0xfed90000) (i32.const 1))
          (br 0)))`,
      ),
    );
    expect(g.vcpu.run('main')).toMatchObject({ kind: 'crash', address: '0xfe000000' });
  });
});

const HANDLER = `(table (export "t") 2 funcref) (elem (i32.const 1) $isr) (global $seen (mut i32) (i32.const 0))
  (func $isr (param i32) (global.set $seen (local.get 0)))`;

describe('interrupts', () => {
  test('raised by a register write are delivered before the next instruction', () => {
    const g = withRegister(
      guest(
        IRQ,
        `${HANDLER} (func (export "main") (result i32)
          (call $handler (i32.const 0x41) (i32.const 1)) (call $irq (i32.const 1))
          (i32.store (i32.const 0xfed90000) (i32.const 1))
          (global.get $seen))`,
      ),
    );
    g.register.onWrite = () => g.interrupts.raised.push(0x41);
    expect(g.vcpu.run('main')).toEqual({ kind: 'exit', status: 0x41 });
  });

  test('wait while the interrupt flag is clear and come when it is set', () => {
    const g = withRegister(
      guest(
        IRQ,
        `${HANDLER} (global $before (mut i32) (i32.const 0)) (func (export "main") (result i32)
          (call $handler (i32.const 0x41) (i32.const 1))
          (i32.store (i32.const 0xfed90000) (i32.const 1))
          (global.set $before (global.get $seen))
          (call $irq (i32.const 1))
          (i32.add (i32.mul (global.get $before) (i32.const 256)) (global.get $seen)))`,
      ),
    );
    g.register.onWrite = () => g.interrupts.raised.push(0x41);
    expect(g.vcpu.run('main')).toEqual({ kind: 'exit', status: 0x41 });
  });

  test('end a wfi, which lets virtual time run to the event that raises one', () => {
    const g = bareGuest(
      guest(
        IRQ + WFI + CLOCK,
        `${HANDLER} (func (export "main") (result i32)
          (call $handler (i32.const 0x41) (i32.const 1)) (call $irq (i32.const 1)) (call $wfi)
          (i32.wrap_i64 (call $clock)))`,
      ),
    );
    g.clock.handle('dev', () => g.interrupts.raised.push(0x41));
    g.clock.after(100_000, 'dev', 'done');
    const end = g.vcpu.run('main') as { status: number };
    expect(end.status).toBeGreaterThanOrEqual(100_000);
    expect(end.status).toBeLessThan(100_100);
    expect(g.interrupts.log).toEqual(['accept 65']);
  });

  test('reach a loop that only looks at memory, at a safepoint', () => {
    const g = bareGuest(
      guest(
        IRQ,
        `${HANDLER} (func (export "main") (result i32)
          (call $handler (i32.const 0x41) (i32.const 1)) (call $irq (i32.const 1))
          (loop $wait (br_if $wait (i32.eqz (global.get $seen)))) (global.get $seen))`,
      ),
    );
    g.clock.handle('dev', () => g.interrupts.raised.push(0x41));
    g.clock.after(1_000_000, 'dev', 'done');
    expect(g.vcpu.run('main')).toEqual({ kind: 'exit', status: 0x41 });
    expect(g.vcpu.executed).toBeLessThan(1_000_100);
  });

  test('without a handler go to the exported dispatcher, and without one end the guest', () => {
    const body = '(func (export "main") (call $irq (i32.const 1)))';
    const none = bareGuest(guest(IRQ, body));
    none.interrupts.raised.push(0x50);
    expect(none.vcpu.run('main')).toMatchObject({
      kind: 'crash',
      reason: 'interrupt vector 80 has no handler',
    });
    const some = bareGuest(guest(IRQ, `(func (export "tsvmm_irq") (param i32)) ${body}`));
    some.interrupts.raised.push(0x50);
    expect(some.vcpu.run('main')).toEqual({ kind: 'exit', status: 0 });
  });

  test('that cannot be masked come as vector 2', () => {
    const g = bareGuest(
      guest(
        IRQ,
        `${HANDLER} (func (export "main") (result i32)
          (call $handler (i32.const 2) (i32.const 1)) (call $irq (i32.const 1)) (global.get $seen))`,
      ),
    );
    g.interrupts.nmi = true;
    expect(g.vcpu.run('main')).toEqual({ kind: 'exit', status: 2 });
  });

  test('that cannot be masked end a wait too', () => {
    const g = bareGuest(
      guest(
        WFI + IRQ,
        `${HANDLER} (func (export "main") (result i32)
          (call $handler (i32.const 2) (i32.const 1)) (call $irq (i32.const 1)) (call $wfi) (global.get $seen))`,
      ),
    );
    g.clock.handle('dev', () => {
      g.interrupts.nmi = true;
    });
    g.clock.after(1000, 'dev', 'nmi');
    expect(g.vcpu.run('main')).toEqual({ kind: 'exit', status: 2 });
  });

  test('cannot be given a handler that is no function', () => {
    const g = bareGuest(
      guest(IRQ, `${HANDLER} (func (export "main") (call $handler (i32.const 3) (i32.const 77)))`),
    );
    expect(g.vcpu.run('main')).toMatchObject({
      kind: 'crash',
      reason: expect.stringContaining('function pointer'),
    });
  });
});

describe('virtual time', () => {
  test('is the number of instructions executed when nothing waits', () => {
    const g = bareGuest(
      guest(CLOCK, '(func (export "main") (result i32) nop nop nop (i32.wrap_i64 (call $clock)))'),
    );
    expect(g.vcpu.run('main')).toEqual({ kind: 'exit', status: 4 });
  });

  test('passes by a delay, events running on the way', () => {
    const g = bareGuest(
      guest(
        DELAY + CLOCK,
        '(func (export "main") (result i32) (call $delay (i64.const 5000)) (i32.wrap_i64 (call $clock)))',
      ),
    );
    const times: number[] = [];
    g.clock.handle('dev', () => times.push(g.clock.now));
    g.clock.after(1000, 'dev', 'tick');
    expect(g.vcpu.run('main')).toEqual({ kind: 'exit', status: 5003 });
    expect(times).toEqual([1000]);
  });

  test('ends a loop at the time limit, and not at the next look at the clock', () => {
    const g = bareGuest(guest('', '(func (export "main") (loop $l (br $l)))'), undefined, 1000);
    expect(g.vcpu.run('main')).toMatchObject({
      kind: 'hung',
      reason: 'out of virtual time after 1000 ns',
    });
    expect(g.clock.now).toBeLessThan(1010);
  });

  test('ends with the clock: nanoseconds beyond 2^53 would not be exact', () => {
    const g = bareGuest(guest(DELAY, '(func (export "main") (call $delay (i64.const -1)))'));
    expect(g.vcpu.run('main')).toMatchObject({
      kind: 'hung',
      reason: 'out of virtual time after 9007199254740991 ns',
    });
  });

  test.each([
    ['waits for an interrupt', WFI, '(call $wfi)'],
    ['sleeps', DELAY, '(call $delay (i64.const -1))'],
  ])('ends a guest that %s while a timer fires for ever and interrupts nobody', (_, imports, body) => {
    const g = bareGuest(guest(imports, `(func (export "main") ${body})`), undefined, undefined, {
      eventLimit: 1000,
    });
    g.clock.handle('timer', () => g.clock.after(1, 'timer', 'tick'));
    g.clock.after(1, 'timer', 'tick');
    expect(g.vcpu.run('main')).toMatchObject({
      kind: 'hung',
      reason: 'still waits after 1000 events of the machine',
    });
  });

  test('ends a sleep at the time limit', () => {
    const g = bareGuest(
      guest(DELAY, '(func (export "main") (call $delay (i64.const 5000)))'),
      undefined,
      1000,
    );
    g.clock.handle('timer', () => g.clock.after(300, 'timer', 'tick'));
    g.clock.after(300, 'timer', 'tick');
    expect(g.vcpu.run('main')).toMatchObject({ kind: 'hung' });
    expect(g.clock.now).toBe(1000);
  });

  test('passes by ten microseconds at most in a cpu_relax', () => {
    const g = bareGuest(
      guest(RELAX + CLOCK, '(func (export "main") (result i32) (call $relax) (i32.wrap_i64 (call $clock)))'),
    );
    expect(g.vcpu.run('main')).toEqual({ kind: 'exit', status: 10_000 + 2 });
  });
});

test('a store to a watched page is reported before the next instruction, with who stored it', () => {
  const g = bareGuest(
    guest('', '(func $set_root (export "main") (i64.store (i32.const 0x3008) (i64.const 5)))'),
  );
  const seen: unknown[] = [];
  g.ram.watch(0x3000, { stored: (a, n, cpu) => seen.push(a, n, cpu, g.ram.u32[0x3008 / 4]) });
  g.vcpu.run('main');
  expect(seen).toEqual([0x3008, 8, true, 5]);
  expect(g.vcpu.stores.lastWriter(0x3008)).toBe('set_root');
  expect(g.vcpu.stores.lastWriter(0x3010)).toBeUndefined();
});

test('of a storm of stores to watched pages not every writer is kept, and none is wrong', () => {
  const g = bareGuest(
    guest(
      '',
      `(func $storm (param $n i32)
        (loop $again
          (i32.store (i32.const 0x3000) (local.get $n))
          (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
      (func $last (i32.store (i32.const 0x3008) (i32.const 1)))
      (func (export "main") (call $last) (call $storm (i32.const 5000)) (call $last))`,
    ),
  );
  g.ram.watch(0x3000, { stored: () => {} });

  g.vcpu.run('main');

  expect([g.vcpu.stores.lastWriter(0x3000), g.vcpu.stores.lastWriter(0x3008)]).toEqual([
    undefined,
    undefined,
  ]);
});

test('of the pages a repeated run asks about every writer is kept', () => {
  const g = bareGuest(
    guest(
      '',
      `(func $storm (param $n i32)
        (loop $again
          (i32.store (i32.const 0x3000) (local.get $n))
          (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
      (func $main (export "main") (i32.store (i32.const 0x4000) (i32.const 1)) (call $storm (i32.const 5000)))`,
    ),
  );
  for (const page of [0x3000, 0x4000]) g.ram.watch(page, { stored: () => {} });
  g.vcpu.stores.only(new Set([0x3000]));

  g.vcpu.run('main');

  expect([g.vcpu.stores.lastWriter(0x3000), g.vcpu.stores.lastWriter(0x4000)]).toEqual([
    'storm < main',
    undefined,
  ]);
});
