import { RegisterBlock } from '../../vmm/regs/block.ts';
import { ro, rw, wo } from '../../vmm/regs/field.ts';
import { type Register, reg32, reg64 } from '../../vmm/regs/layout.ts';

/** Registers of QEMU's educational device (QEMU documentation: EDU device). */
const EDU = 'QEMU: EDU device: Access sizes, Offsets';

export const EDU_IDENT = reg32(0x00, 'IDENT', EDU, {
  MAGIC: ro(7, 0, 'EDh', undefined, 0xed),
  MINOR: ro(23, 16, 'Minor version'),
  MAJOR: ro(31, 24, 'Major version', undefined, 1),
});
export const EDU_LIVENESS = reg32(0x04, 'LIVENESS', EDU, {
  VALUE: rw(31, 0, 'Reads as the inverse of what was written; 0 before'),
});
export const EDU_FACTORIAL = reg32(0x08, 'FACTORIAL', EDU, {
  VALUE: rw(31, 0, 'n when written, n! (modulo 2^32) once computed'),
});
export const EDU_STATUS = reg32(0x20, 'STATUS', EDU, {
  COMPUTING: ro(0, 0, 'A factorial is being computed'),
  IRQ_FACTORIAL: rw(7, 7, 'Interrupt when it is done'),
});
export const EDU_IRQ_STATUS = reg32(0x24, 'IRQ_STATUS', EDU, {
  FACTORIAL: ro(0, 0, 'Factorial done'),
  RAISED: ro(7, 1, 'Raised by software'),
  DMA: ro(8, 8, 'DMA done'),
  RAISED_HIGH: ro(31, 9, 'Raised by software'),
});
export const EDU_IRQ_RAISE = reg32(0x60, 'IRQ_RAISE', EDU, { BITS: wo(31, 0, 'Bits to set, then signal') });
export const EDU_IRQ_ACK = reg32(0x64, 'IRQ_ACK', EDU, { BITS: wo(31, 0, 'Bits to clear') });
export const EDU_DMA_SRC = reg64(0x80, 'DMA_SRC', EDU, {
  LOW: rw(31, 0, 'Source address, low'),
  HIGH: rw(63, 32, 'Source address, high'),
});
export const EDU_DMA_DST = reg64(0x88, 'DMA_DST', EDU, {
  LOW: rw(31, 0, 'Destination address, low'),
  HIGH: rw(63, 32, 'Destination address, high'),
});
export const EDU_DMA_COUNT = reg64(0x90, 'DMA_COUNT', EDU, {
  LOW: rw(31, 0, 'Bytes, low'),
  HIGH: rw(63, 32, 'Bytes, high'),
});
export const EDU_DMA_CMD = reg64(0x98, 'DMA_CMD', EDU, {
  RUN: rw(0, 0, 'Start; reads 1 until done'),
  TO_RAM: rw(1, 1, 'From the device buffer to RAM'),
  IRQ: rw(2, 2, 'Interrupt when done'),
  REST: rw(31, 3, 'No effect'),
  REST_HIGH: rw(63, 32, 'No effect'),
});

export const EDU_REGISTERS: readonly Register[] = [
  EDU_IDENT,
  EDU_LIVENESS,
  EDU_FACTORIAL,
  EDU_STATUS,
  EDU_IRQ_STATUS,
  EDU_IRQ_RAISE,
  EDU_IRQ_ACK,
  EDU_DMA_SRC,
  EDU_DMA_DST,
  EDU_DMA_COUNT,
  EDU_DMA_CMD,
];

/** Where the device sees its own buffer, and its bytes. */
export const EDU_BUFFER_BASE = 0x40000;
export const EDU_BUFFER_BYTES = 4096;
export const EDU_BAR_BYTES = 1 << 20;

export const EDU_BLOCK = new RegisterBlock(EDU_REGISTERS, 0xa0);
