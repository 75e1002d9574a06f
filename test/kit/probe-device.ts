import { PciFunction } from '../../devices/pci/function.ts';
import type { PciDeviceKind } from '../../devices/pci/kind.ts';
import { Device, type ResetKind } from '../../vmm/bus/device.ts';
import { AT_UNTRANSLATED, type DmaPort, NO_PASID, READ, WRITE } from '../../vmm/bus/dma.ts';
import type { MmioHandler } from '../../vmm/bus/mmio.ts';
import { defineState, type StateDef } from '../../vmm/state/define.ts';
import { words } from '../../vmm/state/schema.ts';

/** Word indexes of BAR 0; test/guests/requesters.h has the same as byte offsets. */
const ADDRESS_LO = 0;
const ADDRESS_HI = 1;
const LENGTH = 2;
const DATA_LO = 3;
const DATA_HI = 4;
const COMMAND = 5;
const RESULT = 6;
const GRANTED = 7;
const WORDS = 8;

const STATE = defineState('probe', 1, { regs: words(WORDS) });
type ProbeState = ReturnType<typeof STATE.fresh>;

/**
 * A requester without scruples: one request of any kind at once. COMMAND: bit 0 write, bit 1 a translation only, bits 3:2 the
 * address type, bit 4 with the PASID of bits 31:12, bit 5 privileged. RESULT is the outcome (0 done, 1 UR, 2 CA).
 */
class Probe extends Device<ProbeState, { readonly dma: DmaPort }, null> implements MmioHandler {
  override stateDef(): StateDef<ProbeState> {
    return STATE;
  }

  protected override buildCache(): null {
    return null;
  }

  override reset(_kind: ResetKind): void {
    this.s.regs.fill(0);
  }

  read(offset: number, size: number): number {
    return size === 4 && offset < WORDS * 4 ? this.s.regs[offset >>> 2]! : 0xffffffff;
  }

  write(offset: number, size: number, lo: number): void {
    if (size !== 4 || offset >= WORDS * 4) return;
    this.s.regs[offset >>> 2] = lo;
    if (offset >>> 2 === COMMAND) this.#request(lo);
  }

  #request(command: number): void {
    const { regs } = this.s;
    const { dma } = this.w;
    dma.at = (command >>> 2) & 3;
    dma.pasid = (command & 0x10) !== 0 ? command >>> 12 : NO_PASID;
    dma.privileged = (command & 0x20) !== 0;
    const data = new Uint8Array(regs.buffer.slice(DATA_LO * 4, DATA_HI * 4 + 4));
    const [lo, hi, length] = [regs[ADDRESS_LO]!, regs[ADDRESS_HI]!, Math.min(regs[LENGTH]!, 8)];
    if ((command & 2) !== 0) regs[RESULT] = dma.translate(lo, hi, (command & 1) !== 0 ? WRITE : READ);
    else if ((command & 1) !== 0) regs[RESULT] = dma.write(lo, hi, data, 0, length);
    else regs[RESULT] = dma.read(lo, hi, data, 0, length);
    regs[GRANTED] = dma.outAccess;
    dma.at = AT_UNTRANSLATED;
    dma.pasid = NO_PASID;
    dma.privileged = false;
  }
}

/** Requests that no built-in device makes: translated ones, with PASID, of odd lengths. */
export const PROBE: PciDeviceKind<Record<string, never>> = {
  name: 'probe',
  summary: 'makes any request it is told to',
  defaults: {},
  schema: (z) => z.strictObject({}),
  create(_config, services) {
    const fn = new PciFunction(services, {
      vendor: 0x1234,
      device: 0xbeef,
      classCode: 0x00ff00,
      revision: 0,
      bars: [{ index: 0, kind: 'memory32', size: 4096 }],
    });
    const device = new Probe({ dma: services.dma });
    fn.connect({ bars: { 0: device }, reset: (kind) => device.reset(kind) });
    return { device, fn, views: [] };
  },
};
