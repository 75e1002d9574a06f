import { Device, type ResetKind } from '../../vmm/bus/device.ts';
import { DMA_UR, type DmaPort } from '../../vmm/bus/dma.ts';
import type { MmioHandler } from '../../vmm/bus/mmio.ts';
import type { PortHandler } from '../../vmm/bus/ports.ts';
import { TsvmmError } from '../../vmm/core/errors.ts';
import { numberOf } from '../../vmm/core/u64.ts';
import { defineState, type StateDef } from '../../vmm/state/define.ts';
import {
  bool,
  type Json,
  registers,
  type Schema,
  text,
  u32,
  withFresh,
  words,
  wordsFrom,
} from '../../vmm/state/schema.ts';
import type { Emitters } from '../../vmm/trace/event.ts';
import {
  DEVCTL,
  DEVCTL2,
  integratedView,
  MSI_CONTROL,
  MSIX_CONTROL,
  msiDataOffset,
  offersFlr,
  PM_CSR,
  SLTSTA,
} from './capabilities.ts';
import { PCI_EVENTS } from './events.ts';
import { ATS, PASID, PRI, PRI_ALLOCATION } from './extended-capabilities.ts';
import { BAR0, BRIDGE_CONTROL, BUSES, COMMAND, HEADER, INTERRUPT } from './header.ts';
import type {
  AtsLink,
  BarSpec,
  MessageSink,
  MsixSpec,
  PciBackend,
  PciFunctionSpec,
  PciServices,
} from './kind.ts';
import { type ConfigLayout, configLayout } from './layout.ts';
import { MsixBar, ShortBar, UNCONNECTED } from './msix-bar.ts';
import { type PciPlace, unplugged } from './place.ts';
import { SRIOV_BYTES, SRIOV_CONTROL, SRIOV_NUM, SRIOV_VF_BAR0 } from './sriov-registers.ts';

interface FunctionState {
  /** Config space. */
  config: Uint32Array;
  /** What the device behind asks of its INTx pin. */
  intx: boolean;
  /** Four words a vector: address, upper address, data, control. */
  msixTable: Uint32Array;
  msixPending: Uint32Array;
  /** Page requests outstanding, of the function and its virtual functions. */
  pageRequests: number;
}

interface FunctionWiring {
  readonly id: string;
  readonly spec: PciFunctionSpec;
  readonly layout: ConfigLayout;
  readonly def: StateDef<FunctionState>;
  readonly dma: DmaPort;
  readonly messages: MessageSink | undefined;
  readonly msix: MsixSpec | undefined;
  readonly place: PciPlace;
  /** Its virtual functions, the first one first. */
  readonly virtual: PciFunction[];
  /** Set once, by connect. */
  readonly behind: { backend: PciBackend };
  readonly trace: Emitters<typeof PCI_EVENTS>;
}

interface FunctionCache {
  /** A message of this function is on its way. */
  sending: boolean;
}

const D0 = 0;
const D3_HOT = 3;
/** PMCSR: Power State. */
const STATE_BITS = 3;
/** Bit of the PM capability's first dword; D2_Support is the next one (PMC). */
const D1_SUPPORT = 25;
const ENTRY_MASKED = 1;
/** PCI Local Bus 3.0, MSI-X table: the low two bits of an address and all control bits but Mask are reserved. */
const ENTRY_WRITABLE = Uint32Array.of(~3, ~0, ~0, ENTRY_MASKED);
const SLOT_STATUS = SLTSTA.offset;
const DEVICE_CONTROL = DEVCTL.offset;
const FIRST_EXTENDED = 0x100;
/** PCI Advanced Features: bit 1 of the capabilities: FLR; bit 0 of control: Initiate FLR. */
const AF_CAPABILITIES = 3;
const AF_CONTROL = 4;
const ATS_ENABLE = 1 << ATS.fields.ENABLE.lo;
const PRI_ENABLE = 1 << PRI.fields.ENABLE.lo;
const PRI_RESET = 1 << PRI.fields.RESET.lo;
const VF_ENABLE = 1 << SRIOV_CONTROL.fields.VFE.lo;
const PRI_STOPPED = 1 << PRI.fields.STOPPED.lo;

function stateOf(layout: ConfigLayout): StateDef<FunctionState> {
  const vectors = layout.msixSpec?.vectors ?? 0;
  const shape = {
    config: registers(layout.block),
    intx: bool,
    msixTable: wordsFrom(vectors * 4, () => freshTable(vectors)),
    msixPending: words(Math.ceil(vectors / 32)),
    pageRequests: u32,
  };
  if (layout.planned !== undefined)
    return defineState('planned-pci-function', 1, { plan: theSame(layout.planned.frozen), ...shape });
  return defineState('pci-function', 2, shape, {
    1: (old) => upgradeFrom1(layout, old as { config: object }),
  });
}

/** A text that a snapshot has to have as it is here. */
function theSame(frozen: string): Schema<string> {
  return {
    ...withFresh(text, frozen),
    load(json, path) {
      if (json === frozen) return frozen;
      throw new TsvmmError({
        code: 'other-config-space',
        object: path,
        why: 'the guest has seen a virtual config space that is laid out otherwise',
        mend: 'give the device the plan (vconfig=) that the snapshot was made with',
      });
    },
  };
}

/** Version 1 had no page requests and fewer registers. */
function upgradeFrom1(layout: ConfigLayout, old: { readonly config: object }): Json {
  const fresh = registers(layout.block).save(layout.block.fresh()) as object;
  return { ...old, config: { ...fresh, ...old.config }, pageRequests: 0 } as unknown as Json;
}

function freshTable(vectors: number): Uint32Array {
  return Uint32Array.from({ length: vectors * 4 }, (_, i) => (i % 4 === 3 ? ENTRY_MASKED : 0));
}

/** One PCI function: config space with its semantics, BAR decoding, INTx, MSI and MSI-X. */
export class PciFunction extends Device<FunctionState, FunctionWiring, FunctionCache> {
  constructor(services: PciServices, spec: PciFunctionSpec) {
    const layout = (services.layout ?? configLayout)(services.id, spec);
    super({
      id: services.id,
      spec,
      layout,
      def: stateOf(layout),
      dma: services.dma,
      messages: services.messages,
      msix: layout.msixSpec,
      place: unplugged(),
      virtual: [],
      behind: { backend: {} },
      trace: services.tracer.bind(PCI_EVENTS),
    });
    spec.virtualOf?.w.virtual.push(this);
    this.dropCache();
  }

  override stateDef(): StateDef<FunctionState> {
    return this.w.def;
  }

  protected override buildCache(): FunctionCache {
    return { sending: false };
  }

  /** Connects what answers behind the function. */
  connect(backend: PciBackend): void {
    this.w.behind.backend = backend;
  }

  get id(): string {
    return this.w.id;
  }

  get isBridge(): boolean {
    return this.w.layout.bridge;
  }

  /**
   * Requester id with the present bus numbers. PCI Express Base: SR-IOV: VF n of a physical function has its routing id plus
   * First VF Offset plus (n - 1) times VF Stride, both 1 here.
   */
  get bdf(): number {
    const { virtualOf } = this.w.spec;
    if (virtualOf !== undefined) return (virtualOf.bdf + virtualOf.w.virtual.indexOf(this) + 1) & 0xffff;
    return (this.busNumber << 8) | this.w.place.devfn;
  }

  /** The bus it is on. */
  get busNumber(): number {
    const { parent, rootBus } = this.w.place;
    return parent?.secondary ?? rootBus;
  }

  /** Of a bridge: the bus behind it. */
  get secondary(): number {
    return BUSES.get.SECONDARY(this.s.config, BUSES.offset / 4);
  }

  get subordinate(): number {
    return BUSES.get.SUBORDINATE(this.s.config, BUSES.offset / 4);
  }

  /** PCI Express Base: ARI Forwarding Enable: config requests for devices above 0 reach functions above 7. */
  get forwardsAri(): boolean {
    const { pcie } = this.w.layout;
    return pcie !== 0 && DEVCTL2.get.ARI(this.s.config, (pcie + DEVCTL2.offset) >>> 2) === 1;
  }

  /** Of a bridge: it holds the bus behind it in reset. */
  get holdsReset(): boolean {
    return this.isBridge && BRIDGE_CONTROL.get.SBR(this.s.config, BRIDGE_CONTROL.offset / 4) === 1;
  }

  get powered(): boolean {
    return this.#powerState() === D0;
  }

  /** False for a virtual function that is not enabled: nothing of it answers. */
  get present(): boolean {
    const physical = this.w.spec.virtualOf;
    return physical === undefined || physical.w.virtual.indexOf(this) < physical.enabledVirtual;
  }

  /** Virtual functions that are enabled. */
  get enabledVirtual(): number {
    const at = this.w.layout.sriov >>> 2;
    const { config } = this.s;
    if (at === 0 || SRIOV_CONTROL.get.VFE(config, at + SRIOV_CONTROL.offset / 4) === 0) return 0;
    return Math.min(SRIOV_NUM.get.NUM(config, at + SRIOV_NUM.offset / 4), this.w.virtual.length);
  }

  get memoryEnabled(): boolean {
    const physical = this.w.spec.virtualOf;
    if (physical !== undefined) {
      const at = (physical.w.layout.sriov + SRIOV_CONTROL.offset) >>> 2;
      return this.powered && this.present && SRIOV_CONTROL.get.MSE(physical.s.config, at) === 1;
    }
    return this.powered && COMMAND.get.MEM(this.s.config, 1) === 1;
  }

  get ioEnabled(): boolean {
    return this.powered && this.w.spec.virtualOf === undefined && COMMAND.get.IO(this.s.config, 1) === 1;
  }

  get busMaster(): boolean {
    return this.powered && this.present && COMMAND.get.BME(this.s.config, 1) === 1;
  }

  /** Config read; bytes past the end of its config space are all ones. Sizes 1, 2, 4. */
  configRead(offset: number, size: number): number {
    const shift = (offset & 3) * 8;
    if ((offset & 3) + size > 4) return this.#readBytes(offset, size);
    if (offset >= this.w.layout.bytes) return 2 ** (size * 8) - 1;
    const value = this.#read32(offset & ~3) >>> shift;
    return size === 4 ? value : value & ((1 << (size * 8)) - 1);
  }

  #readBytes(offset: number, size: number): number {
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + this.configRead(offset + i, 1);
    return value;
  }

  /** Bits that follow from something else than config writes are put in as they are now. */
  #read32(offset: number): number {
    const { block, pcie, pcieBytes, planned, pri } = this.w.layout;
    const own = block.read32(this.s.config, offset);
    const value = planned === undefined ? own : planned.read32(offset, own);
    if (this.#integrated && offset >= pcie && offset < pcie + pcieBytes)
      return integratedView(offset - pcie, value);
    if (offset === COMMAND.offset) return this.s.intx ? (value | (1 << COMMAND.fields.INTX.lo)) >>> 0 : value;
    if (offset === HEADER.offset)
      return this.w.place.multifunction ? (value | (1 << HEADER.fields.MULTI.lo)) >>> 0 : value;
    if (pri !== 0 && offset === pri + PRI.offset) return this.#stopped ? (value | PRI_STOPPED) >>> 0 : value;
    const present = this.isBridge && this.w.layout.pcie !== 0 && offset === this.w.layout.pcie + SLOT_STATUS;
    return present && this.w.place.occupied ? (value | (1 << SLTSTA.fields.PDS.lo)) >>> 0 : value;
  }

  /** An endpoint on the root bus. */
  get #integrated(): boolean {
    return this.w.place.parent === undefined && !this.isBridge;
  }

  /** PCI Express Base: Page Request Status: Stopped: no response is waited for. Undefined while enabled; 0 here. */
  get #stopped(): boolean {
    const enabled = PRI.get.ENABLE(this.s.config, (this.w.layout.pri + PRI.offset) >>> 2) === 1;
    return !enabled && this.s.pageRequests === 0;
  }

  /** Config write of 1, 2 or 4 bytes. */
  configWrite(offset: number, size: number, value: number): void {
    if ((offset & 3) + size > 4) {
      for (let i = 0; i < size; i++) this.configWrite(offset + i, 1, Math.floor(value / 2 ** (8 * i)) & 0xff);
      return;
    }
    if (offset >= this.w.layout.bytes) return;
    const shift = (offset & 3) * 8;
    const byteMask = size === 4 ? 0xffffffff : ((1 << (size * 8)) - 1) << shift;
    this.#write32(offset & ~3, (value << shift) & byteMask, byteMask);
  }

  #write32(offset: number, value: number, byteMask: number): void {
    const old = this.s.config[offset >>> 2]!;
    const { planned, pm } = this.w.layout;
    const given = pm !== 0 && offset === pm + PM_CSR.offset ? this.#withPowerState(value, byteMask) : value;
    planned?.write32(offset, given, byteMask);
    if (offset >= FIRST_EXTENDED) this.#writeExtended(offset, given, byteMask, old);
    else this.#writeStandard(offset, given, byteMask, old);
    if (old !== this.s.config[offset >>> 2]!) this.w.behind.backend.configChanged?.(offset);
  }

  #writeStandard(offset: number, value: number, byteMask: number, old: number): void {
    const { af, block, msi, msix, pcie, pm, bridge } = this.w.layout;
    block.write32(this.s.config, offset, value, byteMask);
    const now = this.s.config[offset >>> 2]!;
    if (pcie !== 0 && offset === pcie + DEVICE_CONTROL) this.#deviceControl(value);
    else if (af !== 0 && offset === af + AF_CONTROL) this.#advancedFeatures(value & byteMask);
    if (old === now) return;
    if (offset === COMMAND.offset) this.#commandChanged();
    else if (bridge && offset === BRIDGE_CONTROL.offset) this.#bridgeControlChanged(old);
    else if (offset >= BAR0 && offset < INTERRUPT.offset) this.w.place.fabric?.changed();
    else if (pm !== 0 && offset === pm + PM_CSR.offset) this.#powerChanged(old);
    else if (msi !== 0 && offset >= msi && offset < msi + 0x18) this.#messagesChanged();
    else if (msix !== 0 && offset === msix) this.#messagesChanged();
  }

  /** Writes that the specification leaves undefined because of the state of the function change nothing here. */
  #writeExtended(offset: number, value: number, byteMask: number, old: number): void {
    const { block, ats, pri, sriov } = this.w.layout;
    const { config } = this.s;
    const refused = this.#refusedBits(offset);
    block.write32(config, offset, (value & ~refused) | (old & refused), byteMask);
    if (ats !== 0 && offset === ats + ATS.offset) {
      if (((old ^ config[offset >>> 2]!) & ATS_ENABLE) !== 0) this.w.behind.backend.ats?.().atsChanged();
    } else if (pri !== 0 && offset === pri + PRI.offset) this.#pageRequestControl(value & byteMask, old);
    else if (sriov !== 0 && offset >= sriov && offset < sriov + SRIOV_BYTES)
      this.#virtualChanged(offset, old);
  }

  /**
   * Bits of an extended register that cannot be written now. PCI Express Base: ATS Control: STU while enabled; PASID Control:
   * all while ATS is enabled; Page Request: allocation while enabled.
   */
  #refusedBits(offset: number): number {
    const { ats, pasid, pri, sriov } = this.w.layout;
    const { config } = this.s;
    if (sriov !== 0 && offset === sriov + SRIOV_NUM.offset) return this.#virtualEnabled ? -1 : 0;
    const atsOn = [this, ...this.w.virtual].some((fn) => fn.atsEnabled);
    if (ats !== 0 && offset === ats + ATS.offset) return atsOn ? 0x1f << ATS.fields.STU.lo : 0;
    if (pasid !== 0 && offset === pasid + PASID.offset) return atsOn ? -1 : 0;
    const priOn = pri !== 0 && PRI.get.ENABLE(config, (pri + PRI.offset) >>> 2) === 1;
    return priOn && offset === pri + PRI_ALLOCATION.offset ? -1 : 0;
  }

  get #virtualEnabled(): boolean {
    const at = (this.w.layout.sriov + SRIOV_CONTROL.offset) >>> 2;
    return SRIOV_CONTROL.get.VFE(this.s.config, at) === 1;
  }

  /** PCI Express Base: SR-IOV: VF Enable: cleared, every virtual function is gone with all its state. */
  #virtualChanged(offset: number, old: number): void {
    const control = offset === this.w.layout.sriov + SRIOV_CONTROL.offset;
    if (control && (old & VF_ENABLE) !== 0 && !this.#virtualEnabled)
      for (const fn of this.w.virtual) fn.resetWithBackend('flr');
    this.w.place.fabric?.changed();
  }

  /** PCI Express Base: Page Request Control: Enable only from Stopped; Reset only while disabled. */
  #pageRequestControl(value: number, old: number): void {
    const at = (this.w.layout.pri + PRI.offset) >>> 2;
    const { config } = this.s;
    if ((old & PRI_ENABLE) === 0 && (config[at]! & PRI_ENABLE) !== 0 && this.s.pageRequests !== 0)
      config[at]! &= ~PRI_ENABLE;
    if ((value & PRI_RESET) !== 0 && (config[at]! & PRI_ENABLE) === 0) this.giveUpPageRequests();
  }

  get atsEnabled(): boolean {
    const { ats } = this.w.layout;
    return ats !== 0 && ATS.get.ENABLE(this.s.config, (ats + ATS.offset) >>> 2) === 1;
  }

  /** The function and its virtual functions forget what they asked for. */
  giveUpPageRequests(): void {
    this.s.pageRequests = 0;
    for (const fn of [this, ...this.w.virtual]) fn.w.behind.backend.ats?.().dropPageRequests();
  }

  /** What speaks ATS and PRI behind the function, if anything does. */
  get ats(): AtsLink | undefined {
    return this.w.behind.backend.ats?.();
  }

  #commandChanged(): void {
    this.w.place.fabric?.changed();
    this.w.place.fabric?.intx();
    this.#messagesChanged();
  }

  #bridgeControlChanged(old: number): void {
    const sbr = 1 << BRIDGE_CONTROL.fields.SBR.lo;
    if (((old ^ this.s.config[BRIDGE_CONTROL.offset >>> 2]!) & sbr) === 0) return;
    if (this.holdsReset) this.w.place.fabric?.resetBehind(this);
    this.w.place.fabric?.changed();
    this.w.place.fabric?.intx();
  }

  /** PCI Express Base: Device Control Register: Initiate FLR acts only where DEVCAP has it. */
  #deviceControl(value: number): void {
    const flr = (value & (1 << DEVCTL.fields.FLR.lo)) !== 0;
    if (flr && offersFlr(this.s.config, this.w.layout.pcie)) this.resetWithBackend('flr');
  }

  /** PCI Advanced Features: INITIATE_FLR, where its capabilities have it. */
  #advancedFeatures(value: number): void {
    const offered = this.configRead(this.w.layout.af + AF_CAPABILITIES, 1) & 2;
    if (offered !== 0 && (value & 1) !== 0) this.resetWithBackend('flr');
  }

  #powerState(): number {
    const { pm } = this.w.layout;
    return pm === 0 ? D0 : PM_CSR.get.STATE(this.s.config, (pm + PM_CSR.offset) >>> 2);
  }

  /**
   * PCI Power Management: PMCSR: a write of a state that cannot be entered is done, and its data is discarded: D1 and D2 where the
   * capability does not have them, and every state but D0 that is higher than the present one.
   */
  #withPowerState(value: number, byteMask: number): number {
    if ((byteMask & STATE_BITS) === 0) return value;
    const now = this.#powerState();
    const wanted = value & STATE_BITS;
    const offered = wanted === D0 || wanted === D3_HOT || (this.#offeredStates & (1 << wanted)) !== 0;
    return offered && (wanted === D0 || wanted >= now) ? value : (value & ~STATE_BITS) | now;
  }

  /** Bits 1 and 2: D1 and D2. Only planned config spaces have them. */
  get #offeredStates(): number {
    return (this.s.config[this.w.layout.pm >>> 2]! >>> (D1_SUPPORT - 1)) & 6;
  }

  /** From D3hot, a function that does not keep what it has (No_Soft_Reset) is reset; D1 and D2 keep it. */
  #powerChanged(old: number): void {
    const at = (this.w.layout.pm + PM_CSR.offset) >>> 2;
    const state = this.#powerState();
    const keeps = PM_CSR.get.NO_SOFT_RESET(this.s.config, at) === 1;
    if (state === D0 && (old & STATE_BITS) === D3_HOT && !keeps) this.resetWithBackend('flr');
    this.w.place.fabric?.changed();
    this.w.place.fabric?.intx();
  }

  /** Reset that comes through PCI: the function and what stands behind it. */
  resetWithBackend(kind: ResetKind): void {
    this.w.trace.pci_function_reset.emit(this.bdf, kind);
    this.reset(kind);
    this.w.behind.backend.reset?.(kind);
    // PCI Express Base: SR-IOV: a reset of the physical function takes its virtual functions away.
    for (const fn of this.w.virtual) fn.resetWithBackend(kind);
  }

  override reset(kind: ResetKind): void {
    const { block } = this.w.layout;
    if (kind === 'cold') this.s.config.set(block.fresh());
    else block.warmReset(this.s.config);
    this.s.intx = false;
    this.s.msixTable.set(freshTable(this.w.msix?.vectors ?? 0));
    this.s.msixPending.fill(0);
    this.s.pageRequests = 0;
    this.w.place.fabric?.changed();
    this.w.place.fabric?.intx();
  }

  /** Address that a BAR is programmed to, whether it decodes or not; a Number of up to 2^64 (then not exact). */
  barAddress(bar: BarSpec): number {
    const physical = this.w.spec.virtualOf;
    if (physical !== undefined) return physical.#virtualBar(bar, physical.w.virtual.indexOf(this));
    const at = (BAR0 >>> 2) + bar.index;
    if (bar.kind === 'io') return (this.s.config[at]! & ~3) >>> 0;
    return numberOf(this.s.config[at]! & ~0xf, bar.kind === 'memory64' ? this.s.config[at + 1]! : 0);
  }

  /** PCI Express Base: SR-IOV: VF BARs: one after the other from the address in the physical function's capability. */
  #virtualBar(bar: BarSpec, n: number): number {
    const at = ((this.w.layout.sriov + SRIOV_VF_BAR0) >>> 2) + bar.index;
    const upper = bar.kind === 'memory64' ? this.s.config[at + 1]! : 0;
    const base = numberOf(this.s.config[at]! & ~0xf, upper);
    return base === 0 ? 0 : base + n * bar.size;
  }

  /** What answers behind a BAR. */
  barHandler(bar: BarSpec): MmioHandler | PortHandler {
    const { msix, layout } = this.w;
    const device = this.w.behind.backend.bars?.[bar.index] ?? UNCONNECTED;
    const bytes = layout.planned?.barBytes(bar) ?? bar.size;
    const inner = bytes < bar.size ? new ShortBar(device as MmioHandler, bytes) : device;
    return msix?.bar === bar.index ? new MsixBar(this, msix, inner as MmioHandler) : inner;
  }

  // Interrupts

  get msiEnabled(): boolean {
    const { msi } = this.w.layout;
    return msi !== 0 && MSI_CONTROL.get.ENABLE(this.s.config, msi >>> 2) === 1;
  }

  get msixEnabled(): boolean {
    const { msix } = this.w.layout;
    return msix !== 0 && MSIX_CONTROL.get.ENABLE(this.s.config, msix >>> 2) === 1;
  }

  /** The device uses messages: its INTx is silent. */
  get usesMessages(): boolean {
    return this.msiEnabled || this.msixEnabled;
  }

  /** Interrupt pin 1..4 (INTA..INTD) or 0. */
  get interruptPin(): number {
    return INTERRUPT.get.PIN(this.s.config, INTERRUPT.offset / 4);
  }

  /** What the pin drives: the device's wish, unless disabled, in messages mode or without power. */
  get intxOutput(): boolean {
    const disabled = COMMAND.get.INTX_DIS(this.s.config, 1) === 1;
    return this.s.intx && this.interruptPin !== 0 && !disabled && !this.usesMessages && this.powered;
  }

  /** The device asserts or withdraws its INTx. */
  setIntx(level: boolean): void {
    if (this.s.intx === level) return;
    this.s.intx = level;
    if (this.w.trace.pci_intx.on) this.w.trace.pci_intx.emit(this.bdf, level ? 1 : 0);
    this.w.place.fabric?.intx();
  }

  /** Sends message `vector` by MSI-X or MSI, whichever is enabled; nothing when neither is. */
  notify(vector: number): void {
    if (this.msixEnabled) this.#notifyMsix(vector);
    else if (this.msiEnabled) this.#notifyMsi(vector);
  }

  #notifyMsix(vector: number): void {
    if (vector >= (this.w.msix?.vectors ?? 0)) return;
    if (this.#msixMasked(vector)) {
      this.s.msixPending[vector >>> 5]! |= 1 << (vector & 31);
      if (this.w.trace.pci_message_pending.on) this.w.trace.pci_message_pending.emit(this.bdf, vector);
      return;
    }
    const t = this.s.msixTable;
    this.#send(vector, t[vector * 4]!, t[vector * 4 + 1]!, t[vector * 4 + 2]!);
  }

  #msixMasked(vector: number): boolean {
    const functionMask = MSIX_CONTROL.get.FMASK(this.s.config, this.w.layout.msix >>> 2) === 1;
    return functionMask || (this.s.msixTable[vector * 4 + 3]! & ENTRY_MASKED) !== 0;
  }

  /** PCI Local Bus 3.0: MSI: with fewer vectors granted than asked for, vectors share; low data bits carry the vector. */
  #notifyMsi(vector: number): void {
    const { msi } = this.w.layout;
    const { config } = this.s;
    const at = msi >>> 2;
    const granted = Math.min(MSI_CONTROL.get.MME(config, at), MSI_CONTROL.get.MMC(config, at));
    const number = vector & ((1 << granted) - 1);
    const is64 = MSI_CONTROL.get.IS64(config, at) === 1;
    const data = (msi + msiDataOffset(is64)) >>> 2;
    if (MSI_CONTROL.get.MASKABLE(config, at) === 1 && (config[data + 1]! & (1 << number)) !== 0) {
      config[data + 2]! |= 1 << number;
      if (this.w.trace.pci_message_pending.on) this.w.trace.pci_message_pending.emit(this.bdf, number);
      return;
    }
    const value = (config[data]! & ~((1 << granted) - 1)) | number;
    this.#send(number, config[at + 1]!, is64 ? config[at + 2]! : 0, value);
  }

  /**
   * LIMIT: a guest can aim a message at registers whose write raises the next one; what a message causes its own function
   * to send is refused, or it would never end.
   */
  #send(vector: number, lo: number, hi: number, data: number): void {
    let status = DMA_UR;
    if (!this.c.sending) {
      this.c.sending = true;
      status = (this.w.messages ?? this.w.dma).message(lo, hi, data >>> 0);
      this.c.sending = false;
    }
    const { pci_message } = this.w.trace;
    if (pci_message.on) pci_message.emit(this.bdf, vector, lo, hi, data >>> 0, status);
  }

  /** After a change of masks or enables: INTx follows, and pending messages that may go now are sent once. */
  #messagesChanged(): void {
    this.w.place.fabric?.intx();
    if (!this.busMaster) return;
    if (this.msixEnabled) this.#flushMsix();
    else if (this.msiEnabled) this.#flushMsi();
  }

  #flushMsix(): void {
    const { msixPending } = this.s;
    for (let vector = 0; vector < (this.w.msix?.vectors ?? 0); vector++) {
      const bit = 1 << (vector & 31);
      if ((msixPending[vector >>> 5]! & bit) === 0 || this.#msixMasked(vector)) continue;
      msixPending[vector >>> 5]! &= ~bit;
      this.#notifyMsix(vector);
    }
  }

  #flushMsi(): void {
    const { msi } = this.w.layout;
    const at = msi >>> 2;
    if (MSI_CONTROL.get.MASKABLE(this.s.config, at) === 0) return;
    const data = (msi + msiDataOffset(MSI_CONTROL.get.IS64(this.s.config, at) === 1)) >>> 2;
    const ready = this.s.config[data + 2]! & ~this.s.config[data + 1]!;
    for (let vector = 0; vector < 32; vector++) {
      if ((ready & (1 << vector)) === 0) continue;
      this.s.config[data + 2]! &= ~(1 << vector);
      this.#notifyMsi(vector);
    }
  }

  /** One dword of the MSI-X table. */
  readTable(word: number): number {
    return this.s.msixTable[word]!;
  }

  writeTable(word: number, value: number): void {
    this.s.msixTable[word] = value & ENTRY_WRITABLE[word & 3]!;
    if ((word & 3) === 3) this.#messagesChanged();
  }

  /** One dword of the pending bit array; dwords past the last vector read 0. */
  readPending(word: number): number {
    return this.s.msixPending[word] ?? 0;
  }
}
