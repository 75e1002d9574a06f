import { events } from '../../vmm/trace/event.ts';

/** Trace events of the built-in endpoints. */
export const EDU_EVENTS = events({
  edu_dma_start: {
    doc: 'A DMA of edu was commanded; it is carried out when its time is over.',
    args: { bdf: 'bdf', direction: 'text', address: 'u64', bytes: 'count' },
    role: 'dma-begin',
  },
  edu_dma: {
    doc: 'A DMA of edu ends; status 0 done, 1 UR, 2 CA, 3 bus mastering off, 255 outside the device buffer.',
    args: { bdf: 'bdf', direction: 'text', address: 'u64', bytes: 'count', status: 'u8' },
    ring: true,
    role: 'dma-end',
  },
  edu_irq: { doc: 'Interrupt status of edu changes.', args: { bdf: 'bdf', status: 'u32' } },
});

export const TESTDEV_EVENTS = events({
  iommu_testdev_dma: {
    doc: 'The test device ran its DMA; result as its RESULT register.',
    args: { bdf: 'bdf', gva: 'u64', gpa: 'u64', bytes: 'count', result: 'u32' },
    ring: true,
    role: 'dma-end',
  },
});

export const SVM_EVENTS = events({
  svm_engine_start: {
    doc: 'A frame of the SVM engine begins an operation.',
    args: { bdf: 'bdf', frame: 'u16', op: 'u8', control: 'u32' },
    role: 'dma-begin',
  },
  svm_engine_done: {
    doc: 'A frame ends; error as its status register.',
    args: { bdf: 'bdf', frame: 'u16', op: 'u8', error: 'u8', bytes: 'count', address: 'u64' },
    ring: true,
    role: 'dma-end',
  },
  svm_engine_page_request: {
    doc: 'A frame asks for pages and waits.',
    args: { bdf: 'bdf', frame: 'u16', group: 'u16', address: 'u64', access: 'u8', pages: 'u8' },
    ring: true,
  },
  svm_engine_page_response: {
    doc: 'Page request group response; code 0 success, 1 invalid request, 15 failure.',
    args: { bdf: 'bdf', group: 'u16', code: 'u8' },
    ring: true,
  },
  svm_engine_invalidate: {
    doc: 'The address translation cache is invalidated.',
    args: { bdf: 'bdf', tag: 'u8', mode: 'u8' },
  },
});
