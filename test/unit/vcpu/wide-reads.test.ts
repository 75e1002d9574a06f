import { expect, test } from 'vitest';
import type { MmioBus } from '../../../vmm/bus/mmio.ts';
import { bareGuest } from '../../kit/guest.ts';

/** Reading it as 64 bits gives 11..1_22..2 and raises an interrupt; as 32 bits it gives 3. */
function guestWithRegister(read: string) {
  const g = bareGuest(`(module
    (import "tsvmm" "irq_restore" (func $irq (param i32)))
    (import "tsvmm" "irq_eoi" (func $eoi))
    (import "tsvmm" "mmio_read" (func $read (param i64 i32) (result i64)))
    (memory (export "memory") 1)
    (func (export "tsvmm_irq") (param i32)
      (drop (i64.load (i32.const 0xfed90008)))
      (drop (call $read (i64.const 0xfed90008) (i32.const 8)))
      (call $eoi))
    (func (export "main") (result i32)
      (call $irq (i32.const 1))
      (i64.eq ${read} (i64.const 0x1111111122222222))))`);
  g.mmio.add({
    name: 'reg',
    base: 0xfed90000,
    size: 0x1000,
    handler: {
      read(offset: number, _size: number, bus: MmioBus) {
        bus.hi = offset === 0 ? 0x11111111 : 0xdeadbeef;
        if (offset === 0) g.interrupts.raised.push(40);
        return offset === 0 ? 0x22222222 : 3;
      },
      write: () => {},
    },
  });
  return g;
}

test.each([
  ['load', '(i64.load (i32.const 0xfed90000))'],
  ['import', '(call $read (i64.const 0xfed90000) (i32.const 8))'],
])('a 64-bit read by %s keeps its upper half when an interrupt handler reads registers too', (_how, read) => {
  const g = guestWithRegister(read);
  expect(g.vcpu.run('main')).toEqual({ kind: 'exit', status: 1 });
  expect(g.interrupts.log).toEqual(['accept 40', 'eoi']);
});
