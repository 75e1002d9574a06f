import { describe, expect, test } from 'vitest';
import type { MmioHandler } from '../../../vmm/bus/mmio.ts';
import { DATA, READ_ONLY, REGISTERS, ROOT, userGuest } from '../../kit/user-guest.ts';

const KERNEL_IMPORTS = `
  (import "tsvmm" "process_create" (func $create (param i32 i64 i32) (result i32)))
  (import "tsvmm" "process_run" (func $run (param i32) (result i32)))
  (import "tsvmm" "process_exit" (func $exit (param i32 i32)))
  (import "tsvmm" "process_status" (func $status (param i32) (result i32)))
  (import "tsvmm" "process_current" (func $current (result i32)))
  (import "tsvmm" "process_destroy" (func $destroy (param i32)))
  (import "tsvmm" "process_set_pasid" (func $pasid (param i32 i32)))
  (import "tsvmm" "syscall_entry" (func $syscall_entry (param i32)))
  (import "tsvmm" "page_fault_entry" (func $fault_entry (param i32)))
  (import "tsvmm" "irq_handler" (func $irq_handler (param i32 i32)))`;

/** A kernel that runs one process and returns run * 1000 + status; `extra` is code before the run. */
function kernel(syscall: string, fault: string, extra = '', irq = ''): string {
  return `(module ${KERNEL_IMPORTS}
    (memory (export "memory") 2)
    (table (export "table") 4 funcref)
    (elem (i32.const 1) $syscall $fault $irq)
    (global $seen (export "seen") (mut i32) (i32.const 0))
    (func $syscall (param $nr i32) (param $a i32) (param i32 i32 i32 i32 i32) (result i32) ${syscall})
    (func $fault (param $address i32) (param $code i32) (result i32) ${fault})
    (func $irq (param i32) ${irq})
    (func (export "main") (result i32) (local $pid i32)
      (call $syscall_entry (i32.const 1))
      (call $fault_entry (i32.const 2))
      (call $irq_handler (i32.const 40) (i32.const 3))
      (local.set $pid (call $create (i32.const 0) (i64.const ${ROOT}) (i32.const 4)))
      ${extra}
      (i32.add (i32.mul (call $run (local.get $pid)) (i32.const 1000)) (call $status (local.get $pid)))))`;
}

const EXIT_WITH_ARGUMENT = '(call $exit (call $current) (local.get $a)) (i32.const 0)';
const REFUSE = '(i32.const -14)';

function program(body: string): string {
  return `(module
    (import "tsvmm_user" "syscall" (func $syscall (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "tsvmm_user" "enqcmd" (func $enqcmd (param i32 i32) (result i32)))
    (import "tsvmm_user" "movdir64b" (func $movdir64b (param i32 i32)))
    (memory 1)
    (func $exit (param i32)
      (drop (call $syscall (i32.const 0) (local.get 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))))
    (func (export "_start") (local $i i32) ${body}))`;
}

class Device implements MmioHandler {
  readonly log: string[] = [];
  answer = 0;
  onWrite = (): void => {};

  read(offset: number, size: number): number {
    this.log.push(`r${size}@${offset}`);
    return 0x42;
  }

  write(offset: number, size: number, lo: number): void {
    this.log.push(`w${size}@${offset}=${lo}`);
    this.onWrite();
  }

  line(offset: number, words: Uint32Array, deferrable: boolean): number {
    this.log.push(`line@${offset} ${words[0]!.toString(16)} ${words[15]!.toString(16)} ${deferrable}`);
    return this.answer;
  }
}

function run(kernelText: string, body: string) {
  const device = new Device();
  const guest = userGuest(kernelText, program(body), device);
  return { ...guest, device, start: () => guest.vcpu.run('main') };
}

const EXITED = 1000;
const KILLED = 2000;

describe('a process ends', () => {
  test('by a system call, with the status the kernel gives it', () => {
    const g = run(kernel(EXIT_WITH_ARGUMENT, REFUSE), '(call $exit (i32.const 7)) unreachable');
    expect(g.start()).toEqual({ kind: 'exit', status: EXITED + 7 });
  });

  test('by returning, with status 0', () => {
    const g = run(kernel(EXIT_WITH_ARGUMENT, REFUSE), 'nop');
    expect(g.start()).toEqual({ kind: 'exit', status: EXITED });
  });

  test.each([
    [
      `(i32.store (i32.const ${READ_ONLY}) (i32.const 1))`,
      11,
      'page fault, not allowed (error code 7): write to',
    ],
    ['(drop (i32.load (i32.const 0)))', 11, 'page fault, not present (error code 4): read of 0x00000000'],
    ['unreachable', 4, 'executed unreachable code'],
    ['(drop (i32.div_u (i32.const 1) (local.get $i)))', 8, 'divide by zero'],
    [`(drop (i64.load (i32.const ${REGISTERS - 4})))`, 11, 'page fault, not present'],
    [`(drop (i64.load (i32.const ${DATA + 4092})))`, 11, 'page fault, not present'],
    [
      `(drop (call $enqcmd (i32.const ${REGISTERS}) (i32.const ${DATA})))`,
      11,
      'ENQCMD of a process without a PASID',
    ],
    [`(call $movdir64b (i32.const ${DATA + 8}) (i32.const ${DATA}))`, 11, 'no multiple of 64'],
    [`(memory.fill (i32.const ${REGISTERS}) (i32.const 0) (i32.const 8))`, 7, 'maps registers'],
  ])('by %s, killed with signal %i and a report', (body, signal, reason) => {
    const g = run(kernel(EXIT_WITH_ARGUMENT, REFUSE), body);

    expect(g.start()).toEqual({ kind: 'exit', status: KILLED + 128 + signal });
    expect(g.output.join('')).toContain(`# process 1 (user) killed: `);
    expect(g.output.join('')).toContain(reason);
  });

  test('by the interrupt handler of the kernel, in the middle of a loop', () => {
    const g = run(
      kernel(EXIT_WITH_ARGUMENT, REFUSE, '', '(call $exit (call $current) (i32.const 9))'),
      '(loop $for_ever (local.set $i (i32.add (local.get $i) (i32.const 1))) (br $for_ever))',
    );
    g.clock.handle('dev', () => g.interrupts.raised.push(40));
    g.clock.after(5000, 'dev', 'raise');

    expect(g.start()).toEqual({ kind: 'exit', status: EXITED + 9 });
    expect(g.vcpu.executed).toBeGreaterThan(4900);
    expect(g.vcpu.executed).toBeLessThan(5200);
  });
});

describe('a kernel that goes wrong on top of a process', () => {
  test('in a system call is what crashes', () => {
    const g = run(kernel('unreachable', REFUSE), '(call $exit (i32.const 7))');
    expect(g.start()).toMatchObject({ kind: 'crash', reason: expect.stringContaining('unreachable code') });
    expect(g.output).toEqual([]);
  });

  test('in a page fault likewise', () => {
    const g = run(kernel(EXIT_WITH_ARGUMENT, 'unreachable'), '(drop (i32.load (i32.const 0)))');
    expect(g.start()).toMatchObject({ kind: 'crash', reason: expect.stringContaining('unreachable code') });
  });

  test('in an interrupt likewise', () => {
    const g = run(kernel(EXIT_WITH_ARGUMENT, REFUSE, '', 'unreachable'), '(loop $for_ever (br $for_ever))');
    g.clock.handle('dev', () => g.interrupts.raised.push(40));
    g.clock.after(5000, 'dev', 'raise');
    expect(g.start()).toMatchObject({ kind: 'crash', reason: expect.stringContaining('unreachable code') });
  });

  test('by resolving nothing for ever is found out', () => {
    const g = run(kernel(EXIT_WITH_ARGUMENT, '(i32.const 0)'), '(drop (i32.load (i32.const 0x5000)))');
    expect(g.start()).toMatchObject({
      kind: 'crash',
      reason: expect.stringContaining('the page fault handler resolves nothing'),
      address: '0x5000',
    });
  });

  test('by destroying the process that called it', () => {
    const g = run(
      kernel('(call $destroy (call $current)) (i32.const 0)', REFUSE),
      '(call $exit (i32.const 7))',
    );
    expect(g.start()).toMatchObject({
      kind: 'crash',
      reason: 'process_destroy of process 1, which is running',
    });
  });
});

describe('a process that runs', () => {
  test('for ever uses up the fuel of the machine', () => {
    const g = run(kernel(EXIT_WITH_ARGUMENT, REFUSE), '(loop $for_ever (br $for_ever))');
    expect(g.start()).toMatchObject({ kind: 'hung' });
  });

  test('reaches registers through its page tables, in the width it uses', () => {
    const g = run(
      kernel(EXIT_WITH_ARGUMENT, REFUSE),
      `(i32.store8 (i32.const ${REGISTERS + 3}) (i32.const 0x1ff))
       (i64.store (i32.const ${REGISTERS + 8}) (i64.const 5))
       (call $exit (i32.load16_u (i32.const ${REGISTERS + 6})))`,
    );
    expect(g.start()).toEqual({ kind: 'exit', status: EXITED + 0x42 });
    expect(g.device.log).toEqual(['w1@3=255', 'w8@8=5', 'r2@6']);
  });

  test('is interrupted by what its register access raises, at once', () => {
    const g = run(
      kernel(EXIT_WITH_ARGUMENT, REFUSE, '', '(call $exit (call $current) (i32.const 3))'),
      `(i32.store (i32.const ${REGISTERS}) (i32.const 1)) (call $exit (i32.const 7))`,
    );
    g.device.onWrite = () => g.interrupts.raised.push(40);
    expect(g.start()).toEqual({ kind: 'exit', status: EXITED + 3 });
  });

  test.each([
    [0, 0],
    [1, 1],
  ])('sends a command with its PASID by ENQCMD and learns that the device answered %i', (answer, flag) => {
    const g = run(
      kernel(EXIT_WITH_ARGUMENT, REFUSE, '(call $pasid (local.get $pid) (i32.const 0x80012345))'),
      `(i32.store (i32.const ${DATA + 60}) (i32.const 0xabc))
       (call $exit (call $enqcmd (i32.const ${REGISTERS + 64}) (i32.const ${DATA})))`,
    );
    g.device.answer = answer;
    expect(g.start()).toEqual({ kind: 'exit', status: EXITED + flag });
    expect(g.device.log).toEqual(['line@64 12345 abc true']);
  });

  test('is killed by ENQCMD of a command that names a PASID itself', () => {
    const g = run(
      kernel(EXIT_WITH_ARGUMENT, REFUSE, '(call $pasid (local.get $pid) (i32.const 0x80012345))'),
      `(i32.store (i32.const ${DATA}) (i32.const 6))
       (call $exit (call $enqcmd (i32.const ${REGISTERS + 64}) (i32.const ${DATA})))`,
    );

    expect(g.start()).toEqual({ kind: 'exit', status: KILLED + 128 + 11 });
    expect(g.device.log).toEqual([]);
  });

  test('stores 64 bytes at once by MOVDIR64B', () => {
    const g = run(
      kernel(EXIT_WITH_ARGUMENT, REFUSE),
      `(i32.store (i32.const ${DATA}) (i32.const 0x77))
       (call $movdir64b (i32.const ${REGISTERS}) (i32.const ${DATA}))
       (call $movdir64b (i32.const ${DATA + 128}) (i32.const ${DATA}))
       (call $exit (i32.load (i32.const ${DATA + 128})))`,
    );
    expect(g.start()).toEqual({ kind: 'exit', status: EXITED + 0x77 });
    expect(g.device.log).toEqual(['line@0 77 0 false']);
  });

  test('makes its access again when the kernel has resolved its fault', () => {
    // Page 0x11 becomes the frame of DATA: the leaf table lies three pages behind the root.
    const resolve = `(i32.store (i32.const ${ROOT + 0x3000 + 0x11 * 8}) (i32.const 0x300007)) (i32.const 0)`;
    const g = run(
      kernel(EXIT_WITH_ARGUMENT, resolve),
      `(i32.store (i32.const ${DATA}) (i32.const 5)) (call $exit (i32.load (i32.const 0x11000)))`,
    );
    expect(g.start()).toEqual({ kind: 'exit', status: EXITED + 5 });
  });
});
