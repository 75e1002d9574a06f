import { Device, type DeviceView, type ResetKind } from '../../vmm/bus/device.ts';
import { DMA_OK, type DmaPort } from '../../vmm/bus/dma.ts';
import type { SystemMemory } from '../../vmm/bus/memory.ts';
import type { MmioBus, MmioHandler } from '../../vmm/bus/mmio.ts';
import { defineState, type StateDef } from '../../vmm/state/define.ts';
import { bool, registers } from '../../vmm/state/schema.ts';
import type { Emitters } from '../../vmm/trace/event.ts';
import { PciFunction } from '../pci/function.ts';
import type { PciDeviceKind } from '../pci/kind.ts';
import { functionViews } from '../pci/views.ts';
import { TESTDEV_EVENTS } from './events.ts';
import { TESTDEV_LIMITS } from './limits.ts';
import {
  RESULT,
  TD_ATTRS,
  TD_DOORBELL,
  TD_GPA_HI,
  TD_GPA_LO,
  TD_GVA_HI,
  TD_GVA_LO,
  TD_LEN,
  TD_RESULT,
  TD_TRIGGER,
  TESTDEV_BAR_BYTES,
  TESTDEV_BLOCK,
  TESTDEV_REGISTERS,
} from './testdev-registers.ts';

const STATE = defineState('iommu-testdev', 1, {
  regs: registers(TESTDEV_BLOCK),
  armed: bool,
  /** A read-back address was given since the DMA was last set up. */
  gpaWritten: bool,
});
type TestdevState = ReturnType<typeof STATE.fresh>;

interface TestdevWiring {
  readonly fn: PciFunction;
  readonly dma: DmaPort;
  readonly bypass: SystemMemory;
  readonly trace: Emitters<typeof TESTDEV_EVENTS>;
}

/** LIMIT: longer requests are refused as bad lengths. */
const MAX_BYTES = 1 << 20;
const PATTERN = [0x78, 0x56, 0x34, 0x12] as const;
const ALL_ONES = 0xffffffff;
const SECURE_SPACE = 0;
const ROOT_SPACE = 2;

/**
 * QEMU's iommu-testdev: writes a pattern through the IOMMU and reads it back past it. Guests that know no read-back
 * address (older tests never write it) get it read back through the IOMMU instead.
 */
export class IommuTestdev extends Device<TestdevState, TestdevWiring, undefined> implements MmioHandler {
  override stateDef(): StateDef<TestdevState> {
    return STATE;
  }

  protected override buildCache(): undefined {
    return undefined;
  }

  override reset(_kind: ResetKind): void {
    this.s.regs.set(TESTDEV_BLOCK.fresh());
    this.s.armed = false;
    this.s.gpaWritten = false;
  }

  /** 32-bit registers; other accesses read all ones and write nothing. */
  read(offset: number, size: number, bus: MmioBus): number {
    const register = TESTDEV_BLOCK.find(offset);
    if (size !== 4 || register?.offset !== offset) {
      bus.hi = size === 8 ? ALL_ONES : 0;
      return size >= 4 ? ALL_ONES : 2 ** (size * 8) - 1;
    }
    if (register === TD_TRIGGER) {
      this.#run();
      return 0;
    }
    return TESTDEV_BLOCK.read32(this.s.regs, offset);
  }

  write(offset: number, size: number, lo: number): void {
    if (size !== 4 || (offset & 3) !== 0) return;
    TESTDEV_BLOCK.write32(this.s.regs, offset, lo);
    if (offset === TD_GPA_LO.offset || offset === TD_GPA_HI.offset) this.s.gpaWritten = true;
    else if (offset === TD_DOORBELL.offset) this.#doorbell((lo & 1) !== 0);
  }

  #doorbell(arm: boolean): void {
    this.s.armed = arm;
    this.#setResult(arm ? RESULT.busy : RESULT.idle);
  }

  #setResult(code: number): void {
    this.s.regs[TD_RESULT.offset / 4] = code;
  }

  #reg(register: { readonly offset: number }): number {
    return this.s.regs[register.offset / 4]!;
  }

  #run(): void {
    const { armed } = this.s;
    // Before the DMA, which may itself read this register.
    this.s.armed = false;
    const result = armed ? this.#transfer() : RESULT.notArmed;
    this.#setResult(result);
    const { iommu_testdev_dma: done } = this.w.trace;
    const gva = [this.#reg(TD_GVA_LO), this.#reg(TD_GVA_HI)] as const;
    const gpa = [this.#reg(TD_GPA_LO), this.#reg(TD_GPA_HI)] as const;
    if (done.on) done.emit(this.w.fn.bdf, ...gva, ...gpa, this.#reg(TD_LEN), result);
  }

  #transfer(): number {
    const length = this.#reg(TD_LEN);
    if (length === 0 || length > MAX_BYTES) return RESULT.badLength;
    if (!this.#attributesAgree()) return RESULT.badAttributes;
    const bytes = Uint8Array.from({ length }, (_, i) => PATTERN[i & 3]!);
    const { dma } = this.w;
    if (dma.write(this.#reg(TD_GVA_LO), this.#reg(TD_GVA_HI), bytes, 0, length) !== DMA_OK)
      return RESULT.writeFailed;
    const back = new Uint8Array(length);
    if (!this.#readBack(back)) return RESULT.readFailed;
    return bytes.every((byte, i) => byte === back[i]) ? RESULT.ok : RESULT.mismatch;
  }

  #readBack(back: Uint8Array): boolean {
    const { dma, bypass } = this.w;
    if (!this.s.gpaWritten)
      return dma.read(this.#reg(TD_GVA_LO), this.#reg(TD_GVA_HI), back, 0, back.length) === DMA_OK;
    return bypass.read(this.#reg(TD_GPA_LO), this.#reg(TD_GPA_HI), back, 0, back.length);
  }

  /** Secure and Root are the secure spaces; SECURE has to say the same. */
  #attributesAgree(): boolean {
    const at = TD_ATTRS.offset / 4;
    const { regs } = this.s;
    if (TD_ATTRS.get.SPACE_VALID(regs, at) === 0) return true;
    const space = TD_ATTRS.get.SPACE(regs, at);
    return (space === SECURE_SPACE || space === ROOT_SPACE) === (TD_ATTRS.get.SECURE(regs, at) === 1);
  }

  views(): DeviceView[] {
    return [
      {
        name: 'registers',
        doc: 'Registers of the test device, decoded',
        json: () => ({
          armed: this.s.armed,
          ...Object.fromEntries(TESTDEV_REGISTERS.map((r) => [r.name, r.decode(this.s.regs, r.offset / 4)])),
        }),
        text: () =>
          TESTDEV_REGISTERS.map(
            (r) =>
              `${r.offset.toString(16).padStart(2, '0')} ${r.name.padEnd(12)} ${r.show(this.s.regs, r.offset / 4)}`,
          ).join('\n'),
      },
    ];
  }
}

export const IOMMU_TESTDEV: PciDeviceKind<Record<string, never>> = {
  name: 'iommu-testdev',
  summary: "QEMU's IOMMU test device: one DMA write, checked past the IOMMU",
  limits: TESTDEV_LIMITS,
  defaults: {},
  schema: (z) => z.strictObject({}),
  create(_config, services) {
    const fn = new PciFunction(services, {
      vendor: 0x1b36,
      device: 0x0005,
      classCode: 0x00ff00,
      revision: 0,
      bars: [{ index: 0, kind: 'memory32', size: TESTDEV_BAR_BYTES }],
    });
    const { dma, bypass, tracer } = services;
    const device = new IommuTestdev({ fn, dma, bypass, trace: tracer.bind(TESTDEV_EVENTS) });
    fn.connect({ bars: { 0: device }, reset: (kind) => device.reset(kind) });
    return { device, fn, views: [...device.views(), ...functionViews(fn)] };
  },
};
