import {
  AIDR,
  CR0,
  CR1,
  CR2,
  IDR0,
  IDR1,
  IDR2,
  IDR3,
  IDR4,
  IDR5,
  IIDR,
  IRQ_CTRL,
  STRTAB_BASE,
  STRTAB_BASE_CFG,
} from '../../../viommu/spec/smmuv3/registers.ts';
import {
  ADDRESS_SIZES,
  CONFIG_BYPASS,
  CONFIG_NESTED,
  CONFIG_S1,
  CONFIG_S2,
} from '../../../viommu/spec/smmuv3/structures.ts';
import { TsvmmError } from '../../core/errors.ts';
import { HW_INFO_TYPE, HWPT_FLAGS } from '../iommufd/abi.ts';
import type { Domain, DriverViommu, HostDevice, PageRequest, PagingDomain } from '../iommufd/driver.ts';
import type { UserData } from '../iommufd/user-data.ts';
import { demand, refuse } from '../kernel/errno.ts';
import { encode } from '../kernel/struct.ts';
import { transact } from '../kernel/undo.ts';
import { HW_INFO_SMMUV3, SMMU_ERRATUM_TWICE, VIOMMU_SMMUV3 } from './abi.ts';
import type { PhysicalDevice, PhysicalDriver, UnitFeatures } from './device.ts';
import { PageTable, shapeOf } from './page-table.ts';
import { takeAttachment } from './paging-domain.ts';
import { EVERY_PAGE } from './ranges.ts';
import { flushFunction, SmmuNestedDomain, SmmuPagingDomain } from './smmu-domains.ts';
import { SmmuEvents } from './smmu-events.ts';
import { SmmuQueue } from './smmu-queue.ts';
import { ABORTS, CdTable, MOST_LINEAR_CDS_LOG2, StreamTable } from './smmu-tables.ts';
import { SmmuViommu } from './smmu-viommu.ts';
import { VMSA_SECOND, vmsaFirst } from './table-formats.ts';
import { TagIds } from './tag-ids.ts';
import type { PhysicalUnit } from './unit.ts';

const SMMUEN = 1;
const PRIQEN = 2;
const EVENTQEN = 4;
const CMDQEN = 8;
const ATSCHK = 16;
const ALL_IRQS = 7;
/** Inner shareable, write-back: everything is coherent. */
const CR1_COHERENT = 0xd75;
const RECINVSID = 2;
const PTM = 4;
/** Bits of a stage 1 input, and T0SZ. */
const VA_BITS = 48;
const T0SZ = 64 - VA_BITS;
const WORDS = 16;
const VALID = 1;
/** Walks are inner shareable and write-back, as bits of IR0, OR0 and SH0 from bit 8 on. */
const WALKS = (1 << 8) | (1 << 10) | (3 << 12);
const EPD1 = 1 << 30;
const CD_VALID = 0x80000000;
/** Of word 1 of a CD. */
const AA64 = 1 << 9;
const HD_HA = 3 << 10;
const STALLS = 1 << 12;
const RECORDS = 1 << 13;
const ABORTS_ON_FAULT = 1 << 14;
const ASET = 1 << 15;
/** MAIR: attribute 0 is normal memory, write-back. */
const MAIR = 0xff;
/** Of word 2 of an STE. */
const CD_FETCH = (1 << 2) | (1 << 4) | (3 << 6);
const MERGE_EVENTS = 1 << 19;
const S1STALLD = 1 << 27;
const EATS = 1 << 28;
const USE_CD_0 = 2;
/** Of word 3: as it comes. */
const SHARE_INCOMING = 1 << 12;
/** Of word 5. */
const S2_AA64 = 1 << 19;
const S2PTW = 1 << 22;
const S2S = 1 << 25;
const S2R = 1 << 26;
const STALL_OPTIONAL = 0;
const STALL_FORCED = 2;
const HTTU_DIRTY = 2;
const TTF_AARCH64 = 2;
const KNOWN_FLAGS = HWPT_FLAGS.NEST_PARENT | HWPT_FLAGS.DIRTY_TRACKING | HWPT_FLAGS.PASID;

type OwnDomain = SmmuPagingDomain | SmmuNestedDomain;

interface Stream {
  /** Physical address of its STE. */
  readonly ste: number;
  /** There while a CD is. */
  cds: CdTable | undefined;
}

export interface SmmuDriverOptions {
  /** Erratum: whoever issues TLBI and CFGI commands issues them twice. */
  readonly commandsTwice?: boolean;
  /** Identification registers as user space is told them, by name; those of the unit if absent. */
  readonly identity?: ReadonlyMap<string, number>;
}

/** The host's driver of one SMMUv3: it does with registers, tables and queues what Linux' driver does. */
export class SmmuHostDriver implements PhysicalDriver {
  readonly name: string;
  readonly unit: PhysicalUnit;
  readonly features: UnitFeatures;
  readonly #idr0: Record<keyof typeof IDR0.fields & string, number>;
  readonly #idr1: Record<keyof typeof IDR1.fields & string, number>;
  readonly #oas: number;
  readonly #streams: StreamTable;
  readonly #queue: SmmuQueue;
  readonly #events: SmmuEvents;
  readonly #vmids: TagIds;
  readonly #asids: TagIds;
  readonly #devices = new Map<PhysicalDevice, Stream>();
  readonly #twice: boolean;
  readonly #identity: ReadonlyMap<string, number>;

  /** Brings the unit up: from here on every function behind it is aborted. Throws ENOMEM. @throws TsvmmError where it cannot be driven */
  constructor(unit: PhysicalUnit, options: SmmuDriverOptions = {}) {
    this.unit = unit;
    this.name = `arm-smmu-v3 ${unit.id}`;
    this.#twice = options.commandsTwice ?? false;
    this.#identity = options.identity ?? new Map();
    const words = (offset: number) => Uint32Array.of(unit.read(offset));
    this.#idr0 = IDR0.decode(words(IDR0.offset));
    this.#idr1 = IDR1.decode(words(IDR1.offset));
    const idr5 = IDR5.decode(words(IDR5.offset));
    this.#oas = Math.min(ADDRESS_SIZES[idr5.OAS] as number, 48);
    if ((this.#idr0.TTF & TTF_AARCH64) === 0 || idr5.GRAN4K === 0) {
      throw new TsvmmError({
        code: 'unusable-unit',
        object: unit.id,
        why: 'the host needs AArch64 tables of 4 KiB pages',
        mend: 'switch gran4k on',
      });
    }
    this.features = this.#featuresOf();
    this.#streams = new StreamTable(unit.memory, this.#idr0.ST_LEVEL === 1);
    const ranges = IDR3.get.RIL(words(IDR3.offset), 0) === 1;
    this.#queue = new SmmuQueue(unit, { most: this.#idr1.CMDQS, ranges, twice: this.#twice });
    this.#vmids = new TagIds('VMID', 1, this.#idr0.VMID16 === 1 ? 2 ** 16 : 2 ** 8);
    this.#asids = new TagIds('ASID', 1, this.#idr0.ASID16 === 1 ? 2 ** 16 : 2 ** 8);
    this.#events = new SmmuEvents(unit, this.#queue, {
      eventsLog2: this.#idr1.EVENTQS,
      requestsLog2: this.#idr0.PRI === 1 ? this.#idr1.PRIQS : undefined,
      deviceOf: (sid) => this.#deviceOf(sid),
    });
    this.#start();
  }

  /** Takes the unit down, as before a restart of the host: nothing is attached any more. */
  stop(): void {
    for (const device of [...this.#devices.keys()]) this.release(device);
    this.unit.write(CR0.offset, 0);
    this.#events.free();
    this.#queue.free();
    this.#streams.free();
    this.unit.onInterrupt = () => {};
  }

  /** Events that nobody was told of. */
  get unclaimedEvents(): number {
    return this.#events.unclaimed;
  }

  // Devices.

  probe(device: PhysicalDevice): void {
    device.group.join(device);
    this.#devices.set(device, { ste: this.#streams.take(device.requester), cds: undefined });
    device.controls.pasid?.(device.pasidWidth > 0);
  }

  release(device: PhysicalDevice): void {
    const { ste } = this.#streamOf(device);
    for (const pasid of [...device.attached.keys()].sort((a, b) => b - a)) this.#detachOne(device, pasid);
    device.controls.pasid?.(false);
    const wasLast = this.#streams.leave(device.requester);
    this.#queue.cfgiSte(device.requester);
    if (wasLast) this.#queue.cfgiAll();
    this.#queue.sync();
    if (wasLast) this.#streams.drop(ste);
    this.#devices.delete(device);
    device.group.leave(device);
  }

  hwInfo() {
    const told = ({ name, offset }: { readonly name: string; readonly offset: number }) =>
      this.#identity.get(name) ?? this.unit.read(offset);
    const bytes = encode(HW_INFO_SMMUV3, {
      flags: this.#twice ? SMMU_ERRATUM_TWICE : 0,
      idr0: told(IDR0),
      idr1: told(IDR1),
      idr2: told(IDR2),
      idr3: told(IDR3),
      idr4: told(IDR4),
      idr5: told(IDR5),
      iidr: told(IIDR),
      aidr: told(AIDR),
    });
    return { type: HW_INFO_TYPE.ARM_SMMUV3, bytes };
  }

  offersInfo(_device: HostDevice, type: number): boolean {
    return type === HW_INFO_TYPE.ARM_SMMUV3;
  }

  // Domains.

  /** Stage 1 unless it is to carry others. Linux takes no other combination of flags. */
  allocPaging(device: HostDevice, flags: number, data: UserData | undefined): SmmuPagingDomain {
    demand((flags & ~KNOWN_FLAGS) === 0, 'EOPNOTSUPP', 'unknown flags');
    demand(data === undefined, 'EOPNOTSUPP', 'a page table of the host takes no data');
    const nestParent = (flags & HWPT_FLAGS.NEST_PARENT) !== 0;
    const dirtyTracking = (flags & HWPT_FLAGS.DIRTY_TRACKING) !== 0;
    const { S1P, S2P } = this.#idr0;
    demand(
      !nestParent || flags === HWPT_FLAGS.NEST_PARENT,
      'EOPNOTSUPP',
      'a parent of nesting has no other flags',
    );
    demand(!nestParent || (S1P === 1 && S2P === 1), 'EOPNOTSUPP', `${this.unit.id} does not nest`);
    demand(
      !dirtyTracking || this.features.dirtyTracking,
      'EOPNOTSUPP',
      `${this.unit.id} keeps no dirty state`,
    );
    const wantsFirst = flags !== 0 && !nestParent;
    demand(
      (flags & HWPT_FLAGS.PASID) === 0 || device.pasidWidth > 0,
      'EOPNOTSUPP',
      `${device.name} has no PASIDs`,
    );
    demand(!wantsFirst || S1P === 1, 'EOPNOTSUPP', `${this.unit.id} has no stage 1`);
    const stage = nestParent || S1P === 0 ? 2 : 1;
    const { memory } = this.unit;
    const bits = stage === 1 ? VA_BITS : this.#oas;
    return new SmmuPagingDomain({
      queue: this.#queue,
      table: new PageTable(
        memory,
        stage === 1 ? vmsaFirst(dirtyTracking) : VMSA_SECOND,
        shapeOf(bits, stage === 2),
        2,
      ),
      stage,
      aperture: { start: 0n, last: (1n << BigInt(bits)) - 1n },
      nestParent,
      dirtyTracking,
      reaches: (physical, length) =>
        physical + length <= 1n << BigInt(this.#oas) && memory.host.reaches(physical, length),
    });
  }

  allocViommu(
    device: HostDevice,
    type: number,
    parent: PagingDomain,
    data: UserData | undefined,
  ): DriverViommu {
    demand(type === VIOMMU_SMMUV3, 'EOPNOTSUPP', `an SMMUv3 has no vIOMMU of type ${type}`);
    demand(data === undefined, 'EOPNOTSUPP', 'a vIOMMU of an SMMUv3 takes no data');
    demand(
      device.coherent,
      'EOPNOTSUPP',
      `${device.name} is not coherent, and the unit cannot force it to be`,
    );
    if (!(parent instanceof SmmuPagingDomain) || !parent.isOf(this.#queue))
      refuse('EINVAL', 'the parent was made for another SMMU');
    this.#use(parent);
    return new SmmuViommu({ queue: this.#queue, parent, release: () => this.#unuse(parent) });
  }

  // Attachments.

  attach(host: HostDevice, pasid: number, domain: Domain): void {
    const device = host as PhysicalDevice;
    this.unit.settle();
    const own = this.#own(domain);
    // The tables of functions without PASIDs have no place for one (Linux: iommu_attach_device_pasid skips them, too).
    const members = device.group.membersWith(device, pasid);
    for (const member of members) this.#check(member, pasid, own);
    const firstStage = own.kind === 'paging' && own.stage === 1 ? own : undefined;
    transact((undo) => {
      for (const member of members) {
        if (own.kind === 'paging') {
          this.#use(own);
          undo(() => this.#unuse(own));
        }
        if (firstStage === undefined || this.#hasFirstStage(member, pasid)) continue;
        this.#takeCd(member, pasid);
        undo(() => this.#giveCd(member, pasid));
      }
    });
    for (const member of members) this.#move(member, pasid, own);
  }

  detach(host: HostDevice, pasid: number): void {
    this.unit.settle();
    for (const member of (host as PhysicalDevice).group.members) this.#detachOne(member, pasid);
  }

  enableFaults(host: HostDevice): void {
    const device = host as PhysicalDevice;
    demand(
      device.pri || device.stalls,
      'ENODEV',
      `${device.name} can neither ask for pages nor wait for them`,
    );
    if (device.pri) device.controls.pri?.(true);
  }

  disableFaults(host: HostDevice): void {
    const device = host as PhysicalDevice;
    this.unit.settle();
    if (device.pri) device.controls.pri?.(false);
    this.#events.abandon(device);
  }

  respond(host: HostDevice, fault: PageRequest, success: boolean): void {
    this.#events.respond(host as PhysicalDevice, fault, success);
  }

  #own(domain: Domain): OwnDomain {
    if (domain instanceof SmmuPagingDomain && domain.isOf(this.#queue)) return domain;
    if (domain instanceof SmmuNestedDomain && domain.parent.isOf(this.#queue)) return domain;
    return refuse('EINVAL', `the page table was not made for ${this.unit.id}`);
  }

  #check(device: PhysicalDevice, pasid: number, domain: OwnDomain): void {
    const hasPasids = [...device.attached.keys()].some((one) => one !== 0);
    if (domain.kind === 'nested') {
      demand(pasid === 0, 'EINVAL', 'a nested table brings its own PASIDs');
      demand(!hasPasids, 'EBUSY', `${device.name} has PASIDs of the host`);
      const translates = domain.stream.config === CONFIG_S1;
      demand(
        !translates || domain.viommu.streamOf(device) !== undefined,
        'ENOENT',
        `${device.name} has no virtual StreamID`,
      );
      return;
    }
    if (pasid === 0) {
      demand(!hasPasids || domain.stage === 1, 'EINVAL', 'PASIDs are attached, and they need stage 1');
      return;
    }
    const own = device.attached.get(0);
    demand(domain.stage === 1, 'EINVAL', 'PASIDs need stage 1');
    demand(
      own === undefined || (own instanceof SmmuPagingDomain && own.stage === 1),
      'EINVAL',
      "the requester's own table leaves no room for PASIDs",
    );
  }

  /** ASIDs and VMIDs are held while somebody uses the table. Throws ENOSPC. */
  #use(domain: SmmuPagingDomain): void {
    if (domain.tag === 0) domain.tag = (domain.stage === 1 ? this.#asids : this.#vmids).take();
    domain.users++;
  }

  #unuse(domain: SmmuPagingDomain): void {
    if (--domain.users > 0) return;
    domain.flush();
    (domain.stage === 1 ? this.#asids : this.#vmids).give(domain.tag);
    domain.tag = 0;
  }

  #hasFirstStage(device: PhysicalDevice, pasid: number): boolean {
    const present = device.attached.get(pasid);
    return present instanceof SmmuPagingDomain && present.stage === 1;
  }

  /** Throws ENOMEM. */
  #takeCd(device: PhysicalDevice, pasid: number): void {
    const stream = this.#streamOf(device);
    const made = stream.cds === undefined;
    stream.cds ??= new CdTable(this.unit.memory, device.pasidWidth, this.#idr0.CD2L === 1);
    try {
      stream.cds.take(pasid);
    } catch (cause) {
      if (made) this.#dropCds(stream);
      throw cause;
    }
  }

  #giveCd(device: PhysicalDevice, pasid: number): void {
    const stream = this.#streamOf(device);
    stream.cds?.give(pasid);
    if (stream.cds?.count === 0) this.#dropCds(stream);
  }

  #dropCds(stream: Stream): void {
    stream.cds?.free();
    stream.cds = undefined;
  }

  /** Everything that may fail is done. What was attached goes first; the stream is aborted in between. */
  #move(device: PhysicalDevice, pasid: number, domain: OwnDomain): void {
    const old = device.attached.get(pasid) as OwnDomain | undefined;
    const keepsCd = domain.kind === 'paging' && domain.stage === 1;
    if (old !== undefined) this.#take(device, pasid, old, keepsCd);
    device.attached.set(pasid, domain);
    if (domain.kind === 'paging') {
      domain.attachments.push({ device, pasid });
      if (domain.stage === 1) this.#writeCd(device, pasid, domain);
    } else {
      domain.parent.nested.add(device);
      device.pasidsAreUsers = true;
    }
    this.#writeStream(device);
  }

  #detachOne(device: PhysicalDevice, pasid: number): void {
    const domain = device.attached.get(pasid) as OwnDomain | undefined;
    if (domain !== undefined) this.#take(device, pasid, domain, false);
  }

  /** @param keepsCd its place is used again at once */
  #take(device: PhysicalDevice, pasid: number, domain: OwnDomain, keepsCd: boolean): void {
    device.attached.delete(pasid);
    if (domain.kind === 'nested') {
      this.#writeStream(device);
      this.#terminate(device);
      // The guest's ASIDs in this VMID are those of other devices, too, but nobody else forgets them.
      this.#queue.tlbiStage1(domain.parent.tag);
      flushFunction(this.#queue, device);
      this.#queue.sync();
      domain.parent.nested.delete(device);
      device.pasidsAreUsers = false;
      return;
    }
    if (domain.stage === 1) {
      const at = this.#streamOf(device).cds?.at(pasid) as number;
      this.unit.memory.store(at, this.unit.memory.load(at) & ~CD_VALID);
      this.#queue.cfgiCd(device.requester, pasid, true);
      this.#queue.sync();
    }
    if (pasid === 0 || !this.#isStreamOn(device)) this.#writeStream(device);
    if (device.ats) this.#queue.atc(device.requester, pasid === 0 ? undefined : pasid, EVERY_PAGE);
    takeAttachment(domain.attachments, device, pasid);
    if (domain.stage === 1) {
      if (pasid === 0) this.#terminate(device);
      this.#queue.tlbiAsid(domain.tag);
      this.#queue.sync();
      const at = this.#streamOf(device).cds?.at(pasid) as number;
      this.unit.memory.ram.u32.fill(0, at >>> 2, (at >>> 2) + WORDS);
      if (!keepsCd) this.#giveCdOf(device, pasid);
    }
    this.#events.forget(device, pasid);
    this.#unuse(domain);
  }

  /** The last CD goes with its table: the stream does not use it any more. */
  #giveCdOf(device: PhysicalDevice, pasid: number): void {
    this.#giveCd(device, pasid);
    this.#queue.cfgiCd(device.requester, pasid, false);
    this.#queue.sync();
  }

  #isStreamOn(device: PhysicalDevice): boolean {
    return device.attached.size > 0;
  }

  #terminate(device: PhysicalDevice): void {
    if (device.stalls) this.#queue.terminateStalls(device.requester);
  }

  #writeCd(device: PhysicalDevice, pasid: number, domain: SmmuPagingDomain): void {
    const words = new Uint32Array(WORDS);
    words[0] = T0SZ | WALKS | EPD1 | CD_VALID;
    const stalls = device.stalls || this.#idr0.STALL_MODEL === STALL_FORCED ? STALLS : 0;
    const updates = domain.dirtyTracking ? HD_HA : 0;
    words[1] = this.#ps | AA64 | updates | stalls | RECORDS | ABORTS_ON_FAULT | ASET | (domain.tag << 16);
    words[2] = domain.table.root;
    words[6] = MAIR;
    this.unit.memory.storeWords(this.#streamOf(device).cds?.at(pasid) as number, words);
    this.#queue.cfgiCd(device.requester, pasid, false);
    this.#queue.sync();
  }

  /** The STE that what is attached needs. */
  #writeStream(device: PhysicalDevice): void {
    const { ste } = this.#streamOf(device);
    const { memory } = this.unit;
    const words = this.#steOf(device);
    let same = true;
    for (let i = 0; i < WORDS; i++) same &&= memory.load(ste + i * 4) === (words[i] as number) >>> 0;
    if (same) return;
    const wasOn = memory.load(ste) !== VALID;
    const hadAts = wasOn && (memory.load(ste + 8) & EATS) !== 0;
    const hasAts = words[0] !== VALID && ((words[2] as number) & EATS) !== 0;
    if (hadAts && !hasAts) device.controls.ats?.(false);
    // Aborted in between, by one store of the first doubleword: never an STE that is half of each.
    if (wasOn) {
      memory.store(ste, VALID);
      this.#queue.cfgiSte(device.requester);
      if (hadAts) flushFunction(this.#queue, device);
      this.#queue.sync();
    }
    memory.storeWords(ste, words);
    this.#queue.cfgiSte(device.requester);
    this.#queue.sync();
    if (hasAts && !hadAts) device.controls.ats?.(true);
  }

  #steOf(device: PhysicalDevice): ArrayLike<number> {
    const own = device.attached.get(0) as OwnDomain | undefined;
    if (own?.kind === 'nested') return this.#nestedSte(device, own);
    if (own !== undefined && own.stage === 2)
      return this.#secondStage(new Uint32Array(WORDS), device, own, CONFIG_S2);
    const { cds } = this.#streamOf(device);
    // On the way out the place of the last CD is still counted.
    if (cds === undefined || device.attached.size === 0) return ABORTS;
    const words = new Uint32Array(WORDS);
    words[0] = VALID | (CONFIG_S1 << 1) | (cds.format << 4) | cds.base;
    words[1] = cds.log2 << 27;
    const stalled = this.#idr0.STALL_MODEL === STALL_OPTIONAL && !device.stalls ? S1STALLD : 0;
    words[2] = (own === undefined ? 0 : USE_CD_0) | CD_FETCH | stalled | (device.ats ? EATS : 0);
    words[3] = SHARE_INCOMING;
    return words;
  }

  #nestedSte(device: PhysicalDevice, { stream, parent }: SmmuNestedDomain): ArrayLike<number> {
    const { config, words: user } = stream;
    if (config !== CONFIG_S1 && config !== CONFIG_BYPASS) return ABORTS;
    const words = new Uint32Array(WORDS);
    if (config === CONFIG_S1) {
      words[0] = (user[0] as number) & ~0xf;
      words[1] = user[1] as number;
      words[2] = (user[2] as number) & ~(3 << 28);
      words[3] = user[3] as number;
    }
    const made = this.#secondStage(words, device, parent, config === CONFIG_S1 ? CONFIG_NESTED : CONFIG_S2);
    if (!stream.ats) made[2] = (made[2] as number) & ~EATS;
    made[2] = (made[2] as number) | MERGE_EVENTS;
    return made;
  }

  #secondStage(
    words: Uint32Array,
    device: PhysicalDevice,
    domain: SmmuPagingDomain,
    config: number,
  ): Uint32Array {
    const bits = this.#oas;
    const { levels } = domain.table;
    const forced = this.#idr0.STALL_MODEL === STALL_FORCED;
    words[0] = (words[0] as number) | VALID | (config << 1);
    // ATS in full does not go with stage 2 faults that stall.
    words[2] = (words[2] as number) | (device.ats && !forced ? EATS : 0);
    words[3] = SHARE_INCOMING;
    words[4] = domain.tag;
    // SL0 of 4 KiB granules: 2 begins at level 0, 1 at level 1, 0 at level 2.
    words[5] =
      (64 - bits) |
      ((levels - 2) << 6) |
      WALKS |
      (this.#ps << 16) |
      S2_AA64 |
      S2PTW |
      S2R |
      (forced ? S2S : 0);
    words[6] = domain.table.root;
    return words;
  }

  /** Code of the output size. */
  get #ps(): number {
    return ADDRESS_SIZES.indexOf(this.#oas as (typeof ADDRESS_SIZES)[number]);
  }

  #streamOf(device: PhysicalDevice): Stream {
    return this.#devices.get(device) ?? refuse('ENODEV', `${device.name} is not there`);
  }

  #deviceOf(sid: number): PhysicalDevice | undefined {
    for (const device of this.#devices.keys()) if (device.requester === sid) return device;
    return undefined;
  }

  #featuresOf(): UnitFeatures {
    const { S1P, ATS, PRI, HTTU, CD2L, STALL_MODEL } = this.#idr0;
    const width = this.#idr1.SSIDSIZE;
    return {
      pasidWidth: S1P === 1 ? (CD2L === 1 ? width : Math.min(width, MOST_LINEAR_CDS_LOG2)) : 0,
      pasidExec: true,
      pasidPriv: true,
      ats: ATS === 1,
      pri: PRI === 1,
      // The interrupt translation service behind it knows devices by their ids.
      isolatedMsi: true,
      stalls: STALL_MODEL === STALL_OPTIONAL || STALL_MODEL === STALL_FORCED,
      dirtyTracking: S1P === 1 && HTTU >= HTTU_DIRTY,
      reserved: [],
    };
  }

  /** SMMUv3: initialization: queues, then everything forgotten, then translation. */
  #start(): void {
    const { unit } = this;
    unit.onInterrupt = (wire) => this.#events.interrupt(wire);
    unit.write(CR1.offset, CR1_COHERENT);
    unit.write(CR2.offset, PTM | RECINVSID);
    unit.writeWide(STRTAB_BASE.offset, this.#streams.base, 0);
    unit.write(STRTAB_BASE_CFG.offset, this.#streams.configuration);
    unit.write(CR0.offset, CMDQEN);
    this.#queue.cfgiAll();
    this.#queue.tlbiAll();
    this.#queue.sync();
    unit.write(IRQ_CTRL.offset, ALL_IRQS);
    const requests = this.#idr0.PRI === 1 ? PRIQEN : 0;
    const checks = this.#idr0.ATS === 1 ? ATSCHK : 0;
    unit.write(CR0.offset, CMDQEN | EVENTQEN | requests | checks | SMMUEN);
  }
}
