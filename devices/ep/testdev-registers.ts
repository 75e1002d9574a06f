import { RegisterBlock } from '../../vmm/regs/block.ts';
import { ro, rw, wo } from '../../vmm/regs/field.ts';
import { type Register, reg32 } from '../../vmm/regs/layout.ts';

/** Registers of QEMU's iommu-testdev (QEMU documentation: IOMMU test device). */
const TESTDEV = 'QEMU: iommu-testdev: Register map';

export const TD_TRIGGER = reg32(0x00, 'TRIGGER', TESTDEV, {
  ZERO: ro(31, 0, 'Reading it runs the armed DMA'),
});
export const TD_GVA_LO = reg32(0x04, 'GVA_LO', TESTDEV, { LOW: rw(31, 0, 'DMA address, low') });
export const TD_GVA_HI = reg32(0x08, 'GVA_HI', TESTDEV, { HIGH: rw(31, 0, 'DMA address, high') });
export const TD_LEN = reg32(0x0c, 'LEN', TESTDEV, { BYTES: rw(31, 0, 'Bytes') });
export const TD_RESULT = reg32(0x10, 'RESULT', TESTDEV, {
  CODE: rw(
    31,
    0,
    'Outcome',
    {
      0: 'ok',
      4294967295: 'idle',
      4294967294: 'busy',
      3735879681: 'bad length',
      3735879682: 'write failed',
      3735879683: 'read-back failed',
      3735879684: 'mismatch',
      3735879685: 'not armed',
      3735879686: 'bad attributes',
    },
    0xffffffff,
  ),
});
export const TD_DOORBELL = reg32(0x14, 'DOORBELL', TESTDEV, { ARM: wo(0, 0, '1: arm, 0: disarm') });
export const TD_ATTRS = reg32(0x18, 'ATTRS', TESTDEV, {
  SECURE: rw(0, 0, 'Secure access'),
  SPACE: rw(2, 1, 'Arm space', { 0: 'secure', 1: 'non-secure', 2: 'root', 3: 'realm' }, 1),
  SPACE_VALID: rw(3, 3, 'SPACE counts'),
  REST: rw(31, 4, 'No effect'),
});
export const TD_GPA_LO = reg32(0x1c, 'GPA_LO', TESTDEV, { LOW: rw(31, 0, 'Read-back address, low') });
export const TD_GPA_HI = reg32(0x20, 'GPA_HI', TESTDEV, { HIGH: rw(31, 0, 'Read-back address, high') });

export const TESTDEV_REGISTERS: readonly Register[] = [
  TD_TRIGGER,
  TD_GVA_LO,
  TD_GVA_HI,
  TD_LEN,
  TD_RESULT,
  TD_DOORBELL,
  TD_ATTRS,
  TD_GPA_LO,
  TD_GPA_HI,
];

export const TESTDEV_BAR_BYTES = 0x1000;
export const TESTDEV_BLOCK = new RegisterBlock(TESTDEV_REGISTERS, 0x24);

export const RESULT = {
  ok: 0,
  idle: 0xffffffff,
  busy: 0xfffffffe,
  badLength: 0xdead0001,
  writeFailed: 0xdead0002,
  readFailed: 0xdead0003,
  mismatch: 0xdead0004,
  notArmed: 0xdead0005,
  badAttributes: 0xdead0006,
} as const;
