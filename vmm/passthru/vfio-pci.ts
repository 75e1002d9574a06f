import { AtsControls } from '../../devices/pci/ats-controls.ts';
import { MSI_CONTROL, MSIX_CONTROL } from '../../devices/pci/capabilities.ts';
import { PciFunction } from '../../devices/pci/function.ts';
import type { AtsLink, PciDevice, PciDeviceKind, PciServices } from '../../devices/pci/kind.ts';
import { functionViews } from '../../devices/pci/views.ts';
import type { DeviceFacts } from '../../devices/vconfig/facts.ts';
import { type Bar, dissect } from '../../devices/vconfig/space.ts';
import { Device, type ResetKind } from '../bus/device.ts';
import { LINE_RETRY, type MmioBus, type MmioHandler } from '../bus/mmio.ts';
import { TsvmmError } from '../core/errors.ts';
import { IRQ, REGION } from '../host/vfio/abi.ts';
import { defineState, type StateDef } from '../state/define.ts';
import type { AssignedDevice } from './assigned-device.ts';
import { CHANNELS, type ChannelName } from './channel.ts';
import { type GuestDevice, GuestEnables, OutstandingRequests } from './guest-device.ts';
import { HostRefused } from './host-calls.ts';
import { PASSTHRU_LIMITS } from './limits.ts';
import { MODE_WISHES, type ModeWish } from './modes.ts';
import { Passthrough } from './passthrough.ts';

export interface VfioPciConfig {
  /** Address of the device on the host: `0000:03:00.0`. */
  readonly host: string;
  /** Which path serves its DMA: the best there is, or this one. */
  readonly mode: ModeWish;
  /** How page tables of the guest reach the hardware. */
  readonly channel: ChannelName;
}

const BARS = 6;
const BAR0 = 0x10;
const EXTENDED = 0x100;
const COMMAND = 4;
/** I/O and memory. */
const DECODES = 3;
const BUS_MASTER = 4;
/** Bits 19:0 of a command. */
const COMMAND_PASID = 0xfffff;

/** Everything that the guest sees of an assigned device is its function's; behind it is nothing that is the VMM's to keep. */
type NoState = Record<string, never>;
const STATE: StateDef<NoState> = defineState('vfio-pci', 1, {}) as unknown as StateDef<NoState>;

interface Wiring {
  readonly behind: { host?: HostSide };
}

/** An assigned device: its registers are on the host. */
class VfioPci extends Device<NoState, Wiring, null> {
  constructor() {
    super({ behind: {} });
    this.dropCache();
  }

  override stateDef(): StateDef<NoState> {
    return STATE;
  }

  protected override buildCache(): null {
    return null;
  }

  override reset(_kind: ResetKind): void {
    // What the guest sees is reset after this: `follow` is called when all is.
    this.w.behind.host?.stop();
  }
}

/** A device of the host that the guest has. */
export const VFIO_PCI: PciDeviceKind<VfioPciConfig> = {
  name: 'vfio-pci',
  summary: 'a PCI device of the host (--host), assigned to the guest',
  limits: PASSTHRU_LIMITS,
  defaults: { host: '', mode: 'auto', channel: 'iommufd' },
  schema: (z) =>
    z.strictObject({
      host: z.string().default('').describe('its address on the host, such as 0000:03:00.0'),
      mode: z
        .enum(MODE_WISHES as [ModeWish, ...ModeWish[]])
        .default('auto')
        .describe('which path serves its DMA: the best there is, or this one'),
      channel: z
        .enum(CHANNELS as [ChannelName, ...ChannelName[]])
        .default('iommufd')
        .describe(
          "how page tables of the guest reach the host's IOMMU: by iommufd, or bound in VFIO's container",
        ),
    }),
  create,
};

function create({ host: address, mode, channel }: VfioPciConfig, services: PciServices): PciDevice {
  const { id } = services;
  if (!(services.passthrough instanceof Passthrough)) {
    throw new TsvmmError({
      code: 'no-host',
      object: id,
      why: 'a vfio-pci device is one of a host, and the machine runs on none',
      mend: 'name a host: --host',
    });
  }
  const passthrough = services.passthrough;
  const host = passthrough.open(id, address, channel);
  const device = new VfioPci();
  const bytes = host.config();
  const shown = factsOf(host, bytes);
  const choice = passthrough.choose({ id, address, mode, planned: services.planned ?? [] }, host, shown);
  const fn = new PciFunction(services, {
    vendor: 0,
    device: 0,
    classCode: 0,
    revision: 0,
    bars: barsOf(host, bytes),
    held: {
      bytes,
      facts: passthrough.factsOf(address, choice, shown),
      backing: {
        read: (offset, size) => host.read(REGION.CONFIG, offset, size),
        write: (offset, size, value) => host.write(REGION.CONFIG, offset, size, value, 0),
      },
    },
  });
  const hasPri = fn.w.layout.pri !== 0;
  const guest: GuestDevice = {
    id,
    host,
    dma: services.dma,
    wantsFaults: () => hasPri,
    enables: new GuestEnables(),
    requests: new OutstandingRequests(fn),
    pageRequestsFailed: () => side.pageRequestsFailed(),
    follow: () => side.follow(),
    close: () => side.close(),
  };
  const side = new HostSide(fn, guest, passthrough);
  device.w.behind.host = side;
  fn.connect({
    bars: side.bars,
    reset: () => side.reset(),
    configChanged: (offset) => side.configChanged(offset),
    ats: () => side,
  });
  passthrough.assign(guest, choice);
  const notSaved = `is ${address} of the host, and a snapshot cannot have what a device of the host holds`;
  return { device, fn, views: functionViews(fn), notSaved };
}

function factsOf(host: AssignedDevice, bytes: Uint8Array): DeviceFacts {
  const shown = dissect(bytes).capabilities.map(({ key }) => key);
  const { pasidBits, pasidExec, pasidPriv, ats } = host.info;
  return {
    pasidWidth: pasidBits,
    pasidExec,
    pasidPriv,
    ats: ats && shown.includes('ats'),
    pri: ats && shown.includes('pri'),
  };
}

/** BARs as configuration space types them and VFIO sizes them. */
function barsOf(host: AssignedDevice, bytes: Uint8Array): Bar[] {
  const bars: Bar[] = [];
  for (let index = 0; index < BARS; index++) {
    const { size } = host.regions[index]!;
    if (size === 0) continue;
    const type = bytes[BAR0 + 4 * index]!;
    const kind = (type & 1) !== 0 ? 'io' : (type & 6) === 4 ? 'memory64' : 'memory32';
    bars.push({ index, kind, prefetchable: kind !== 'io' && (type & 8) !== 0, size });
  }
  return bars;
}

/** The host's side of an assigned device: accesses, interrupts and resets go there. */
class HostSide implements AtsLink {
  readonly bars: Record<number, MmioHandler> = {};
  readonly #fn: PciFunction;
  readonly #guest: GuestDevice;
  readonly #passthrough: Passthrough;
  /** Which interrupts of the host are on: an index of VFIO, or -1. */
  #index = -1;
  readonly #fds: number[] = [];
  #intx = false;
  readonly #line = new Uint32Array(16);

  constructor(fn: PciFunction, guest: GuestDevice, passthrough: Passthrough) {
    this.#fn = fn;
    this.#guest = guest;
    this.#passthrough = passthrough;
    for (let index = 0; index < BARS; index++) this.bars[index] = this.#bar(index);
    this.#interrupts();
  }

  /** Of memory, or of I/O ports: then there is neither an upper half nor a bus. */
  #bar(index: number): MmioHandler {
    const { host } = this.#guest;
    return {
      read: (offset: number, size: number, bus: MmioBus | undefined) => {
        const value = host.read(index, offset, size);
        if (bus !== undefined) bus.hi = size === 8 ? host.hi : 0;
        if (this.#intx) this.#withdraw();
        return value;
      },
      write: (offset: number, size: number, lo: number, hi = 0) => {
        this.#passthrough.settle();
        host.write(index, offset, size, lo, hi);
        if (this.#intx) this.#withdraw();
      },
      line: (offset: number, words: Uint32Array, deferrable: boolean) => {
        this.#passthrough.settle();
        return deferrable ? this.#command(index, offset, words) : host.line(index, offset, words, deferrable);
      },
    };
  }

  /** A command with a PASID. The processor puts the host's in: what the guest has in memory stays as it is. */
  #command(index: number, offset: number, words: Uint32Array): number {
    const pasid = this.#passthrough.commandPasid(this.#guest, words[0]! & COMMAND_PASID);
    if (pasid < 0) return LINE_RETRY;
    const line = this.#line;
    line.set(words);
    line[0] = (words[0]! & ~COMMAND_PASID) | pasid;
    return this.#guest.host.line(index, offset, line, true);
  }

  // Interrupts

  configChanged(offset: number): void {
    const { msi, msix, pasid, ats, pri } = this.#fn.w.layout;
    // The control registers follow the header; those of PRI are two more dwords.
    const controls = [pasid + 4, ats + 4, pri + 4, pri + 12];
    if (offset >= EXTENDED && controls.includes(offset)) this.#guest.enables.follow(this.#fn);
    if (
      (msix !== 0 && offset === msix + MSIX_CONTROL.offset) ||
      (msi !== 0 && offset === msi + MSI_CONTROL.offset)
    )
      this.#interrupts();
  }

  /** The kind of interrupts that the guest has switched on is switched on in the host, the others off. */
  #interrupts(): void {
    const { host } = this.#guest;
    const wanted = this.#fn.msixEnabled ? IRQ.MSIX : this.#fn.msiEnabled ? IRQ.MSI : IRQ.INTX;
    if (wanted === this.#index) return;
    try {
      if (this.#index >= 0) host.signalAll(this.#index, []);
      this.#index = -1;
      const count = host.interrupts(wanted);
      if (count === 0) return;
      host.signalAll(wanted, this.#signals(count));
      this.#index = wanted;
    } catch (cause) {
      if (!(cause instanceof HostRefused)) throw cause;
      this.#passthrough.log.refused(cause);
    }
  }

  /** Event files, one for each interrupt; they serve whatever index is on. */
  #signals(count: number): number[] {
    const { sys } = this.#passthrough.space.calls;
    while (this.#fds.length < count) {
      const vector = this.#fds.length;
      const fd = sys.eventfd(0);
      sys.listen(fd, () => this.#signalled(vector, fd));
      this.#fds.push(fd);
    }
    return this.#fds.slice(0, count);
  }

  #signalled(vector: number, fd: number): void {
    const { sys, data } = this.#passthrough.space.calls;
    sys.read(fd, data, 8);
    if (this.#index === IRQ.INTX) {
      this.#intx = true;
      this.#fn.setIntx(true);
    } else this.#fn.notify(vector);
  }

  /** The host masks INTx when it comes. The guest looks at its device: if that still asserts, it comes again. */
  #withdraw(): void {
    this.#intx = false;
    this.#fn.setIntx(false);
    this.#guest.host.unmaskIntx();
  }

  // What the guest's IOMMU sends to the device

  /** The guest switches only what it sees: the device's ATS is the host's. But the device forgets, as it does in either case. */
  atsChanged(): void {
    this.#passthrough.dropDeviceTlb(this.#guest);
  }

  dropPageRequests(): void {
    this.#guest.requests.forget();
  }

  invalidate(pasid: number, lo: number, hi: number, order: number, tag: number): number {
    return this.#passthrough.invalidateDevice(this.#guest, pasid, lo, hi, order, tag);
  }

  pageResponse(pasid: number, group: number, code: number): void {
    this.#passthrough.respond(this.#guest, pasid, group, code);
  }

  pageRequestsFailed(): void {
    new AtsControls(this.#fn).responseFailure();
    this.#guest.enables.follow(this.#fn);
  }

  resume(tag: number, retry: boolean): void {
    this.#passthrough.resume(this.#guest, tag, retry);
  }

  reset(): void {
    this.stop();
    this.follow();
  }

  /** The device is as its reset leaves it, and without interrupts. */
  stop(): void {
    const { host } = this.#guest;
    this.#intx = false;
    this.#passthrough.dropPageRequests(this.#guest);
    this.#guest.requests.forget();
    try {
      if (this.#index >= 0) host.signalAll(this.#index, []);
      this.#index = -1;
      // A reset by the host puts back what the device decoded, and that it is a bus master.
      const command = host.read(REGION.CONFIG, COMMAND, 2);
      host.write(REGION.CONFIG, COMMAND, 2, command & ~(DECODES | BUS_MASTER), 0);
      if (host.canReset) host.reset();
    } catch (cause) {
      if (!(cause instanceof HostRefused)) throw cause;
      this.#passthrough.log.refused(cause);
    }
  }

  /** What the guest has switched on, anew. */
  follow(): void {
    this.#guest.enables.follow(this.#fn);
    this.#interrupts();
  }

  close(): void {
    const { sys } = this.#passthrough.space.calls;
    for (const fd of this.#fds.splice(0)) sys.close(fd);
  }
}
