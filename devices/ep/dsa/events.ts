import { events } from '../../../vmm/trace/event.ts';

/** Trace events of the data streaming accelerator. */
export const DSA_EVENTS = events({
  dsa_submit: {
    doc: 'A descriptor arrives at a portal; result 0 taken, 1 to be tried again, 2 refused or dropped.',
    args: { bdf: 'bdf', wq: 'u8', opcode: 'u8', pasid: 'pasid', result: 'u8' },
    role: 'dma-begin',
  },
  dsa_complete: {
    doc: 'A descriptor ends with this completion status.',
    args: { bdf: 'bdf', wq: 'u8', opcode: 'u8', pasid: 'pasid', status: 'u8', bytes: 'count' },
    ring: true,
    role: 'dma-end',
  },
  dsa_page_fault: {
    doc: 'An engine meets a page that is not there; blocks is 1 where it asks for the page and waits.',
    args: { bdf: 'bdf', wq: 'u8', pasid: 'pasid', address: 'u64', write: 'u8', blocks: 'u8' },
    ring: true,
  },
  dsa_error: {
    doc: 'An error that no completion record tells: SWERROR.',
    args: { bdf: 'bdf', wq: 'u8', status: 'u8' },
    ring: true,
  },
  dsa_command: {
    doc: 'An administrative command ends; error 0 is success.',
    args: { bdf: 'bdf', command: 'u8', operand: 'u32', error: 'u8' },
  },
});
