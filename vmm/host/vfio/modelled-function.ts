import { DEVCTL, msiDataOffset, PM_CSR } from '../../../devices/pci/capabilities.ts';
import type { PciFunction } from '../../../devices/pci/function.ts';
import type { BarSpec, MessageSink } from '../../../devices/pci/kind.ts';
import { DMA_DISABLED, DMA_OK, DMA_UR, type DmaPort } from '../../bus/dma.ts';
import { LINE_REFUSED, MmioBus, type MmioHandler } from '../../bus/mmio.ts';
import type { PortHandler } from '../../bus/ports.ts';
import { Bug } from '../../core/errors.ts';
import type { InterruptSink, MessageKind, PhysicalBar, PhysicalFunction, ResetMethod } from './physical.ts';

/** Where the host's driver aims messages; their data is the vector. */
const MESSAGE_ADDRESS = 0xfee0_0000;
const CONTROL = 2;
const MSIX_ENABLE = 0x8000;
const MSI_ENABLE = 1;
const MASKED = 1;
const INITIATE_FLR = 1 << DEVCTL.fields.FLR.lo;
const BARS = 6;
/** Offset of VF Device ID in SR-IOV (PCI Express Base: SR-IOV Extended Capability). */
const VF_DEVICE_ID = 0x1a;

/** Messages that the host has programmed for a function: what it writes for the first one. Data of MSI counts upwards from there. */
export interface MessageBlock {
  /** Below 4 GiB. */
  readonly address: number;
  readonly data: number;
  free(): void;
}

/** The host's interrupt controller, as drivers of functions use it. */
export interface HostInterrupts {
  /** So many messages of a requester, a power of two. Throws ENOMEM, ENOSPC. */
  take(requester: number, count: number, deliver: (n: number) => void): MessageBlock;
}

/**
 * Takes the messages of a modelled function for its driver in the host: made before the function. With a port they go through the
 * function's unit, which remaps interrupts or refuses them; without, the host's controller is not modelled.
 */
export class HostMessages implements MessageSink {
  /** Set by the function's adapter. */
  owner: ModelledFunction | undefined;
  readonly #port: DmaPort | undefined;

  constructor(port?: DmaPort) {
    this.#port = port;
  }

  /** Data is a dword write without PASID: Bus Master Enable gates it. */
  message(lo: number, hi: number, data: number): number {
    const { owner } = this;
    const port = this.#port;
    if (port !== undefined) {
      port.enabled = owner?.fn.busMaster ?? false;
      return port.message(lo, hi, data);
    }
    if (owner === undefined || lo >>> 0 !== MESSAGE_ADDRESS || hi !== 0) return DMA_UR;
    if (!owner.fn.busMaster) return DMA_DISABLED;
    owner.sink?.message(data);
    return DMA_OK;
  }
}

export interface ModelledOptions {
  /** `0000:03:00.0`. */
  readonly name: string;
  readonly messages: HostMessages;
  /** Where its messages are programmed, if they pass through a unit. */
  readonly interrupts?: HostInterrupts;
  /** Tells of its INTx from now on. */
  readonly listen: (listener: { intx(level: boolean): void } | undefined) => void;
  /** Resets its bus; only where it is alone on it. */
  readonly resetBus?: () => void;
  /** Of a virtual function: the adapter of its physical one. */
  readonly physical?: PhysicalFunction;
  /** Interrupts of MSI-X can be added one by one, as on hosts with remapped interrupts; so unless told otherwise. */
  readonly dynamicMsix?: boolean;
}

/** A function of the project's own PCI models as a physical function of a host. */
export class ModelledFunction implements PhysicalFunction {
  readonly fn: PciFunction;
  readonly name: string;
  readonly segment: number;
  readonly bus: number;
  readonly devfn: number;
  readonly configBytes: number;
  readonly bars: readonly (PhysicalBar | undefined)[];
  readonly resets: readonly ResetMethod[];
  readonly dynamicMsix: boolean;
  readonly virtual?: { readonly of: PhysicalFunction; readonly vendor: number; readonly device: number };
  sink: InterruptSink | undefined;
  readonly #options: ModelledOptions;
  /** By vector; MSI has all of its in one. */
  readonly #blocks = new Map<number, MessageBlock>();
  /** By register, as `bars`. */
  readonly #specs: readonly (BarSpec | undefined)[];
  readonly #handlers: (MmioHandler | PortHandler | undefined)[] = [];
  /** For the upper halves of 8-byte reads. */
  readonly #mmio = new MmioBus();

  constructor(fn: PciFunction, options: ModelledOptions) {
    this.fn = fn;
    this.#options = options;
    this.name = options.name;
    const [segment, bus, device, number] = options.name
      .split(/[:.]/)
      .map((part) => Number.parseInt(part, 16));
    this.segment = segment ?? 0;
    this.bus = bus ?? 0;
    this.devfn = ((device ?? 0) << 3) | (number ?? 0);
    this.configBytes = fn.w.layout.bytes;
    const specs = fn.w.layout.bars;
    this.#specs = Array.from({ length: BARS }, (_, index) => specs.find((one) => one.index === index));
    this.bars = this.#specs.map(
      (bar) => bar && { kind: bar.kind, prefetchable: bar.prefetchable === true, size: bar.size },
    );
    this.dynamicMsix = options.dynamicMsix ?? true;
    this.resets = this.#resetMethods();
    const { physical } = options;
    const pf = fn.w.spec.virtualOf;
    if (physical !== undefined && pf !== undefined) {
      const device = pf.configRead(pf.w.layout.sriov + VF_DEVICE_ID, 2);
      this.virtual = { of: physical, vendor: pf.w.spec.vendor, device };
    }
    options.messages.owner = this;
  }

  #resetMethods(): ResetMethod[] {
    const { capabilities = [] } = this.fn.w.spec;
    const methods: ResetMethod[] = [];
    if (capabilities.some((one) => one.id === 'pcie' && one.flr === true)) methods.push('flr');
    if (capabilities.some((one) => one.id === 'pm' && one.noSoftReset !== true)) methods.push('pm');
    if (this.#options.resetBus !== undefined) methods.push('bus');
    return methods;
  }

  get hi(): number {
    return this.#mmio.hi;
  }

  get enabledVirtual(): number {
    return this.fn.enabledVirtual;
  }

  configRead(offset: number, size: number): number {
    return this.fn.configRead(offset, size);
  }

  configWrite(offset: number, size: number, value: number): void {
    this.fn.configWrite(offset, size, value);
  }

  /** What answers behind a BAR while it decodes. */
  #handler(bar: number): MmioHandler | PortHandler | undefined {
    const spec = this.#specs[bar];
    if (spec === undefined) return undefined;
    const enabled = spec.kind === 'io' ? this.fn.ioEnabled : this.fn.memoryEnabled;
    if (!enabled) return undefined;
    this.#handlers[bar] ??= this.fn.barHandler(spec);
    return this.#handlers[bar];
  }

  barRead(bar: number, offset: number, size: number): number {
    const handler = this.#handler(bar) as MmioHandler | undefined;
    this.#mmio.hi = 0;
    if (handler !== undefined) return handler.read(offset, size, this.#mmio) >>> 0;
    if (size < 4) return 2 ** (8 * size) - 1;
    this.#mmio.hi = 0xffff_ffff;
    return 0xffff_ffff;
  }

  barWrite(bar: number, offset: number, size: number, lo: number, hi: number): void {
    (this.#handler(bar) as MmioHandler | undefined)?.write(offset, size, lo, hi, this.#mmio);
  }

  barLine(bar: number, offset: number, words: Uint32Array, deferrable: boolean): number {
    const handler = this.#handler(bar) as MmioHandler | undefined;
    if (handler === undefined) return LINE_REFUSED;
    if (handler.line !== undefined) return handler.line(offset, words, deferrable);
    if (deferrable) return LINE_REFUSED;
    for (let i = 0; i < words.length; i += 2)
      handler.write(offset + 4 * i, 8, words[i] as number, words[i + 1] as number, this.#mmio);
    return 0;
  }

  connect(sink: InterruptSink | undefined): void {
    this.sink = sink;
    this.#options.listen(sink);
  }

  /** The host programs address and data; the user never does. */
  enableMessages(kind: MessageKind, vectors: number): void {
    if (kind === 'msix') this.#enableMsix();
    else this.#enableMsi(vectors);
  }

  #enableMsix(): void {
    const { fn } = this;
    const { msix, layout } = fn.w;
    for (let vector = 0; vector < (msix?.vectors ?? 0); vector++) {
      fn.writeTable(4 * vector + 3, MASKED);
      if (this.#options.interrupts === undefined) this.#aim(vector, MESSAGE_ADDRESS, vector);
    }
    fn.configWrite(layout.msix + CONTROL, 2, MSIX_ENABLE);
  }

  #aim(vector: number, address: number, data: number): void {
    this.fn.writeTable(4 * vector, address);
    this.fn.writeTable(4 * vector + 1, 0);
    this.fn.writeTable(4 * vector + 2, data);
  }

  /** The messages of a vector, or of all of MSI, programmed once: a reset of the function leaves them. */
  #blockOf(key: number, count: number): MessageBlock | undefined {
    const known = this.#blocks.get(key);
    if (known !== undefined) return known;
    const block = this.#options.interrupts?.take((this.bus << 8) | this.devfn, count, (n) =>
      this.sink?.message(key + n),
    );
    if (block !== undefined) this.#blocks.set(key, block);
    return block;
  }

  #enableMsi(vectors: number): void {
    const { fn } = this;
    const order = Math.ceil(Math.log2(vectors));
    const block = this.#blockOf(0, 1 << order);
    const { msi } = fn.w.layout;
    const control = fn.configRead(msi + CONTROL, 2);
    const wide = (control & 0x80) !== 0;
    const data = msi + msiDataOffset(wide);
    fn.configWrite(msi + 4, 4, block?.address ?? MESSAGE_ADDRESS);
    if (wide) fn.configWrite(msi + 8, 4, 0);
    fn.configWrite(data, 2, block?.data ?? 0);
    if ((control & 0x100) !== 0) fn.configWrite(data + 4, 4, 0xffff_ffff);
    fn.configWrite(msi + CONTROL, 2, (control & ~0x70) | (order << 4) | MSI_ENABLE);
  }

  armMessage(kind: MessageKind, vector: number, armed: boolean): void {
    const { fn } = this;
    if (kind === 'msix') {
      const block = armed ? this.#blockOf(vector, 1) : undefined;
      if (block !== undefined) this.#aim(vector, block.address, block.data);
      fn.writeTable(4 * vector + 3, armed ? 0 : MASKED);
      return;
    }
    const { msi } = fn.w.layout;
    const control = fn.configRead(msi + CONTROL, 2);
    if ((control & 0x100) === 0) return;
    const mask = msi + msiDataOffset((control & 0x80) !== 0) + 4;
    const bits = fn.configRead(mask, 4);
    fn.configWrite(mask, 4, armed ? bits & ~(1 << vector) : bits | (1 << vector));
  }

  disableMessages(kind: MessageKind): void {
    const { fn } = this;
    const { msi, msix } = fn.w.layout;
    if (kind === 'msix') fn.configWrite(msix + CONTROL, 2, 0);
    else fn.configWrite(msi + CONTROL, 2, fn.configRead(msi + CONTROL, 2) & ~MSI_ENABLE);
    for (const block of this.#blocks.values()) block.free();
    this.#blocks.clear();
  }

  reset(method: ResetMethod): void {
    const { fn } = this;
    const { pcie, pm } = fn.w.layout;
    switch (method) {
      case 'flr':
        fn.configWrite(pcie + DEVCTL.offset, 2, INITIATE_FLR);
        return;
      case 'pm':
        fn.configWrite(pm + PM_CSR.offset, 2, 3);
        fn.configWrite(pm + PM_CSR.offset, 2, 0);
        return;
      case 'bus':
        this.#options.resetBus?.();
        return;
      default:
        throw new Bug(`${this.name} never said that it has ${method}`);
    }
  }
}
