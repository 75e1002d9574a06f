import type { SvmEngine } from '../../devices/ep/svm-engine.ts';
import { SVM_ENGINE, type SvmEngineConfig } from '../../devices/ep/svm-engine-kind.ts';
import {
  FRAME_CONTROL,
  FRAME_DST,
  FRAME_FAULT,
  FRAME_OP,
  FRAME_OPERAND,
  FRAME_PASID,
  FRAME_RESULT,
  FRAME_SIZE,
  FRAME_SRC,
  FRAME_STATUS,
  SVM_ERROR,
  SVM_FRAME_BASE,
  SVM_FRAME_BYTES,
  SVM_OP,
  SVM_STATE,
} from '../../devices/ep/svm-engine-registers.ts';
import { DEVCTL2 } from '../../devices/pci/capabilities.ts';
import { ATS, PASID, PRI, PRI_ALLOCATION } from '../../devices/pci/extended-capabilities.ts';
import type { PciFunction } from '../../devices/pci/function.ts';
import type { MmioBus } from '../../vmm/bus/mmio.ts';
import { FakeIommu } from './ats-world.ts';
import { PciRig } from './pci-rig.ts';

export const SVM_BAR = 0xe0000000;

type Control = Partial<Record<keyof typeof FRAME_CONTROL.fields, number>>;

/** What one operation is given; registers not named keep their values. */
export interface Operation {
  readonly op: keyof typeof SVM_OP;
  readonly control?: Control;
  readonly pasid?: number;
  readonly src?: number;
  readonly dst?: number;
  readonly size?: number;
  readonly operand?: bigint;
}

/** Turns PASID, ATS and PRI of a function on, in this order. */
export function enableSvm(fn: PciFunction, { pasid = 1, allocation = 16 } = {}): void {
  const { layout } = fn.w;
  fn.configWrite(4, 2, 6);
  fn.configWrite(layout.pcie + DEVCTL2.offset, 2, DEVCTL2.pack({ ATOMIC: 1 })[0]!);
  if (layout.pasid !== 0) fn.configWrite(layout.pasid + PASID.offset + 2, 2, pasid);
  if (layout.ats !== 0) fn.configWrite(layout.ats + ATS.offset + 2, 2, 0x8000);
  if (layout.pri === 0) return;
  fn.configWrite(layout.pri + PRI_ALLOCATION.offset, 4, allocation);
  fn.configWrite(layout.pri + PRI.offset, 2, 1);
}

/** The frames of an SVM engine whose BAR 0 is at `base` of a bus. */
export class SvmFrames {
  readonly bus: MmioBus;
  readonly #base: number;

  constructor(bus: MmioBus, base = SVM_BAR) {
    this.bus = bus;
    this.#base = base;
  }

  set(
    frame: number,
    register: { readonly offset: number; readonly bytes: number },
    value: bigint | number,
  ): void {
    const v = BigInt(value);
    const at = this.#base + SVM_FRAME_BASE + frame * SVM_FRAME_BYTES + register.offset;
    this.bus.write(at, register.bytes, Number(v & 0xffffffffn), Number(v >> 32n));
  }

  get(frame: number, register: { readonly offset: number; readonly bytes: number }): bigint {
    const at = this.#base + SVM_FRAME_BASE + frame * SVM_FRAME_BYTES + register.offset;
    const lo = BigInt(this.bus.read(at, register.bytes) >>> 0);
    return register.bytes === 8 ? lo | (BigInt(this.bus.hi >>> 0) << 32n) : lo;
  }

  /** Starts an operation. */
  start(frame: number, { op, control = {}, pasid, src, dst, size, operand }: Operation): void {
    const withPasid = pasid === undefined ? control : { PASID_VALID: 1, ...control };
    this.set(frame, FRAME_CONTROL, FRAME_CONTROL.pack(withPasid)[0]!);
    if (pasid !== undefined) this.set(frame, FRAME_PASID, pasid);
    if (src !== undefined) this.set(frame, FRAME_SRC, src);
    if (dst !== undefined) this.set(frame, FRAME_DST, dst);
    if (size !== undefined) this.set(frame, FRAME_SIZE, size);
    if (operand !== undefined) this.set(frame, FRAME_OPERAND, operand);
    this.set(frame, FRAME_OP, SVM_OP[op]);
  }

  /** Starts one and says how it stands then: `done`, an error, or the state it waits in. */
  run(frame: number, operation: Operation): string {
    this.start(frame, operation);
    return this.outcome(frame);
  }

  outcome(frame: number): string {
    const words = [Number(this.get(frame, FRAME_STATUS))];
    const state = FRAME_STATUS.get.STATE(words, 0);
    const error = FRAME_STATUS.get.ERROR(words, 0);
    if (state !== SVM_STATE.idle) return nameOf(SVM_STATE, state);
    return error === SVM_ERROR.none ? 'done' : nameOf(SVM_ERROR, error);
  }

  result(frame: number): bigint {
    return this.get(frame, FRAME_RESULT);
  }

  fault(frame: number): bigint {
    return this.get(frame, FRAME_FAULT);
  }

  register(register: { readonly offset: number }): number {
    return this.bus.read(this.#base + register.offset, 4) >>> 0;
  }

  setRegister(register: { readonly offset: number }, value: number): void {
    this.bus.write(this.#base + register.offset, 4, value, 0);
  }
}

/** Its BARs go to SVM_BAR and behind, and everything is enabled. */
export function startEngine(fn: PciFunction): void {
  fn.configWrite(0x10, 4, SVM_BAR);
  fn.configWrite(0x18, 4, SVM_BAR + 0x100000);
  enableSvm(fn);
}

/** An SVM engine with everything enabled, in front of a fake IOMMU. */
export class SvmWorld extends SvmFrames {
  readonly iommu: FakeIommu;
  readonly rig: PciRig;
  readonly engine: SvmEngine;
  readonly fn: PciFunction;

  constructor(config: Partial<SvmEngineConfig> = {}) {
    const iommu = new FakeIommu();
    const rig = new PciRig(iommu);
    super(rig.mmio);
    this.iommu = iommu;
    this.rig = rig;
    const device = rig.plug(SVM_ENGINE, { device: 3, config });
    this.engine = device.device as SvmEngine;
    this.fn = device.fn;
    startEngine(this.fn);
  }

  /** Virtual time passes. */
  wait(ns = 0): void {
    this.rig.clock.advanceTo(this.rig.clock.now + ns);
  }
}

function nameOf(table: Readonly<Record<string, number>>, value: number): string {
  return Object.keys(table).find((name) => table[name] === value) ?? String(value);
}
