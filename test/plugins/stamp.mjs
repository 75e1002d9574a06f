// A PCI function that writes one dword to memory and says so by MSI.
import {
  Device,
  DMA_OK,
  defineState,
  events,
  PciFunction,
  RegisterBlock,
  reg32,
  registers,
  ro,
  rw,
  wo,
} from 'tsvmm';

const BAR_BYTES = 0x1000;
const DOC = 'stamp: Registers';

// One table: it gives the access rules, the decoded views and the state.
const ADDRESS_LO = reg32(0x00, 'ADDRESS_LO', DOC, { LOW: rw(31, 0, 'Where the stamp goes, low') });
const ADDRESS_HI = reg32(0x04, 'ADDRESS_HI', DOC, { HIGH: rw(31, 0, 'Where the stamp goes, high') });
const VALUE = reg32(0x08, 'VALUE', DOC, { VALUE: rw(31, 0, 'What is written') });
const GO = reg32(0x0c, 'GO', DOC, { GO: wo(0, 0, 'Starts') });
const STATUS = reg32(0x10, 'STATUS', DOC, {
  DONE: ro(0, 0, 'The last stamp is through'),
  REFUSED: ro(1, 1, 'It did not arrive'),
});
const BLOCK = new RegisterBlock([ADDRESS_LO, ADDRESS_HI, VALUE, GO, STATUS], BAR_BYTES);

const STATE = defineState('stamp', 1, { regs: registers(BLOCK) });

const EVENTS = events({
  stamp_done: { doc: 'A stamp arrived or was refused.', args: { address: 'u64', status: 'u8' } },
});

// `s` is all state, `w` the wiring, `c` what can be rebuilt: snapshots and resets follow from that.
class Stamp extends Device {
  constructor(wiring) {
    super(wiring);
    this.w.clock.handle(this.w.id, () => this.#stamp());
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
    this.w.clock.cancel(this.w.id, 'stamp');
  }

  read(offset, size) {
    return size === 4 ? BLOCK.read32(this.s.regs, offset) : 0xffffffff;
  }

  write(offset, size, lo) {
    if (size !== 4) return;
    BLOCK.write32(this.s.regs, offset, lo);
    if (offset !== GO.offset || (lo & 1) === 0) return;
    this.#setStatus(0);
    // Work that takes time is a clock event: plain data, so it is in snapshots too.
    this.w.clock.after(1000, this.w.id, 'stamp');
  }

  #stamp() {
    const { regs } = this.s;
    const bytes = new Uint8Array(new Uint32Array([regs[VALUE.offset / 4]]).buffer);
    const [lo, hi] = [regs[ADDRESS_LO.offset / 4], regs[ADDRESS_HI.offset / 4]];
    const status = this.w.dma.write(lo, hi, bytes, 0, 4);
    this.#setStatus(status === DMA_OK ? 1 : 3);
    this.w.trace.stamp_done.emit(lo, hi, status);
    if (this.w.fn.usesMessages) this.w.fn.notify(0);
  }

  #setStatus(bits) {
    this.s.regs[STATUS.offset / 4] = bits;
  }
}

const stamp = {
  name: 'stamp',
  summary: 'writes a dword to memory',
  defaults: { vendor: 0xf0f0 },
  schema: (z) =>
    z.strictObject({ vendor: z.number().int().min(0).max(0xffff).default(0xf0f0).describe('vendor id') }),
  create(config, services) {
    const { id, dma, clock, tracer } = services;
    const fn = new PciFunction(services, {
      vendor: config.vendor,
      device: 0x0001,
      classCode: 0x00ff00,
      revision: 1,
      bars: [{ index: 0, kind: 'memory32', size: BAR_BYTES }],
      capabilities: [{ id: 'msi', vectors: 1, is64: true, maskable: false }],
    });
    const device = new Stamp({ id, fn, dma, clock, trace: tracer.bind(EVENTS) });
    fn.connect({ bars: { 0: device }, reset: (kind) => device.reset(kind) });
    return { device, fn, views: [] };
  },
};

export const plugin = { name: 'stamp', devices: [stamp] };
