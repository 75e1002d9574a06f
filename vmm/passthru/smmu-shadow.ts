import {
  EL2_E2H_REGIME,
  EL2_REGIME,
  type SmmuBackend,
  type SmmuPort,
  type StreamBinding,
  type SubstreamBinding,
  streamBinding,
  substreamBinding,
} from '../../viommu/port/smmuv3.ts';
import * as C from '../../viommu/spec/smmuv3/commands.ts';
import { NO_PASID } from '../bus/dma.ts';
import { HW_INFO_TYPE } from '../host/iommufd/abi.ts';
import type { GuestRam } from '../mem/ram.ts';
import type { AddressSpace } from './address-space.ts';
import type { Bound, ForwarderNeeds, GuestDevice } from './guest-device.ts';
import { type Holding, HostBindings, usersOf } from './host-bindings.ts';
import type { PassthroughLog } from './log.ts';
import type { ShadowSpace } from './shadow-space.ts';
import { Shadows } from './shadows.ts';

/** IDR0.STALL_MODEL: transactions are always held. */
const STALL_MODEL = 24;
const STALLS_FORCED = 2;
const PAGES_OF_LO = 2 ** 20;
const LAST_PAGE = 2 ** 52 - 1;

interface Attached extends Holding {
  /** The StreamID that it was looked at under. */
  sid: number;
}

/** What a binding is to become. */
interface Plan {
  readonly kind: Bound['kind'] | 'unsupported';
  readonly key: string;
  readonly why?: string;
  readonly make: () => Bound;
}

/**
 * A guest's SMMUv3 in front of units that do not walk its tables: those of other architectures, or without nesting. For each stream,
 * and each of its SubstreamIDs with a valid CD, what the tables map is mapped page by page. An SMMUv3 has no caching mode: the pages
 * of tables and CDs are watched, and what becomes present counts without a word, as for a unit that caches nothing that is not.
 */
export class SmmuShadow implements SmmuBackend {
  readonly failedAt = 0;
  readonly #port: SmmuPort;
  readonly #ram: GuestRam;
  readonly #needs: ForwarderNeeds;
  readonly #bindings: HostBindings;
  readonly #devices: Attached[] = [];
  readonly #out: SubstreamBinding = substreamBinding();
  readonly #stream: StreamBinding = streamBinding();
  /** Pages that a store could make a CD valid in. */
  readonly #watched = new Set<number>();
  readonly #watcher = {
    stored: () => {
      this.#stale = true;
    },
  };
  #stale = false;

  constructor(
    space: AddressSpace,
    port: SmmuPort,
    ram: GuestRam,
    log: PassthroughLog,
    needs: ForwarderNeeds,
  ) {
    this.#port = port;
    this.#ram = ram;
    this.#needs = needs;
    const shadows = new Shadows(space, ram, (shadow, why) => {
      for (const device of usersOf(shadow, this.#devices)) needs.unsupported(device, why);
    });
    this.#bindings = new HostBindings(space, log, needs, shadows);
  }

  /** Takes a device on. @throws HostRefused where the host cannot do it */
  add(device: GuestDevice): void {
    const one: Attached = { ...this.#bindings.hold(device, 0), sid: device.dma.requester };
    this.#devices.push(one);
    this.#refresh([one]);
  }

  remove(device: GuestDevice): void {
    const at = this.#devices.findIndex((one) => one.device === device);
    const one = this.#devices[at];
    if (one === undefined) return;
    this.#bindings.release(one);
    this.#devices.splice(at, 1);
  }

  /** Lets go of all devices, and of all that the host has for them. */
  clear(): void {
    this.#bindings.clear(this.#devices.splice(0));
    this.#watch();
    this.#stale = false;
  }

  has(device: GuestDevice): boolean {
    return this.#devices.some((one) => one.device === device);
  }

  attachments(device: GuestDevice): readonly (readonly [pasid: number, bound: Bound])[] {
    const one = this.#devices.find((other) => other.device === device);
    return one === undefined ? [] : [[NO_PASID, one.rid], ...one.bound];
  }

  /** The device has asked for a page, or was refused it. */
  refusedAt(device: GuestDevice, pasid: number, lo: number, hi: number): void {
    const one = this.#devices.find((other) => other.device === device);
    const bound = pasid === NO_PASID ? one?.rid : one?.bound.get(pasid);
    bound?.shadow?.refusedAt(lo, hi);
  }

  configurationChanged(): void {
    this.#refresh(this.#devices);
  }

  streamsChanged(sid: number, order: number): void {
    this.#refresh(
      this.#devices.filter(({ device }) => order > 31 || device.dma.requester >>> order === sid >>> order),
    );
  }

  command(w0: number, w1: number, w2: number, w3: number): void {
    const op = w0 & 0xff;
    if (op >= C.CMD_TLBI_NH_ALL && op < C.CMD_ATC_INV) {
      this.#translations(op, w0, w1, w2, w3);
      return;
    }
    if (op !== C.CMD_CFGI_CD && op !== C.CMD_CFGI_CD_ALL) return;
    const hit = this.#devices.filter(({ device }) => device.dma.requester === w1 >>> 0);
    const ssid = w0 >>> 12;
    // CD 0 may be that of requests without SubstreamID.
    if (op === C.CMD_CFGI_CD) this.#refresh(hit, (pasid) => Math.max(pasid, 0) === ssid);
    else this.#refresh(hit);
  }

  sync(): number {
    return 0;
  }

  /** A device that got another requester id is looked at under it; a CD that became valid without a word counts from now. */
  settle(): void {
    // From the last: one that moves to another path leaves the list.
    for (let i = this.#devices.length - 1; i >= 0; i--) {
      const one = this.#devices[i]!;
      if (one.sid !== one.device.dma.requester) this.#refresh([one]);
    }
    this.#bindings.shadows.settle();
    if (!this.#stale) return;
    this.#stale = false;
    this.#refresh(this.#devices, (_pasid, bound) => bound === undefined || bound.kind === 'blocked');
  }

  #translations(op: number, w0: number, w1: number, w2: number, w3: number): void {
    const vmid = this.#port.stage2 ? w1 & 0xffff : 0;
    const asid = w1 >>> 16;
    switch (op) {
      case C.CMD_TLBI_NH_ALL:
        this.#drop((regime, inner) => regime === vmid && inner >= 0);
        return;
      case C.CMD_TLBI_NH_ASID:
        this.#drop((regime, inner) => regime === vmid && inner === asid);
        return;
      case C.CMD_TLBI_NH_VA:
        this.#dropPages(w0, w2, w3, (regime, inner) => regime === vmid && inner === asid);
        return;
      case C.CMD_TLBI_NH_VAA:
        this.#dropPages(w0, w2, w3, (regime, inner) => regime === vmid && inner >= 0);
        return;
      case C.CMD_TLBI_EL2_ALL:
        this.#drop((regime) => regime === EL2_REGIME || regime === EL2_E2H_REGIME);
        return;
      case C.CMD_TLBI_EL2_ASID:
        this.#drop((regime, inner) => regime === EL2_E2H_REGIME && inner === asid);
        return;
      case C.CMD_TLBI_EL2_VA:
        this.#dropPages(
          w0,
          w2,
          w3,
          (regime, inner) => regime === EL2_REGIME || (regime === EL2_E2H_REGIME && inner === asid),
        );
        return;
      case C.CMD_TLBI_EL2_VAA:
        this.#dropPages(w0, w2, w3, (regime) => regime === EL2_E2H_REGIME);
        return;
      case C.CMD_TLBI_S2_IPA:
        this.#dropPages(w0, w2, w3 & 0xffffff, (regime, inner) => regime === vmid && inner < 0);
        return;
      case C.CMD_TLBI_S12_VMALL:
        this.#drop((regime) => regime === vmid);
        return;
      default:
        this.#drop((regime) => regime >= 0);
    }
  }

  #drop(hits: (regime: number, inner: number) => boolean): void {
    for (const shadow of this.#hit(hits)) shadow.replay();
  }

  #dropPages(w0: number, w2: number, w3: number, hits: (regime: number, inner: number) => boolean): void {
    const first = (w3 >>> 0) * PAGES_OF_LO + (w2 >>> 12);
    const pages = Math.max(1, C.rangeBytes(w0, w2) / 4096);
    for (const shadow of this.#hit(hits))
      shadow.invalidatePages(first, Math.min(first + pages - 1, LAST_PAGE));
  }

  #hit(hits: (regime: number, inner: number) => boolean): readonly ShadowSpace[] {
    return this.#bindings.shadows.all.filter(({ tag }) => hits(tag.domain, tag.inner));
  }

  /** Looks at the structures again, for those bindings that `may` change; NO_PASID is the requester's own. */
  #refresh(
    devices: readonly Attached[],
    may: (pasid: number, bound: Bound | undefined) => boolean = () => true,
  ): void {
    const additions: { readonly device: GuestDevice; readonly add: () => void }[] = [];
    const unsupported = new Map<GuestDevice, string>();
    const bindings = this.#bindings;
    for (const one of devices) {
      const { device, bound, rid } = one;
      one.sid = device.dma.requester;
      if (may(NO_PASID, rid)) {
        const plan = this.#plan(one, NO_PASID);
        if (plan.kind === 'unsupported') unsupported.set(device, plan.why ?? '');
        if (plan.key !== rid.key) additions.push({ device, add: () => bindings.attachRid(one, plan.make()) });
      }
      if (!one.pasids) continue;
      for (const pasid of this.#pasidsOf(one)) {
        const now = bound.get(pasid);
        // Requests with PASID 0 cannot be told from those without on the host. LIMIT passthru-pasid-0.
        if (pasid === 0 || !may(pasid, now)) continue;
        const plan = this.#plan(one, pasid);
        if (plan.kind === 'unsupported') unsupported.set(device, plan.why ?? '');
        if (plan.kind === 'blocked' || plan.kind === 'unsupported') bindings.detach(one, pasid);
        else if (plan.key !== now?.key)
          additions.push({ device, add: () => bindings.attachPasid(one, pasid, plan.make()) });
      }
    }
    for (const { device, add } of additions) {
      const refused = bindings.guarded(add);
      if (refused !== undefined) unsupported.set(device, `the host refused: ${refused.message}`);
    }
    for (const [device, why] of unsupported) this.#needs.unsupported(device, why);
    this.#watch();
  }

  #pasidsOf({ sid, bound }: Attached): ReadonlySet<number> {
    const pasids = new Set(bound.keys());
    this.#port.substreams(sid, (ssid) => pasids.add(ssid));
    return pasids;
  }

  /** What a binding is to be on the host; nothing is made yet. */
  #plan(one: Attached, pasid: number): Plan {
    const port = this.#port;
    const out = this.#out;
    const { sid, device } = one;
    const { channel } = device.host;
    port.substream(sid, pasid, out);
    // Where CDs lie behind stage 2 no SubstreamID is looked for: the stream as a whole says so.
    if (pasid === NO_PASID) {
      port.binding(sid, this.#stream);
      if (this.#stream.kind === 'nested') out.kind = 'nested';
    }
    const blocked = () => this.#bindings.blocked(one);
    if (out.kind === 'abort') return { kind: 'blocked', key: '', make: blocked };
    if (out.kind === 'bypass') {
      const none = { own: false, did: 0, pasid: 0, key: 'identity' };
      return {
        kind: 'identity',
        key: none.key,
        make: () => ({ kind: 'identity', hwpt: one.parent, channel, ...none }),
      };
    }
    const why = this.#against(device, out);
    if (why !== undefined) return { kind: 'unsupported', key: '', why, make: blocked };
    const { regime, asid, stalls } = out;
    const tag = { domain: regime, inner: asid, nested: false };
    const faults = stalls || device.wantsFaults();
    const space = `${out.kind} ${regime} ${asid} ${out.key}`;
    const key = `shadow ${space} ${faults}`;
    const wish = { key: space, tag, watched: true, tables: () => port.tables(sid, pasid) };
    const make = () => this.#bindings.shadowed(one, wish, faults, key, 0, pasid);
    return { kind: 'shadow', key, make };
  }

  /** Why a shadow would not do what the guest's tables say. */
  #against({ host }: GuestDevice, { kind, unlike, stalls }: SubstreamBinding): string | undefined {
    const { info, channel } = host;
    if (!channel.shadows)
      return `tables cannot be mapped by channel ${channel.name}: a container has one address space`;
    if (kind === 'nested')
      return 'its STE has both stages (Config 7): what becomes present in stage 2 is not announced (an SMMUv3 has no caching mode)';
    if (unlike !== '') return unlike;
    const holds =
      info.type === HW_INFO_TYPE.ARM_SMMUV3 && (((info.idr[0] ?? 0) >>> STALL_MODEL) & 3) === STALLS_FORCED;
    return stalls && !holds
      ? "the guest wants transactions held, and the host's IOMMU holds none"
      : undefined;
  }

  #watch(): void {
    const wanted = new Set<number>();
    for (const { sid } of this.#devices)
      this.#port.pages(sid, (page) => {
        if (this.#ram.holds(page, 0, 4096)) wanted.add(page);
      });
    for (const page of this.#watched) {
      if (wanted.has(page)) continue;
      this.#ram.unwatch(page, this.#watcher);
      this.#watched.delete(page);
    }
    for (const page of wanted) {
      if (this.#watched.has(page)) continue;
      this.#ram.watch(page, this.#watcher);
      this.#watched.add(page);
    }
  }
}
