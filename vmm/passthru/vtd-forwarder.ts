import {
  ANY,
  type VtdBackend,
  type VtdBinding,
  type VtdPort,
  vtdBinding,
  WHOLE,
} from '../../viommu/port/vtd.ts';
import { NO_PASID } from '../bus/dma.ts';
import { HWPT_FLAGS } from '../host/iommufd/abi.ts';
import type { GuestRam } from '../mem/ram.ts';
import type { AddressSpace } from './address-space.ts';
import type { FirstStage } from './channel.ts';
import { CommandPasids, takesCommands } from './command-pasids.ts';
import type { Bound, ForwarderNeeds, GuestDevice } from './guest-device.ts';
import { type Holding, HostBindings, usersOf } from './host-bindings.ts';
import type { PassthroughLog } from './log.ts';
import { Shadows } from './shadows.ts';
import { VtdInvalidations } from './vtd-invalidations.ts';

/** Flags of a VT-d first stage in iommufd (Linux, include/uapi/linux/iommufd.h: enum iommu_hwpt_vtd_s1_flags). */
const SRE = 1;
const EAFE = 2;
const WPE = 4;

/** A device behind the forwarder: what it is attached to now. */
interface Attached extends Holding {
  /** The host walks first stages of the guest; otherwise they are mapped page by page. */
  readonly nests: boolean;
  /** The requester id that it was looked at under. */
  sid: number;
  /** Its context entry in scalable mode as it was last announced; undefined: there was none, or it was not good. */
  context: Uint32Array | undefined;
}

/** What a binding is to become. */
interface Plan {
  readonly kind: Bound['kind'] | 'unsupported';
  readonly key: string;
  readonly why?: string;
  readonly make: () => Bound;
}

/**
 * A guest's VT-d unit in front of physical ones: for each requester and PASID with a first-stage entry a page table of iommufd, on
 * top of the guest's RAM, where the host nests; for other tables a shadow. What is announced is looked at again: entries that went
 * or changed are taken off the host before others are put on, and a requester is never attached to nothing.
 */
export class VtdForwarder implements VtdBackend {
  readonly #port: VtdPort | undefined;
  readonly #ram: GuestRam;
  readonly #needs: ForwarderNeeds;
  readonly #devices: Attached[] = [];
  readonly #bindings: HostBindings;
  readonly #out: VtdBinding = vtdBinding();
  readonly #invalidations: VtdInvalidations;
  /** With caching mode off: pages that a store could make an entry present in; of a PASID table, with its first PASID. */
  readonly #watched = new Map<number, number>();
  readonly #watcher = {
    stored: (address: number, bytes: number) => this.#stored(address, bytes),
  };
  /** Structures were stored to since they were looked at last: any of them, or only entries of these PASIDs. */
  #stale = false;
  readonly #stalePasids = new Set<number>();
  /** PASIDs in commands to devices that take such. */
  readonly commands = new CommandPasids({
    bind: (guest) => this.#bindCommands(guest),
    isBound: (guest) => this.#devices.some(({ bound }) => bound.has(guest)),
  });

  /** @param port absent: the guest has no IOMMU, and devices use its physical addresses */
  constructor(
    space: AddressSpace,
    port: VtdPort | undefined,
    ram: GuestRam,
    log: PassthroughLog,
    needs: ForwarderNeeds,
  ) {
    this.#port = port;
    this.#ram = ram;
    this.#needs = needs;
    this.#invalidations = new VtdInvalidations(space, log);
    const shadows = new Shadows(space, ram, (shadow, why) => {
      for (const device of usersOf(shadow, this.#devices)) needs.unsupported(device, why);
    });
    this.#bindings = new HostBindings(space, log, needs, shadows, this.commands);
  }

  /** Takes a device on. @param nests with its host's nesting; else by shadows @throws HostRefused where the host cannot do it */
  add(device: GuestDevice, nests: boolean): void {
    // Without a vIOMMU nothing is ever nested, and a host that cannot nest will do.
    const nest = this.#port === undefined || !nests ? 0 : HWPT_FLAGS.NEST_PARENT;
    const held = this.#bindings.hold(device, nest);
    const attached: Attached = { ...held, nests, sid: device.dma.requester, context: undefined };
    this.#devices.push(attached);
    if (takesCommands(attached)) this.commands.add(device);
    this.#refresh([attached], () => true);
  }

  /** Lets go of a device: it is attached to nothing of the guest's any more. */
  remove(device: GuestDevice): void {
    this.commands.remove(device);
    const at = this.#devices.findIndex((one) => one.device === device);
    const attached = this.#devices[at];
    if (attached === undefined) return;
    this.sync();
    this.#bindings.release(attached);
    this.#devices.splice(at, 1);
  }

  /** Lets go of all devices, and of all that the host has for them. Commands on their way keep their PASIDs. */
  clear(): void {
    this.sync();
    this.#bindings.clear(this.#devices.splice(0));
    for (const page of this.#watched.keys()) this.#ram.unwatch(page, this.#watcher);
    this.#watched.clear();
    this.#stale = false;
    this.#stalePasids.clear();
  }

  /** How it is served, as a whole; undefined: it is not here. */
  modeOf(device: GuestDevice): 'nested' | 'shadow' | undefined {
    const found = this.#devices.find((one) => one.device === device);
    return found && (found.nests ? 'nested' : 'shadow');
  }

  /** What is attached for a device: by PASID, -1 the requester itself. */
  attachments(device: GuestDevice): readonly (readonly [pasid: number, bound: Bound])[] {
    const attached = this.#devices.find((one) => one.device === device);
    if (attached === undefined) return [];
    return [[NO_PASID, attached.rid], ...attached.bound];
  }

  remappingChanged(): void {
    this.#refresh(this.#devices, () => true);
  }

  contextsChanged(sid: number, free: number): void {
    const hit = this.#devices.filter(({ device }) => (device.dma.requester & ~free) === (sid & ~free));
    // An entry that is the same says nothing of the PASIDs under it: those are announced apart.
    const other = hit.filter((one) => this.#hasOtherContext(one));
    if (other.length > 0) this.#refresh(other, () => true);
    if (other.length < hit.length) this.#refresh(hit, isAbsent, false);
  }

  #hasOtherContext({ device, context }: Attached): boolean {
    if (context === undefined) return true;
    this.#look(device.dma.requester, NO_PASID);
    return context.some((word, i) => word !== this.#out.context[i]);
  }

  pasidsChanged(did: number, pasid: number): void {
    const may = (bound: Bound | undefined, number: number) => {
      if (pasid !== ANY && number !== pasid) return false;
      return bound === undefined || did === ANY || bound.did === did;
    };
    this.#refresh(this.#devices, may, false);
  }

  /** First stages lose everything of the domain, whatever the address is (VT-d: IOTLB Invalidate Descriptor). */
  domainInvalidated(did: number, lo: number, hi: number, order: number): void {
    for (const shadow of [...this.#bindings.shadows.all]) {
      if (did !== ANY && shadow.tag.domain !== did) continue;
      if (order < WHOLE && shadow.tag.inner === NO_PASID) shadow.invalidate(lo, hi, order);
      else shadow.replay();
    }
    for (const { rid, bound } of this.#devices) {
      if (did === ANY || rid.did === did) this.#invalidate(rid, 0, 0, WHOLE, false);
      for (const one of bound.values())
        if (did === ANY || one.did === did) this.#invalidate(one, 0, 0, WHOLE, false);
    }
  }

  pasidInvalidated(did: number, pasid: number, lo: number, hi: number, order: number, leaf: boolean): void {
    for (const shadow of [...this.#bindings.shadows.all]) {
      const { domain, inner } = shadow.tag;
      if (domain !== did || inner !== pasid) continue;
      if (order >= WHOLE) shadow.replay();
      else shadow.invalidate(lo, hi, order);
    }
    for (const { rid, bound } of this.#devices) {
      if (rid.pasid === pasid && rid.did === did) this.#invalidate(rid, lo, hi, order, leaf);
      const one = bound.get(pasid);
      if (one !== undefined && one.did === did) this.#invalidate(one, lo, hi, order, leaf);
    }
  }

  sync(): void {
    this.#invalidations.flush();
  }

  /** The device is to have no translations any more: the host drops them along with those of its own. */
  forget(device: GuestDevice): void {
    for (const [, bound] of this.attachments(device)) this.#invalidate(bound, 0, 0, WHOLE, false);
    this.#invalidations.flush();
  }

  /** Before something of the guest reaches a device: entries that became present without a word (CAP.CM = 0) count from now. */
  settle(): void {
    // From the last: one that moves to another path leaves the list.
    for (let i = this.#devices.length - 1; i >= 0; i--) {
      const one = this.#devices[i]!;
      if (one.sid !== one.device.dma.requester) this.#refresh([one], () => true);
    }
    this.#bindings.shadows.settle();
    if (!this.#stale && this.#stalePasids.size === 0) return;
    const only = this.#stale ? undefined : [...this.#stalePasids];
    this.#stale = false;
    this.#stalePasids.clear();
    this.#refresh(this.#devices, isAbsent, false, only);
  }

  #stored(address: number, bytes: number): void {
    const first = this.#watched.get((address & -4096) >>> 0) ?? NO_PASID;
    if (first === NO_PASID) {
      this.#stale = true;
      return;
    }
    const last = (address + bytes - 1) & 4095;
    for (let entry = (address & 4095) >>> 6; entry <= last >>> 6; entry++)
      this.#stalePasids.add(first + entry);
  }

  /** The device has asked for a page, or was refused it. */
  refusedAt(device: GuestDevice, pasid: number, lo: number, hi: number): void {
    const attached = this.#devices.find((one) => one.device === device);
    const bound = pasid === NO_PASID ? attached?.rid : attached?.bound.get(pasid);
    bound?.shadow?.refusedAt(lo, hi);
  }

  #invalidate(bound: Bound, lo: number, hi: number, order: number, leaf: boolean): void {
    if (bound.kind === 'nested') this.#invalidations.add(bound.channel, bound.hwpt, lo, hi, order, leaf);
  }

  /**
   * Looks at the structures again, for those bindings that `may` change; `bound` is what there is of a PASID now. Removals of all
   * devices come first.
   * @param contexts whether context entries were announced, too; otherwise those count that were last
   * @param only nothing but entries of these PASIDs can be another than before
   */
  #refresh(
    devices: readonly Attached[],
    may: (bound: Bound | undefined, pasid: number) => boolean,
    contexts = true,
    only?: readonly number[],
  ): void {
    this.sync();
    const additions: { readonly device: GuestDevice; readonly add: () => void }[] = [];
    const unsupported = new Map<GuestDevice, string>();
    for (const one of devices) {
      const { device, bound } = one;
      const requester = device.dma.requester;
      one.sid = requester;
      if (contexts) one.context = undefined;
      this.#look(requester, NO_PASID, one.context);
      if (this.#out.context[0] !== 0) one.context ??= this.#out.context.slice();
      if (may(one.rid, this.#out.pasid) || one.rid.kind === 'blocked') {
        const plan = this.#plan(one, this.#out, NO_PASID);
        if (plan.kind === 'unsupported') unsupported.set(device, plan.why ?? '');
        if (plan.key !== one.rid.key)
          additions.push({ device, add: () => this.#bindings.attachRid(one, plan.make()) });
      }
      if (!one.pasids) continue;
      for (const pasid of only ?? this.#pasidsOf(one)) {
        const now = bound.get(pasid);
        // Requests with PASID 0 cannot be told from those without on the host. LIMIT passthru-pasid-0.
        if (pasid === 0 || !may(now, pasid)) continue;
        this.#look(requester, pasid, one.context);
        const plan = this.#plan(one, this.#out, pasid);
        if (plan.kind === 'unsupported') unsupported.set(device, plan.why ?? '');
        if (plan.kind === 'blocked' || plan.kind === 'unsupported') {
          if (now !== undefined) this.#bindings.detach(one, pasid);
        } else if (plan.key !== now?.key)
          additions.push({ device, add: () => this.#bindings.attachPasid(one, pasid, plan.make()) });
      }
    }
    for (const { device, add } of additions) {
      const refused = this.#bindings.guarded(add);
      if (refused !== undefined) unsupported.set(device, `the host refused: ${refused.message}`);
    }
    for (const [device, why] of unsupported) this.#needs.unsupported(device, why);
    if (only === undefined && this.#port?.cachingMode === false) this.#watch(this.#port);
  }

  /** Those that are bound, and those that have an entry. */
  #pasidsOf({ device, bound, context }: Attached): ReadonlySet<number> {
    const pasids = new Set(bound.keys());
    this.#port?.pasids(device.dma.requester, (pasid) => pasids.add(pasid), context);
    return pasids;
  }

  #look(requester: number, pasid: number, held?: Uint32Array): void {
    if (this.#port === undefined) {
      this.#out.kind = 'identity';
      return;
    }
    this.#port.binding(requester, pasid, this.#out, held);
  }

  /**
   * What a binding is to be on the host; nothing is made yet.
   * @param asked the PASID, or NO_PASID
   */
  #plan(one: Attached, out: VtdBinding, asked: number): Plan {
    const { did, pasid } = out;
    const { channel } = one.device.host;
    if (out.kind === 'identity') {
      const bound = { kind: 'identity', hwpt: one.parent, channel, own: false, did, pasid } as const;
      const key = `identity ${did} ${pasid}`;
      return { kind: 'identity', key, make: () => ({ ...bound, key }) };
    }
    if (out.kind === 'blocked') return { kind: 'blocked', key: '', make: () => this.#bindings.blocked(one) };
    if (asked !== NO_PASID && this.commands.keeps(one, asked)) {
      const why = `the guest binds PASID ${asked}, which its commands (ENQCMD) with another one have on the host`;
      return { kind: 'unsupported', key: '', why, make: () => this.#bindings.blocked(one) };
    }
    if (out.kind !== 'first-stage' || !one.nests) return this.#shadowPlan(one, out, asked);
    const stage: FirstStage = {
      pgd: (BigInt(out.firstHi >>> 0) << 32n) | BigInt(out.firstLo >>> 0),
      flags: (out.supervisor ? SRE : 0) | (out.extendedAccessed ? EAFE : 0) | (out.writeProtect ? WPE : 0),
      width: out.levels === 5 ? 57 : 48,
    };
    const faults = out.pageRequests;
    const key = `nested ${did} ${pasid} ${stage.pgd} ${stage.flags} ${stage.width} ${faults}`;
    const make = () => {
      if (faults) this.#needs.faultsWanted();
      const hwpt = channel.vtdNested(one.device.host, one.parent, stage, one.pasids, faults);
      return { kind: 'nested', hwpt, channel, own: true, did, pasid, key } as const;
    };
    return { kind: 'nested', key, make };
  }

  /** The tables of a binding, mapped page by page. */
  #shadowPlan(one: Attached, out: VtdBinding, asked: number): Plan {
    const port = this.#port!;
    const { did, pasid, kind } = out;
    const { channel } = one.device.host;
    if (!channel.shadows) {
      const why = `tables of the guest that the host does not walk (${kind}) cannot be mapped by channel ${channel.name}: a container has one address space`;
      return { kind: 'unsupported', key: '', why, make: () => this.#bindings.blocked(one) };
    }
    const nested = kind === 'nested';
    if (nested && !port.cachingMode) {
      const why = `the guest nests tables itself for it (PASID ${pasid}), and does not announce what becomes present (CAP.CM, bit 7, of the vIOMMU is 0)`;
      return { kind: 'unsupported', key: '', why, make: () => this.#bindings.blocked(one) };
    }
    const second = kind === 'second-stage';
    const tag = { domain: did, inner: second ? NO_PASID : pasid, nested };
    const first = second ? [] : [pasid, out.firstLo, out.firstHi, out.levels, out.writeProtect];
    const rights = second ? [] : [out.privileged, out.supervisor];
    const under = [out.secondLo, out.secondHi, out.width];
    const parts = [kind, did, out.walkMode, ...first, ...rights, ...(kind === 'first-stage' ? [] : under)];
    const space = parts.join(' ');
    const faults = out.pageRequests;
    const key = `shadow ${space} ${faults}`;
    // First stages are not announced even in caching mode (VT-d: Caching Mode).
    const watched = !second || !port.cachingMode;
    const requester = one.device.dma.requester;
    const tables = () => port.tables(requester, asked, one.context);
    const wish = { key: space, tag, watched, tables };
    const make = () => this.#bindings.shadowed(one, wish, faults, key, did, pasid);
    return { kind: 'shadow', key, make };
  }

  /** Commands have the PASID from now on: devices that it is bound for are to know it. */
  #bindCommands(pasid: number): void {
    for (const one of [...this.#devices]) {
      const refused = this.#bindings.guarded(() => this.#bindings.attachAlias(one, pasid));
      if (refused !== undefined) this.#needs.unsupported(one.device, `the host refused: ${refused.message}`);
    }
  }

  #watch(port: VtdPort): void {
    const wanted = new Map<number, number>();
    // A page that is several things at once is looked at as a whole.
    const see = (page: number, pasid: number) => {
      if (!this.#ram.holds(page, 0, 4096)) return;
      wanted.set(page, wanted.has(page) && wanted.get(page) !== pasid ? NO_PASID : pasid);
    };
    for (const { device } of this.#devices) port.pages(device.dma.requester, see);
    for (const page of this.#watched.keys()) {
      if (wanted.has(page)) continue;
      this.#ram.unwatch(page, this.#watcher);
      this.#watched.delete(page);
    }
    for (const [page, pasid] of wanted) {
      if (!this.#watched.has(page)) this.#ram.watch(page, this.#watcher);
      this.#watched.set(page, pasid);
    }
  }
}

/** Entries that become present need no announcement with caching mode off. */
function isAbsent(bound: Bound | undefined): boolean {
  return bound === undefined || bound.kind === 'blocked';
}
