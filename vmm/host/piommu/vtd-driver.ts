import { CAP, ECAP } from '../../../viommu/spec/vtd/capabilities.ts';
import {
  FEADDR,
  FECTL,
  FEDATA,
  FEUADDR,
  GCMD,
  GSTS,
  PEADDR,
  PECTL,
  PEDATA,
  PEUADDR,
  RTADDR,
} from '../../../viommu/spec/vtd/registers.ts';
import { PGTT_FIRST, PGTT_NESTED, PGTT_SECOND } from '../../../viommu/spec/vtd/structures.ts';
import { TsvmmError } from '../../core/errors.ts';
import { HW_INFO_TYPE, HWPT_DATA, HWPT_FLAGS } from '../iommufd/abi.ts';
import type { Domain, HostDevice, PageRequest, PagingDomain } from '../iommufd/driver.ts';
import type { UserData } from '../iommufd/user-data.ts';
import { demand, refuse } from '../kernel/errno.ts';
import { encode } from '../kernel/struct.ts';
import { transact } from '../kernel/undo.ts';
import { HW_INFO_VTD, HWPT_VTD_S1, VTD_ERRATUM_READ_ONLY, VTD_S1_FLAGS } from './abi.ts';
import type { PhysicalDevice, PhysicalDriver, UnitFeatures } from './device.ts';
import { PageTable } from './page-table.ts';
import { type Attachment, takeAttachment } from './paging-domain.ts';
import { VTD_FIRST, VTD_SECOND } from './table-formats.ts';
import { TagIds } from './tag-ids.ts';
import type { PhysicalUnit } from './unit.ts';
import { VtdNestedDomain, VtdPagingDomain } from './vtd-domains.ts';
import { VtdFaults } from './vtd-faults.ts';
import { VtdFlusher } from './vtd-flush.ts';
import { VtdInterrupts } from './vtd-interrupts.ts';
import { VtdQueue } from './vtd-queue.ts';
import { PRE, type VtdPlace, VtdTables } from './vtd-tables.ts';

const TE = 0x80000000;
const SRTP = 0x40000000;
const QIE = 0x04000000;
const IRE = 0x02000000;
const SIRTP = 0x01000000;
const LEVEL_BITS = 0x96ffffff;
const TTM_SCALABLE = 1 << 10;
/** Vectors of the unit's interrupts; the host has nothing else. */
const FAULT_VECTOR = 0x20;
const PAGE_VECTOR = 0x21;
const MSI_ADDRESS = 0xfee00000;
/** Domain-id 0 is not used (VT-d: Caching Mode), and 1 is what Linux keeps for itself. */
const FIRST_DID = 2;
const FIRST_STAGE_BITS = 47n;
const FOUR_LEVELS = 48;
const FIVE_LEVELS = 57;
const INTERRUPT_WINDOW = { start: 0xfee00000n, last: 0xfeefffffn };
const KNOWN_FLAGS = HWPT_FLAGS.NEST_PARENT | HWPT_FLAGS.DIRTY_TRACKING | HWPT_FLAGS.PASID;
const ALL_S1_FLAGS = VTD_S1_FLAGS.SRE | VTD_S1_FLAGS.EAFE | VTD_S1_FLAGS.WPE;
const PRESENT = 1;
const SSADE = 1 << 9;
const PWSNP = 1 << 23;
/** Of word 4 of a PASID-table entry. */
const SRE = 1;
const FIVE_LEVEL_MODE = 1 << 2;
const WPE = 1 << 4;
const NXE = 1 << 5;
const EAFE = 1 << 7;

export interface VtdDriverOptions {
  /** Sapphire Rapids' erratum: parents of nesting have no read-only mappings, and user space is told. */
  readonly readOnlyErratum?: boolean;
  /** CAP and ECAP as user space is told them, where the unit's own say more, or tell of what makes no difference. */
  readonly identity?: { readonly CAP: Uint32Array; readonly ECAP: Uint32Array };
}

/** The host's driver of one VT-d unit: it does with registers, tables and queue what Linux' driver does. */
export class VtdHostDriver implements PhysicalDriver {
  readonly name: string;
  readonly unit: PhysicalUnit;
  readonly features: UnitFeatures;
  readonly interrupts: VtdInterrupts;
  readonly #cap: Record<keyof typeof CAP.fields & string, number>;
  readonly #ecap: Record<keyof typeof ECAP.fields & string, number>;
  readonly #scalable: boolean;
  readonly #levels: number;
  readonly #tables: VtdTables;
  readonly #queue: VtdQueue;
  readonly #flusher: VtdFlusher;
  readonly #faults: VtdFaults;
  readonly #dids: TagIds;
  readonly #places = new Map<PhysicalDevice, VtdPlace>();
  readonly #erratum: boolean;
  readonly #identity: { readonly CAP: Uint32Array; readonly ECAP: Uint32Array };

  /** Brings the unit up: from here on every function behind it is blocked. Throws ENOMEM. @throws TsvmmError where it cannot be driven */
  constructor(unit: PhysicalUnit, options: VtdDriverOptions = {}) {
    this.unit = unit;
    this.name = `intel-iommu ${unit.id}`;
    this.#erratum = options.readOnlyErratum ?? false;
    const own = { CAP: registerWords(unit, CAP.offset), ECAP: registerWords(unit, ECAP.offset) };
    this.#identity = options.identity ?? own;
    this.#cap = CAP.decode(this.#identity.CAP);
    this.#ecap = ECAP.decode(this.#identity.ECAP);
    const { SMTS, SSTS, FSTS, QI } = this.#ecap;
    this.#levels = levelsOf(this.#cap.SAGAW);
    this.#scalable = SMTS === 1;
    if (QI === 0 || this.#levels === 0 || (this.#scalable && SSTS === 0 && FSTS === 0)) {
      throw new TsvmmError({
        code: 'unusable-unit',
        object: unit.id,
        why: 'the unit has no queued invalidation, or no page tables',
        mend: 'give it QI and SAGAW',
      });
    }
    this.features = this.#featuresOf();
    const { memory } = unit;
    this.#tables = new VtdTables(memory, this.#scalable);
    this.#queue = new VtdQueue(unit, this.#scalable);
    this.#dids = new TagIds('domain-id', FIRST_DID, 2 ** (4 + 2 * this.#cap.ND));
    const limits = {
      pageSelective: this.#cap.PSI === 1,
      maxOrder: Math.min(this.#cap.MAMV, CAP.get.MAMV(own.CAP, 0)),
    };
    this.#flusher = new VtdFlusher(this.#queue, limits, (attachment, enable) =>
      this.#setTracking(attachment, enable),
    );
    this.#faults = new VtdFaults(unit, this.#queue, this.#ecap.PRS === 1, (requester) =>
      this.#deviceOf(requester),
    );
    this.interrupts = new VtdInterrupts(unit, this.#queue, this.#ecap.IR === 1);
    this.#start();
  }

  /** Takes the unit down, as before a restart of the host: nothing is attached any more. */
  stop(): void {
    for (const device of [...this.#places.keys()]) this.release(device);
    this.#command(TE, false);
    this.#command(IRE, false);
    this.#command(QIE, false);
    this.interrupts.free();
    this.#faults.free();
    this.#queue.free();
    this.#tables.free();
    this.unit.onInterrupt = () => {};
  }

  /** Faults that the unit has recorded. */
  get recordedFaults(): number {
    return this.#faults.recorded;
  }

  // Devices.

  probe(device: PhysicalDevice): void {
    device.group.join(device);
    this.#places.set(device, this.#tables.enter(device.requester, device.pasidWidth, device.ats));
    device.controls.pasid?.(device.pasidWidth > 0);
    device.controls.ats?.(device.ats);
  }

  release(device: PhysicalDevice): void {
    const place = this.#placeOf(device);
    for (const pasid of [...device.attached.keys()]) this.#blockOne(device, pasid);
    device.controls.ats?.(false);
    device.controls.pasid?.(false);
    this.#tables.leave(place);
    this.#flusher.context(device.requester);
    this.#tables.forget(place);
    this.#places.delete(device);
    device.group.leave(device);
  }

  hwInfo() {
    const bytes = encode(HW_INFO_VTD, {
      flags: this.#erratum ? VTD_ERRATUM_READ_ONLY : 0,
      cap_reg: wide(this.#identity.CAP),
      ecap_reg: wide(this.#identity.ECAP),
    });
    return { type: HW_INFO_TYPE.INTEL_VTD, bytes };
  }

  offersInfo(_device: HostDevice, type: number): boolean {
    return type === HW_INFO_TYPE.INTEL_VTD;
  }

  // Domains.

  /** The first stage unless what only a second one has is asked for. */
  allocPaging(device: HostDevice, flags: number, data: UserData | undefined): VtdPagingDomain {
    demand((flags & ~KNOWN_FLAGS) === 0, 'EOPNOTSUPP', 'unknown flags');
    demand(data === undefined, 'EOPNOTSUPP', 'a page table of the host takes no data');
    const nestParent = (flags & HWPT_FLAGS.NEST_PARENT) !== 0;
    const dirtyTracking = (flags & HWPT_FLAGS.DIRTY_TRACKING) !== 0;
    demand(!nestParent || this.#nests, 'EOPNOTSUPP', `${this.unit.id} does not nest`);
    demand(
      !dirtyTracking || this.features.dirtyTracking,
      'EOPNOTSUPP',
      `${this.unit.id} keeps no dirty bits`,
    );
    demand(
      (flags & HWPT_FLAGS.PASID) === 0 || device.pasidWidth > 0,
      'EOPNOTSUPP',
      `${device.name} has no PASIDs`,
    );
    const wantsSecond = nestParent || dirtyTracking;
    const first = this.#scalable && this.#ecap.FSTS === 1 && !wantsSecond;
    const { memory } = this.unit;
    const largest = first ? 1 + this.#cap.FS1GP : [0, 1, 1, 2][this.#cap.SSLPS & 3]!;
    const shape = first ? { levels: 4, top: 1 } : { levels: this.#levels, top: 1 };
    const bits = BigInt(Math.min(this.#cap.MGAW + 1, 12 + 9 * this.#levels));
    return new VtdPagingDomain({
      flusher: this.#flusher,
      table: new PageTable(memory, first ? VTD_FIRST : VTD_SECOND, shape, largest),
      stage: first ? 'first' : 'second',
      aperture: { start: 0n, last: (1n << (first ? FIRST_STAGE_BITS : bits)) - 1n },
      nestParent,
      dirtyTracking,
      refusesReadOnly: nestParent && this.#erratum,
      reaches: (physical, length) => memory.host.reaches(physical, length),
    });
  }

  allocNested(_device: HostDevice, parent: PagingDomain, flags: number, data: UserData): VtdNestedDomain {
    demand(this.#nests, 'EOPNOTSUPP', `${this.unit.id} does not nest`);
    demand((flags & ~HWPT_FLAGS.PASID) === 0, 'EOPNOTSUPP', 'a nested page table knows only the flag PASID');
    demand(data.type === HWPT_DATA.VTD_S1, 'EOPNOTSUPP', `VT-d takes no data of type ${data.type}`);
    const { flags: s1, pgtbl_addr, addr_width, reserved } = data.read(HWPT_DATA.VTD_S1, HWPT_VTD_S1);
    demand(
      (s1 & ~ALL_S1_FLAGS) === 0n && reserved === 0,
      'EOPNOTSUPP',
      'unknown flags of a first-stage table',
    );
    if (!(parent instanceof VtdPagingDomain)) refuse('EINVAL', 'the parent is of another driver');
    return new VtdNestedDomain(parent, { flags: s1, top: pgtbl_addr, width: addr_width }, this.#flusher);
  }

  // Attachments.

  attach(host: HostDevice, pasid: number, domain: Domain): void {
    const device = host as PhysicalDevice;
    const own = this.#own(domain);
    demand(pasid === 0 || this.#scalable, 'EOPNOTSUPP', `${this.unit.id} is in legacy mode`);
    this.unit.settle();
    if (own.kind === 'nested') this.#checkNested(own);
    const members = device.group.membersWith(device, pasid);
    transact((undo) => {
      this.#hold(own, undo);
      // Room for the entries of all: after this nothing can fail.
      if (this.#scalable) {
        for (const member of members) {
          if (member.attached.has(pasid)) continue;
          const place = this.#placeOf(member);
          this.#tables.take(place, pasid);
          undo(() => this.#tables.give(place, pasid));
        }
      }
    });
    for (const member of members) {
      if (member.attached.has(pasid)) this.#clear(member, pasid, true);
      this.#write(member, pasid, own);
    }
  }

  detach(host: HostDevice, pasid: number): void {
    this.unit.settle();
    for (const member of (host as PhysicalDevice).group.members) this.#blockOne(member, pasid);
  }

  enableFaults(host: HostDevice): void {
    const device = host as PhysicalDevice;
    demand(device.pri, 'ENODEV', `${device.name} cannot ask for pages`);
    this.#setPageRequests(device, true);
    device.controls.pri?.(true);
  }

  disableFaults(host: HostDevice): void {
    const device = host as PhysicalDevice;
    this.unit.settle();
    device.controls.pri?.(false);
    this.#setPageRequests(device, false);
    this.#faults.abandon(device);
  }

  respond(host: HostDevice, fault: PageRequest, success: boolean): void {
    this.#faults.respond(host as PhysicalDevice, fault, success);
  }

  get #nests(): boolean {
    return this.#scalable && this.#ecap.NEST === 1;
  }

  /** Domains of other units have other tables and other tags. */
  #own(domain: Domain): VtdPagingDomain | VtdNestedDomain {
    if (domain instanceof VtdPagingDomain && domain.isOf(this.#flusher)) return domain;
    if (domain instanceof VtdNestedDomain && domain.parent.isOf(this.#flusher)) return domain;
    return refuse('EINVAL', `the page table was not made for ${this.unit.id}`);
  }

  /** VT-d: what hardware there is decides when the table is attached. */
  #checkNested({ config: { flags, width } }: VtdNestedDomain): void {
    const fiveLevels = width === FIVE_LEVELS && this.#cap.FS5LP === 1;
    demand(width === FOUR_LEVELS || fiveLevels, 'EINVAL', `the unit walks no first stage of ${width} bits`);
    const supervisor = (flags & (VTD_S1_FLAGS.SRE | VTD_S1_FLAGS.WPE)) !== 0n;
    demand(!supervisor || this.#ecap.SRS === 1, 'EINVAL', 'the unit has no supervisor requests');
    demand(
      (flags & VTD_S1_FLAGS.EAFE) === 0n || this.#ecap.EAFS === 1,
      'EINVAL',
      'the unit has no extended accessed flag',
    );
  }

  /** A domain-id while it is attached; counted by its attachments. Throws ENOSPC. */
  #hold(domain: VtdPagingDomain | VtdNestedDomain, undo: (step: () => void) => void): void {
    if (domain.did !== 0) return;
    domain.did = this.#dids.take();
    if (domain.kind === 'nested') domain.parent.children.add(domain);
    undo(() => this.#drop(domain));
  }

  #drop(domain: VtdPagingDomain | VtdNestedDomain): void {
    if (domain.attachments.length > 0) return;
    this.#dids.give(domain.did);
    domain.did = 0;
    if (domain.kind === 'nested') domain.parent.children.delete(domain);
  }

  #write(device: PhysicalDevice, pasid: number, domain: VtdPagingDomain | VtdNestedDomain): void {
    const place = this.#placeOf(device);
    const { memory } = this.unit;
    if (this.#scalable) memory.storeWords(this.#tables.entry(place, pasid), this.#pasidEntry(domain));
    else memory.storeWords(place.context, this.#contextEntry(device, domain as VtdPagingDomain));
    domain.attachments.push({ device, pasid });
    device.attached.set(pasid, domain);
  }

  #blockOne(device: PhysicalDevice, pasid: number): void {
    if (device.attached.has(pasid)) this.#clear(device, pasid, false);
  }

  /**
   * Takes an entry away before another is written (VT-d: a present entry is never changed). First not present and nothing else,
   * then the invalidations, then the rest. `keeps`: the place in its table is used again at once.
   */
  #clear(device: PhysicalDevice, pasid: number, keeps: boolean): void {
    const place = this.#placeOf(device);
    const { memory } = this.unit;
    const domain = device.attached.get(pasid) as VtdPagingDomain | VtdNestedDomain;
    const at = this.#scalable ? this.#tables.entry(place, pasid) : place.context;
    memory.store(at, memory.load(at) & ~PRESENT);
    const attachment = takeAttachment(domain.attachments, device, pasid);
    const firstStageOnly = domain.kind === 'paging' && domain.stage === 'first';
    if (this.#scalable) this.#flusher.gone(domain, attachment, firstStageOnly);
    else this.#flusher.goneContext(domain, attachment);
    memory.ram.u32.fill(0, at >>> 2, (at >>> 2) + (this.#scalable ? 16 : 4));
    device.attached.delete(pasid);
    this.#faults.forget(device, pasid);
    if (this.#scalable && !keeps) this.#tables.give(place, pasid);
    this.#drop(domain);
  }

  #pasidEntry(domain: VtdPagingDomain | VtdNestedDomain): Uint32Array {
    const words = new Uint32Array(16);
    const snoops = this.#ecap.SMPWCS === 1 ? PWSNP : 0;
    words[2] = domain.did | snoops;
    if (domain.kind === 'paging' && domain.stage === 'first') {
      words[0] = PRESENT | (PGTT_FIRST << 6) | ((this.#levels - 2) << 2);
      words[4] = domain.table.root | NXE;
      return words;
    }
    const second = domain.kind === 'paging' ? domain : domain.parent;
    const type = domain.kind === 'paging' ? PGTT_SECOND : PGTT_NESTED;
    const tracks = second.tracking ? SSADE : 0;
    words[0] = PRESENT | (type << 6) | ((second.table.levels - 2) << 2) | tracks | second.table.root;
    if (domain.kind === 'nested') {
      const { flags, top, width } = domain.config;
      const mode = width === FIVE_LEVELS ? FIVE_LEVEL_MODE : 0;
      const sre = (flags & VTD_S1_FLAGS.SRE) !== 0n ? SRE : 0;
      const wpe = (flags & VTD_S1_FLAGS.WPE) !== 0n ? WPE : 0;
      const eafe = (flags & VTD_S1_FLAGS.EAFE) !== 0n ? EAFE : 0;
      words[4] = (Number(top & 0xfffff000n) | NXE | mode | sre | wpe | eafe) >>> 0;
      words[5] = Number(top >> 32n);
    }
    return words;
  }

  #contextEntry(device: PhysicalDevice, domain: VtdPagingDomain): number[] {
    const type = device.ats ? 1 : 0;
    return [domain.table.root | (type << 2) | PRESENT, 0, (this.#levels - 2) | (domain.did << 8), 0];
  }

  #setTracking({ device, pasid }: Attachment, enable: boolean): void {
    const { memory } = this.unit;
    const at = this.#tables.entry(this.#placeOf(device), pasid);
    const word = memory.load(at);
    memory.store(at, enable ? word | SSADE : word & ~SSADE);
  }

  #setPageRequests(device: PhysicalDevice, enable: boolean): void {
    const { memory } = this.unit;
    const { context } = this.#placeOf(device);
    const word = memory.load(context);
    memory.store(context, enable ? word | PRE : word & ~PRE);
    this.#flusher.context(device.requester);
  }

  #placeOf(device: PhysicalDevice): VtdPlace {
    return this.#places.get(device) ?? refuse('ENODEV', `${device.name} is not there`);
  }

  #deviceOf(requester: number): PhysicalDevice | undefined {
    for (const device of this.#places.keys()) if (device.requester === requester) return device;
    return undefined;
  }

  #featuresOf(): UnitFeatures {
    const { PASID, PSS, ERS, SRS, DT, PRS, SSADS } = this.#ecap;
    const pasids = this.#scalable && PASID === 1;
    return {
      pasidWidth: pasids ? PSS + 1 : 0,
      pasidExec: pasids && ERS === 1,
      pasidPriv: pasids && SRS === 1,
      ats: DT === 1,
      pri: this.#scalable && PRS === 1,
      stalls: false,
      isolatedMsi: this.#ecap.IR === 1,
      dirtyTracking: this.#scalable && SSADS === 1,
      reserved: [INTERRUPT_WINDOW],
    };
  }

  /** VT-d: Software initialization: root table, caches, queue, then translation. */
  #start(): void {
    const { unit } = this;
    unit.onInterrupt = (vector) => this.#faults.interrupt(vector === PAGE_VECTOR);
    for (const [data, address, upper, control, vector] of [
      [FEDATA, FEADDR, FEUADDR, FECTL, FAULT_VECTOR],
      [PEDATA, PEADDR, PEUADDR, PECTL, PAGE_VECTOR],
    ] as const) {
      unit.write(data.offset, vector);
      unit.write(address.offset, MSI_ADDRESS);
      unit.write(upper.offset, 0);
      unit.write(control.offset, 0);
    }
    unit.writeWide(RTADDR.offset, this.#tables.root | (this.#scalable ? TTM_SCALABLE : 0), 0);
    this.#command(SRTP, true);
    this.#command(QIE, true);
    if (this.#ecap.IR === 1) {
      this.#command(SIRTP, true);
      this.#queue.interruptsGlobal();
    }
    this.#queue.contextGlobal();
    if (this.#scalable) this.#queue.pasidCacheGlobal();
    this.#queue.iotlbGlobal();
    this.#queue.wait();
    if (this.#ecap.IR === 1) this.#command(IRE, true);
    this.#command(TE, true);
  }

  /** One command at a time; one-shots do not show in what is written next. */
  #command(bit: number, on: boolean): void {
    const now = this.unit.read(GSTS.offset) & LEVEL_BITS;
    this.unit.write(GCMD.offset, on ? now | bit : now & ~bit);
  }
}

function registerWords(unit: PhysicalUnit, offset: number): Uint32Array {
  return Uint32Array.of(unit.read(offset), unit.read(offset + 4));
}

function wide(words: Uint32Array): bigint {
  return BigInt(words[0]!) | (BigInt(words[1]!) << 32n);
}

/** Levels of the widest second-stage table that the unit walks; 0: none. */
function levelsOf(sagaw: number): number {
  return (sagaw & 8) !== 0 ? 5 : (sagaw & 4) !== 0 ? 4 : (sagaw & 2) !== 0 ? 3 : 0;
}
