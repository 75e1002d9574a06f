import {
  type SmmuBackend,
  type SmmuPort,
  type StreamBinding,
  streamBinding,
} from '../../viommu/port/smmuv3.ts';
import {
  CERROR_ILL,
  CMD_ATC_INV,
  CMD_CFGI_CD,
  CMD_CFGI_CD_ALL,
  CMD_TLBI_NH_ALL,
  CMD_TLBI_NH_VAA,
  CMD_TLBI_NSNH_ALL,
} from '../../viommu/spec/smmuv3/commands.ts';
import { STE } from '../../viommu/spec/smmuv3/structures.ts';
import { NO_PASID } from '../bus/dma.ts';
import { HWPT_FLAGS, INVALIDATE_DATA } from '../host/iommufd/abi.ts';
import type { AddressSpace } from './address-space.ts';
import type { Channel } from './channel.ts';
import type { Bound, ForwarderNeeds, GuestDevice } from './guest-device.ts';
import { HostRefused } from './host-calls.ts';
import { InvalidationArray, MOST_INVALIDATIONS } from './invalidation-array.ts';
import type { PassthroughLog } from './log.ts';
import { STALLS_OPTIONAL, stallModelOf } from './modes.ts';
import { EVERY_PASID } from './page-faults.ts';

const COMMAND_BYTES = 16;
/** Of ATC_INV: a SubstreamID is meant, all of them, and the size of everything. */
const SSV = 1 << 11;
const GLOBAL = 1 << 9;
const ALL_ADDRESSES = 52;

/** Bits of words 0 to 3 of an STE that iommufd takes from a guest: V, Config, S1Fmt, S1ContextPtr, S1CDMax; S1DSS to EATS. */
const TAKEN = takenBits([
  'V',
  'Config',
  'S1Fmt',
  'S1ContextPtr',
  'S1CDMax',
  'S1DSS',
  'S1CIR',
  'S1COR',
  'S1CSH',
  'S1STALLD',
  'EATS',
]);
/** S1STALLD in word 2. */
const STALLS_OFF = 1 << 27;
const CONFIG_ABORT = 0;
const CONFIG_BYPASS = 4;

/** A slice of one physical SMMU: the guest's unit, as far as devices behind that SMMU are concerned. */
interface Slice {
  readonly id: number;
  readonly channel: Channel;
  readonly parent: number;
  readonly abort: number;
  readonly bypass: number;
}

interface Attached {
  readonly device: GuestDevice;
  readonly slice: Slice;
  bound: Bound;
  /** The identity under which the guest's commands name it: StreamID, and the object. */
  vdevice: { readonly sid: number; readonly id: number } | undefined;
}

/**
 * A guest's SMMUv3 in front of physical ones that nest: the stage 1 of an STE, with the guest's whole CD table, becomes a page table
 * of iommufd on top of the guest's RAM. Commands are passed on as they are, many at once.
 */
export class SmmuForwarder implements SmmuBackend {
  failedAt = 0;
  readonly #space: AddressSpace;
  readonly #port: SmmuPort;
  readonly #log: PassthroughLog;
  readonly #needs: ForwarderNeeds;
  readonly #devices: Attached[] = [];
  readonly #slices: Slice[] = [];
  readonly #out: StreamBinding = streamBinding();
  readonly #words = new Uint32Array(4);
  /** Commands that wait, in the memory that the call names, and where in the guest's queue each was. */
  readonly #batch: InvalidationArray;
  readonly #cons = new Uint32Array(MOST_INVALIDATIONS);
  #count = 0;
  /** Who the waiting commands are for: those that name a stream are for the slice that has it, which others would refuse. */
  #only: Slice | undefined;
  #error = 0;

  constructor(space: AddressSpace, port: SmmuPort, log: PassthroughLog, needs: ForwarderNeeds) {
    this.#space = space;
    this.#port = port;
    this.#log = log;
    this.#needs = needs;
    this.#batch = new InvalidationArray(space.calls, space.fd, INVALIDATE_DATA.ARM_SMMUV3, COMMAND_BYTES);
  }

  /** Takes a device on. @throws HostRefused where the host cannot do it */
  add(device: GuestDevice): void {
    const slice = this.#sliceFor(device);
    const bound = {
      kind: 'identity',
      hwpt: slice.bypass,
      channel: slice.channel,
      own: false,
      did: 0,
      pasid: 0,
      key: 'bypass',
    } as const;
    const one: Attached = { device, slice, bound, vdevice: undefined };
    this.#devices.push(one);
    this.#refresh(one);
  }

  /** The slice of the SMMU that the device is behind: it is attached to its bypass. */
  #sliceFor(device: GuestDevice): Slice {
    for (const slice of this.#slices) {
      if (!device.host.channel.owns(device.host, slice.bypass)) continue;
      try {
        device.host.attach(0, slice.bypass);
        return slice;
      } catch (cause) {
        if (!(cause instanceof HostRefused) || cause.errno !== 'EINVAL') throw cause;
      }
    }
    const slice = this.#newSlice(device);
    this.#slices.push(slice);
    device.host.attach(0, slice.bypass);
    return slice;
  }

  #newSlice({ host }: GuestDevice): Slice {
    const { channel } = host;
    const made: number[] = [];
    const keep = (one: number) => {
      made.unshift(one);
      return one;
    };
    try {
      const parent = keep(channel.paging(host, this.#space.ioas, HWPT_FLAGS.NEST_PARENT));
      // Events of the slice are the guest's: they name its StreamIDs already.
      const id = keep(channel.viommu(host, parent, (words) => this.#port.event(words)));
      const fixed = (config: number) =>
        keep(channel.smmuNested(host, id, STE.pack({ V: 1, Config: config }), false));
      return { id, channel, parent, abort: fixed(CONFIG_ABORT), bypass: fixed(CONFIG_BYPASS) };
    } catch (cause) {
      for (const one of made) this.#guarded(() => channel.destroy(one));
      throw cause;
    }
  }

  remove(device: GuestDevice): void {
    const at = this.#devices.findIndex((one) => one.device === device);
    const one = this.#devices[at];
    if (one === undefined) return;
    this.#guarded(() => this.#bind(one, this.#fixed(one, 'blocked')));
    this.#forget(one);
    this.#devices.splice(at, 1);
  }

  /** Lets go of all devices, and of all that the host has for them. What a command has failed with stays to be told. */
  clear(): void {
    this.#flush();
    for (const one of this.#devices.splice(0)) {
      this.#guarded(() => this.#bind(one, this.#fixed(one, 'blocked')));
      this.#guarded(() => one.device.host.detach(0));
      const { own, channel, hwpt } = one.bound;
      // The host has refused to block it.
      if (own) this.#guarded(() => channel.destroy(hwpt));
      this.#forget(one);
    }
    for (const { id, channel, parent, abort, bypass } of this.#slices.splice(0))
      for (const made of [abort, bypass, id, parent]) this.#guarded(() => channel.destroy(made));
  }

  has(device: GuestDevice): boolean {
    return this.#devices.some((one) => one.device === device);
  }

  attachments(device: GuestDevice): readonly (readonly [pasid: number, bound: Bound])[] {
    const one = this.#devices.find((other) => other.device === device);
    return one === undefined ? [] : [[NO_PASID, one.bound]];
  }

  /** Everything that the guest changes is announced. A device that got another requester id is looked at under it. */
  settle(): void {
    // From the last: one that moves to another path leaves the list.
    for (let i = this.#devices.length - 1; i >= 0; i--) {
      const one = this.#devices[i]!;
      const { vdevice, device } = one;
      if (vdevice !== undefined && vdevice.sid !== device.dma.requester) this.#refresh(one);
    }
  }

  /** The device is to have no translations any more: ATC_INV of everything, without SubstreamID and of all of them. */
  forget(device: GuestDevice): void {
    const one = this.#devices.find((other) => other.device === device);
    if (one?.vdevice === undefined) return;
    this.#flush();
    const error = this.#error;
    for (const which of [0, SSV | GLOBAL])
      this.command(CMD_ATC_INV | which, one.vdevice.sid, ALL_ADDRESSES, 0, 0);
    this.#flush();
    // Not a command of the guest's: its queue does not stop at it.
    this.#error = error;
  }

  configurationChanged(): void {
    this.sync();
    for (const one of [...this.#devices]) this.#refresh(one);
  }

  streamsChanged(sid: number, order: number, cons: number): void {
    this.#flush();
    for (const one of [...this.#devices]) {
      const { requester } = one.device.dma;
      if (order <= 31 && requester >>> order !== sid >>> order) continue;
      const { bound } = one;
      this.#refresh(one);
      // What is bound anew has nothing in caches; an STE that stays as it was is announced for the descriptors under it.
      if (bound.own && one.bound === bound) this.command(CMD_CFGI_CD_ALL, requester, 0, 0, cons);
    }
  }

  /** Those of stage 1, and those of streams that the host knows: what concerns nobody here is done when the unit has done it. */
  command(w0: number, w1: number, w2: number, w3: number, cons: number): void {
    const op = w0 & 0xff;
    const owner = namesStream(op) ? this.#ownerOf(w1) : undefined;
    if (owner === undefined && !(isTlbi(op) && this.#slices.length > 0)) return;
    const only = this.#slices.length > 1 ? owner : undefined;
    if (this.#count === MOST_INVALIDATIONS || only !== this.#only) this.#flush();
    this.#only = only;
    const { view } = this.#batch;
    const at = this.#batch.at + this.#count * COMMAND_BYTES;
    view.setUint32(at, w0, true);
    view.setUint32(at + 4, w1, true);
    view.setUint32(at + 8, w2, true);
    view.setUint32(at + 12, w3, true);
    this.#cons[this.#count++] = cons;
  }

  #ownerOf(sid: number): Slice | undefined {
    return this.#devices.find(({ vdevice }) => vdevice?.sid === sid)?.slice;
  }

  sync(): number {
    this.#flush();
    const error = this.#error;
    this.#error = 0;
    return error;
  }

  #flush(): void {
    const count = this.#count;
    if (count === 0) return;
    this.#count = 0;
    // What comes after one that failed is not done: software issues it anew.
    if (this.#error !== 0) return;
    for (const slice of this.#slices) {
      if (this.#only !== undefined && slice !== this.#only) continue;
      const result = slice.channel.send(slice.id, this.#batch, 0, count);
      if (result >= 0) continue;
      this.#log.refused(this.#space.calls.refusal('IOMMU_HWPT_INVALIDATE', result));
      this.failedAt = this.#cons[this.#batch.done] ?? 0;
      this.#error = CERROR_ILL;
      return;
    }
  }

  #refresh(one: Attached): void {
    this.#port.binding(one.device.dma.requester, this.#out);
    const { kind, words } = this.#out;
    if (kind === 'stage2' || kind === 'nested') {
      this.#needs.unsupported(
        one.device,
        `its STE has stage 2 tables of the guest (Config ${kind === 'nested' ? 7 : 6}), which the host does not nest`,
      );
      return;
    }
    if (kind === 'stage1' && hasOthers(words)) {
      this.#needs.unsupported(
        one.device,
        'its STE overrides attributes, or is one of EL2, which the host does not take',
      );
      return;
    }
    const refused = this.#guarded(() => {
      if (kind === 'abort') this.#bind(one, this.#fixed(one, 'blocked'));
      else if (kind === 'bypass') this.#bind(one, this.#fixed(one, 'identity'));
      else this.#bindStage1(one, words);
    });
    if (refused !== undefined) this.#needs.unsupported(one.device, `the host refused: ${refused.message}`);
  }

  #bindStage1(one: Attached, words: Uint32Array): void {
    const { device } = one;
    for (let i = 0; i < 4; i++) this.#words[i] = words[i]! & TAKEN[i]!;
    // A CD that asks for stalls is ILLEGAL to a unit that has none, and has to be to the host's.
    if (!this.#port.stalls && stallModelOf(device.host.info.idr) === STALLS_OPTIONAL)
      this.#words[2]! |= STALLS_OFF;
    const sid = device.dma.requester;
    const key = `stage 1 ${sid} ${this.#words.join(' ')}`;
    if (key === one.bound.key) return;
    this.#identify(one, sid);
    const wants = device.wantsFaults();
    if (!wants && !this.#port.stalls) {
      this.#nest(one, key, false);
      return;
    }
    this.#needs.faultsWanted();
    const refused = this.#attempt(() => this.#nest(one, key, true));
    if (refused === undefined) return;
    // The host can neither ask for pages of it nor hold it, or its page requests are another function's.
    if (wants) throw refused;
    this.#nest(one, key, false);
  }

  #nest(one: Attached, key: string, faults: boolean): void {
    const { channel } = one.slice;
    const hwpt = channel.smmuNested(one.device.host, one.slice.id, this.#words, faults);
    this.#bind(one, { kind: 'nested', hwpt, channel, own: true, did: 0, pasid: 0, key });
  }

  /** The identity of the device is made when the guest first binds its stream, and again when it has another StreamID. */
  #identify(one: Attached, virt: number): void {
    if (one.vdevice?.sid === virt) return;
    if (one.vdevice !== undefined) {
      this.#bind(one, this.#fixed(one, 'blocked'));
      this.#forget(one);
    }
    const id = one.slice.channel.vdevice(one.device.host, one.slice.id, virt);
    one.vdevice = { sid: virt, id };
  }

  #forget(one: Attached): void {
    const { vdevice } = one;
    one.vdevice = undefined;
    if (vdevice !== undefined) this.#guarded(() => one.slice.channel.destroy(vdevice.id));
  }

  #fixed({ slice }: Attached, kind: 'blocked' | 'identity'): Bound {
    const hwpt = kind === 'blocked' ? slice.abort : slice.bypass;
    return { kind, hwpt, channel: slice.channel, own: false, did: 0, pasid: 0, key: kind };
  }

  /** In place of what is bound now, which is then dropped. */
  #bind(one: Attached, next: Bound): void {
    const old = one.bound;
    if (old.hwpt === next.hwpt) return;
    try {
      one.device.host.attach(0, next.hwpt);
    } catch (cause) {
      if (next.own) next.channel.destroy(next.hwpt);
      throw cause;
    }
    one.bound = next;
    this.#needs.unbound(one.device, EVERY_PASID);
    if (old.own) old.channel.destroy(old.hwpt);
  }

  #guarded(work: () => void): HostRefused | undefined {
    const refused = this.#attempt(work);
    if (refused !== undefined) this.#log.refused(refused);
    return refused;
  }

  #attempt(work: () => void): HostRefused | undefined {
    try {
      work();
      return undefined;
    } catch (cause) {
      if (!(cause instanceof HostRefused)) throw cause;
      return cause;
    }
  }
}

function takenBits(names: readonly (keyof typeof STE.fields)[]): Uint32Array {
  const words = new Uint32Array(4);
  for (const name of names) {
    const { hi, lo } = STE.fields[name];
    for (let bit = lo; bit <= hi; bit++) words[bit >>> 5]! |= 1 << (bit & 31);
  }
  return words;
}

/** PRIVCFG, INSTCFG, STRW and the like say something. */
function hasOthers(words: Uint32Array): boolean {
  const get = STE.get;
  return get.STRW(words, 0) !== 0 || get.PRIVCFG(words, 0) !== 0 || get.INSTCFG(words, 0) !== 0;
}

function isTlbi(op: number): boolean {
  return (op >= CMD_TLBI_NH_ALL && op <= CMD_TLBI_NH_VAA) || op === CMD_TLBI_NSNH_ALL;
}

function namesStream(op: number): boolean {
  return op === CMD_ATC_INV || op === CMD_CFGI_CD || op === CMD_CFGI_CD_ALL;
}
