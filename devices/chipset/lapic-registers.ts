import { RegisterBlock } from '../../vmm/regs/block.ts';
import { ro, rw, wo } from '../../vmm/regs/field.ts';
import { type Register, reg32 } from '../../vmm/regs/layout.ts';

/** Local APIC registers (Intel SDM volume 3: Advanced Programmable Interrupt Controller). */
const SDM = 'Intel SDM vol. 3: Local APIC Register Address Map';

export const APIC_ID = reg32(0x020, 'ID', SDM, { ID: rw(31, 24, 'Local APIC ID') });
export const VERSION = reg32(0x030, 'VERSION', SDM, {
  VERSION: ro(7, 0, 'Version', undefined, 0x14),
  MAX_LVT: ro(23, 16, 'Last LVT entry', undefined, 5),
});
export const TPR = reg32(0x080, 'TPR', SDM, { PRIORITY: rw(7, 0, 'Task priority') });
export const PPR = reg32(0x0a0, 'PPR', SDM, { PRIORITY: ro(7, 0, 'Processor priority') });
export const EOI = reg32(0x0b0, 'EOI', SDM, { ANY: wo(31, 0, 'Any value ends the interrupt in service') });
export const LDR = reg32(0x0d0, 'LDR', SDM, { ID: rw(31, 24, 'Logical APIC ID') });
export const DFR = reg32(0x0e0, 'DFR', SDM, {
  ONES: ro(27, 0, 'All ones', undefined, 0xfffffff),
  MODEL: rw(31, 28, 'Model', { 0: 'cluster', 15: 'flat' }, 0xf),
});
export const SVR = reg32(0x0f0, 'SVR', SDM, {
  VECTOR: rw(7, 0, 'Spurious vector', undefined, 0xff),
  ENABLE: rw(8, 8, 'APIC software enable'),
  FOCUS: rw(9, 9, 'Focus processor checking'),
});
export const ESR = reg32(0x280, 'ESR', SDM, {
  SEND_ILLEGAL: ro(5, 5, 'Send Illegal Vector'),
  RECEIVE_ILLEGAL: ro(6, 6, 'Received Illegal Vector'),
  ILLEGAL_REGISTER: ro(7, 7, 'Illegal Register Address'),
});
export const ICR = reg32(0x300, 'ICR', SDM, {
  VECTOR: rw(7, 0, 'Vector'),
  MODE: rw(10, 8, 'Delivery mode', { 0: 'fixed', 4: 'NMI' }),
  LOGICAL: rw(11, 11, 'Destination mode'),
  STATUS: ro(12, 12, 'Delivery status'),
  ASSERT: rw(14, 14, 'Level'),
  LEVEL: rw(15, 15, 'Trigger mode'),
  SHORTHAND: rw(19, 18, 'Destination shorthand', { 0: 'none', 1: 'self', 2: 'all', 3: 'all but self' }),
});
export const ICR_HIGH = reg32(0x310, 'ICR_HIGH', SDM, { DEST: rw(31, 24, 'Destination') });
export const LVT_TIMER = reg32(0x320, 'LVT_TIMER', SDM, {
  VECTOR: rw(7, 0, 'Vector'),
  STATUS: ro(12, 12, 'Delivery status'),
  MASK: rw(16, 16, 'Masked', undefined, 1),
  PERIODIC: rw(17, 17, 'Timer mode'),
});

/** The other local vectors. LIMIT: nothing raises them. */
const LVT = {
  VECTOR: rw(7, 0, 'Vector'),
  MODE: rw(10, 8, 'Delivery mode'),
  STATUS: ro(12, 12, 'Delivery status'),
  POLARITY: rw(13, 13, 'Pin polarity'),
  IRR: ro(14, 14, 'Remote IRR'),
  LEVEL: rw(15, 15, 'Trigger mode'),
  MASK: rw(16, 16, 'Masked', undefined, 1),
} as const;
const LVT_THERMAL = reg32(0x330, 'LVT_THERMAL', SDM, LVT);
const LVT_PERFORMANCE = reg32(0x340, 'LVT_PERFORMANCE', SDM, LVT);
const LVT_LINT0 = reg32(0x350, 'LVT_LINT0', SDM, LVT);
const LVT_LINT1 = reg32(0x360, 'LVT_LINT1', SDM, LVT);
const LVT_ERROR = reg32(0x370, 'LVT_ERROR', SDM, LVT);
export const LVT_ENTRIES = [
  LVT_TIMER,
  LVT_THERMAL,
  LVT_PERFORMANCE,
  LVT_LINT0,
  LVT_LINT1,
  LVT_ERROR,
] as const;

export const TIMER_INITIAL = reg32(0x380, 'TIMER_INITIAL', SDM, { COUNT: rw(31, 0, 'Initial count') });
export const TIMER_CURRENT = reg32(0x390, 'TIMER_CURRENT', SDM, { COUNT: ro(31, 0, 'Current count') });
export const TIMER_DIVIDE = reg32(0x3e0, 'TIMER_DIVIDE', SDM, {
  LOW: rw(1, 0, 'Divide value 1:0'),
  HIGH: rw(3, 3, 'Divide value 2'),
});

/** Bit arrays of 256 vectors in eight registers each. */
export const ISR = 0x100;
export const TMR = 0x180;
export const IRR = 0x200;

function vectors(offset: number, name: string): Register[] {
  return Array.from({ length: 8 }, (_, i) =>
    reg32(offset + i * 0x10, `${name}${i}`, SDM, {
      VECTORS: ro(31, 0, `Vectors ${i * 32} to ${i * 32 + 31}`),
    }),
  );
}

export const LAPIC_REGISTERS: readonly Register[] = [
  APIC_ID,
  VERSION,
  TPR,
  PPR,
  EOI,
  LDR,
  DFR,
  SVR,
  ...vectors(ISR, 'ISR'),
  ...vectors(TMR, 'TMR'),
  ...vectors(IRR, 'IRR'),
  ESR,
  ICR,
  ICR_HIGH,
  ...LVT_ENTRIES,
  TIMER_INITIAL,
  TIMER_CURRENT,
  TIMER_DIVIDE,
];

export const LAPIC_BLOCK = new RegisterBlock(LAPIC_REGISTERS, 0x400);
