// An IOMMU with one window: DMA below LIMIT goes to BASE and up, everything else is refused.
import {
  bdfText,
  Device,
  DMA_MESSAGE,
  DMA_OK,
  DMA_UR,
  defineState,
  deliverCompatible,
  events,
  hex,
  inMsiWindow,
  RegisterBlock,
  reg32,
  registers,
  ro,
  rw,
  u64,
  WRITE,
  w1c,
} from 'tsvmm';

const BYTES = 0x1000;
const DOC = 'tiny: Registers';

const CONTROL = reg32(0x00, 'CONTROL', DOC, { ENABLE: rw(0, 0, 'Only the window works') });
const BASE = reg32(0x04, 'BASE', DOC, { PAGE: rw(31, 12, 'Where the window begins in memory') });
const LIMIT = reg32(0x08, 'LIMIT', DOC, { PAGE: rw(31, 12, 'Bytes of the window') });
const FAULT = reg32(0x0c, 'FAULT', DOC, {
  VALID: w1c(0, 0, 'A request was refused'),
  WRITE: ro(1, 1, 'It was a write'),
  SOURCE: ro(31, 16, 'Its requester'),
});
const FAULT_LO = reg32(0x10, 'FAULT_LO', DOC, { LOW: ro(31, 0, 'Its address, low') });
const FAULT_HI = reg32(0x14, 'FAULT_HI', DOC, { HIGH: ro(31, 0, 'Its address, high') });
const REGISTERS = [CONTROL, BASE, LIMIT, FAULT, FAULT_LO, FAULT_HI];
const BLOCK = new RegisterBlock(REGISTERS, BYTES);

const STATE = defineState('tiny', 1, { regs: registers(BLOCK) });

const EVENTS = events({
  tiny_fault: { doc: 'A request was refused.', args: { bdf: 'bdf', address: 'u64' }, ring: true },
});

class TinyIommu extends Device {
  constructor(wiring) {
    super(wiring);
    this.dropCache();
  }

  stateDef() {
    return STATE;
  }

  buildCache() {
    return null;
  }

  reset() {
    this.s.regs.set(BLOCK.fresh());
  }

  read(offset, size) {
    return size === 4 ? BLOCK.read32(this.s.regs, offset) : 0xffffffff;
  }

  write(offset, size, lo) {
    if (size === 4) BLOCK.write32(this.s.regs, offset, lo);
  }

  #reg(register) {
    return this.s.regs[register.offset / 4];
  }

  #inside(lo, hi) {
    return hi === 0 && lo < this.#reg(LIMIT);
  }

  /** Every DMA request comes here, page by page. */
  translate(port, lo, hi, access) {
    if (inMsiWindow(lo, hi)) return access === WRITE ? DMA_MESSAGE : DMA_UR;
    const on = (this.#reg(CONTROL) & 1) !== 0;
    if (on && !this.#inside(lo, hi)) return this.#refuse(port, lo, hi, access);
    port.outLo = (on ? lo + this.#reg(BASE) : lo) >>> 0;
    port.outHi = hi;
    port.outSpan = 4096 - (lo & 4095);
    return DMA_OK;
  }

  /** Every MSI comes here. */
  message(_port, lo, _hi, data, length) {
    if (length !== 4) return DMA_UR;
    deliverCompatible(this.w.services.interrupts, lo, data);
    return DMA_OK;
  }

  #refuse(port, lo, hi, access) {
    const { regs } = this.s;
    const write = access === WRITE;
    this.w.trace.tiny_fault.emit(port.requester, lo, hi);
    const recorded = (regs[FAULT.offset / 4] & 1) === 0;
    if (recorded) {
      regs[FAULT.offset / 4] = ((port.requester << 16) | (write ? 2 : 0) | 1) >>> 0;
      regs[FAULT_LO.offset / 4] = lo;
      regs[FAULT_HI.offset / 4] = hi;
    }
    // What `tsvmm run` prints about it.
    this.w.services.onFault({
      iommu: this.w.services.id,
      requester: port.requester,
      pasid: port.pasid,
      address: hex(u64(lo, hi)),
      access: write ? 'write' : 'read',
      code: '1',
      name: 'OUTSIDE',
      why: 'the address is not below LIMIT',
      steps: this.steps(),
      recorded,
    });
    return DMA_UR;
  }

  steps() {
    const limit = this.#reg(LIMIT);
    const step = {
      what: 'LIMIT',
      address: undefined,
      raw: [hex(limit)],
      fields: LIMIT.show(this.s.regs, LIMIT.offset / 4),
    };
    return [{ ...step, source: 'memory', lastWriter: undefined }];
  }

  explain(_port, lo, hi) {
    return { steps: this.steps(), outcome: this.#inside(lo, hi) ? 'inside the window' : 'refused' };
  }

  views() {
    const rows = () => REGISTERS.map((r) => `${r.name} ${r.show(this.s.regs, r.offset / 4)}`);
    const fault = () => ({
      valid: (this.#reg(FAULT) & 1) !== 0,
      source: bdfText(this.#reg(FAULT) >>> 16),
      address: hex(u64(this.#reg(FAULT_LO), this.#reg(FAULT_HI))),
    });
    return [
      { name: 'registers', doc: 'Registers', json: rows, text: () => rows().join('\n') },
      { name: 'fault', doc: 'The last request refused', json: fault, text: () => JSON.stringify(fault()) },
    ];
  }
}

const tiny = {
  name: 'tiny',
  summary: 'one window with an offset',
  machines: ['q35'],
  defaults: { base: 0xfed80000 },
  schema: (z) =>
    z.strictObject({
      base: z
        .number()
        .int()
        .multipleOf(4096)
        .min(0)
        .max(0xfffff000)
        .default(0xfed80000)
        .describe('address of the registers'),
    }),
  create(config, services) {
    const device = new TinyIommu({ services, trace: services.tracer.bind(EVENTS) });
    return {
      device,
      translator: device,
      mmio: [{ name: services.id, base: config.base, size: BYTES, handler: device }],
      views: device.views(),
      explain: (port, lo, hi) => device.explain(port, lo, hi),
    };
  },
};

export const plugin = { name: 'tiny-iommu', iommus: [tiny] };
