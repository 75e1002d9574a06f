import {
  ATC_INV,
  CFGI_CD,
  CFGI_CD_ALL,
  CMD_ATC_INV,
  CMD_CFGI_CD,
  CMD_CFGI_CD_ALL,
  CMD_TLBI_NH_ALL,
  CMD_TLBI_NH_ASID,
  CMD_TLBI_NH_VA,
  CMD_TLBI_NH_VAA,
  TLBI_NH_ALL,
  TLBI_NH_ASID,
  TLBI_NH_VA,
  TLBI_NH_VAA,
} from '../../../viommu/spec/smmuv3/commands.ts';
import { IDR0, IDR1 } from '../../../viommu/spec/smmuv3/registers.ts';
import { CONFIG_S1, STE } from '../../../viommu/spec/smmuv3/structures.ts';
import { HWPT_DATA, HWPT_FLAGS, INVALIDATE_DATA } from '../iommufd/abi.ts';
import type { NestedHwpt, PagingHwpt } from '../iommufd/hwpt.ts';
import { UserArray } from '../iommufd/user-data.ts';
import type { Vdevice, Viommu } from '../iommufd/viommu.ts';
import { demand, Refusal, refuse } from '../kernel/errno.ts';
import {
  INV_FLAGS,
  INV_TYPE,
  IOMMU_MODEL,
  modelName,
  SMMU_INVALIDATE,
  SMMU_TABLE,
  SMMU_VARIANT,
} from './abi.ts';
import { bytesAt } from './guest-memory.ts';
import { type MemberParts, SvmDevice, type Undo, type UnitInfo, unitInfo } from './member.ts';
import {
  checkTypes,
  exactly,
  type InvalidateRequest,
  type InvalidateTypes,
  type PageInfo,
  type TableInfo,
} from './request.ts';

/** Where `struct iommu_hw_info_arm_smmuv3` has them. */
const IDR0_AT = 8;
const IDR1_AT = 12;
const AIDR_AT = 36;
const VIOMMU_ARM = 1;
const STREAM_BYTES = 16;
const COMMAND_BYTES = 16;
const LINEAR = 0;
const LAST_FORMAT = 2;
const LAST_DSS = 2;
const CD_BYTES = 64;
const L1_BYTES = 8;
/** Write-back, inner shareable: everything is coherent. */
const COHERENT = { S1CIR: 1, S1COR: 1, S1CSH: 3 };
const EATS_FULL = 1;
/** More pages than these are dropped with all of their ASID. */
const MOST_PAGES = 64n;
const EVERYTHING = 52;
const PAGE_SHIFT = 12n;
/** The vIOMMU of a device has one stream: events are of StreamID 1. */
const STREAM = 1;

/** What an SMMU has for a device while something is bound. */
interface Slice {
  readonly parent: PagingHwpt;
  readonly viommu: Viommu;
  readonly vdevice: Vdevice;
}

/** A device behind an SMMUv3: the unit walks the guest's whole CD table itself, on top of the container's addresses. */
export class ArmDevice extends SvmDevice {
  readonly model = IOMMU_MODEL.SMMU;
  readonly #info: UnitInfo;
  #slice: Slice | undefined;
  #bound: NestedHwpt | undefined;
  /** Replaced, and not freed before all devices of the container have followed. */
  #retired: NestedHwpt | undefined;
  /** With PASIDs of the host: what requests without have. */
  #room: PagingHwpt | undefined;

  constructor(parts: MemberParts) {
    super(parts);
    this.#info = unitInfo(parts.device);
  }

  static nests({ view }: UnitInfo): boolean {
    const { S1P, S2P } = IDR0.decode(Uint32Array.of(view.getUint32(IDR0_AT, true)));
    return S1P === 1 && S2P === 1;
  }

  override get viommu(): number {
    return this.#slice?.viommu.id ?? 0;
  }

  checkTable({ ptr, entries, model, variant, opaque, deviceTlb }: TableInfo): void {
    this.checkModel(model);
    demand(!deviceTlb || this.device.host.ats, 'EOPNOTSUPP', `${this.name} has no ATS on this host`);
    const { view } = this.#info;
    const own = SMMU_VARIANT.FIRST + Math.min(view.getUint32(AIDR_AT, true) & 0xf, 5);
    demand(
      variant >= SMMU_VARIANT.FIRST && variant <= SMMU_VARIANT.LAST,
      'EOPNOTSUPP',
      `variant 0x${variant.toString(16)} of SMMU is not known: 0x300 to 0x305 are SMMUv3.0 to 3.5`,
    );
    demand(
      variant <= own,
      'EOPNOTSUPP',
      `variant 0x${variant.toString(16)}, and AIDR of the unit says 0x${own.toString(16)}`,
    );
    demand(
      ArmDevice.nests(this.#info),
      'EOPNOTSUPP',
      'IDR0.S1P (bit 1) or S2P (bit 0) of the unit is 0: it does not nest',
    );
    const { s1fmt, s1dss } = exactly(opaque, SMMU_TABLE);
    demand(s1fmt <= LAST_FORMAT, 'EINVAL', `S1Fmt ${s1fmt} is no format: 0 linear, 1 and 2 two-level`);
    const { CD2L } = IDR0.decode(Uint32Array.of(view.getUint32(IDR0_AT, true)));
    demand(
      s1fmt === LINEAR || CD2L === 1,
      'EOPNOTSUPP',
      'IDR0.CD2L (bit 19) of the unit is 0: no two-level tables',
    );
    demand(s1dss <= LAST_DSS, 'EINVAL', `S1DSS ${s1dss} is reserved`);
    const { SSIDSIZE } = IDR1.decode(Uint32Array.of(view.getUint32(IDR1_AT, true)));
    const most = 1n << BigInt(SSIDSIZE);
    demand(entries <= most, 'EINVAL', `${entries} entries, and IDR1.SSIDSIZE of the unit is ${SSIDSIZE}`);
    if (entries > 0n) bytesAt(this.ioas, ptr, s1fmt === LINEAR ? CD_BYTES : L1_BYTES);
  }

  checkPage({ model }: PageInfo): void {
    refuse(
      'EOPNOTSUPP',
      `an SMMUv3 reads CDs by addresses of the container, where the host has none: ${modelName(model)} cannot be bound singly, only a whole table`,
    );
  }

  bindPage(info: PageInfo): void {
    this.checkPage(info);
  }

  unbindPage(): void {}

  bindTable({ ptr, entries, opaque, fault, deviceTlb }: TableInfo, undo: Undo): void {
    const { viommu } = this.#slice ?? this.#newSlice(undo);
    const next = this.tables.onViommu(
      this.device,
      viommu,
      HWPT_DATA.ARM_SMMUV3,
      streamOf(ptr, entries, opaque, deviceTlb),
      entries === 0n ? undefined : fault,
    );
    undo(() => this.tables.drop(next));
    const old = this.#bound;
    this.attachRid(next);
    this.#bound = next;
    this.#retired = old;
    undo(() => {
      this.#retired = undefined;
      this.#bound = old;
      if (old === undefined ? !this.attachedAsBefore() : !this.#attached(old)) this.member.detach(undefined);
    });
  }

  #attached(hwpt: NestedHwpt): boolean {
    try {
      this.attachRid(hwpt);
      return true;
    } catch (cause) {
      if (!(cause instanceof Refusal)) throw cause;
      return false;
    }
  }

  override settle(): void {
    if (this.#retired !== undefined) this.tables.drop(this.#retired);
    this.#retired = undefined;
  }

  unbindTable(): void {
    const bound = this.#bound;
    if (bound === undefined) return;
    this.attachRid((this.#slice as Slice).parent);
    this.#bound = undefined;
    this.tables.drop(bound);
  }

  #newSlice(undo: Undo): Slice {
    const { tables, device } = this;
    const parent = tables.paging(device, this.ioas, HWPT_FLAGS.NEST_PARENT, false);
    undo(() => tables.drop(parent));
    const viommu = tables.viommu(device, parent, VIOMMU_ARM);
    undo(() => tables.drop(viommu));
    const vdevice = tables.vdevice(device, viommu, BigInt(STREAM));
    undo(() => tables.drop(vdevice));
    this.#slice = { parent, viommu, vdevice };
    undo(() => {
      this.#slice = undefined;
    });
    return this.#slice;
  }

  /** PASIDs need stage 1 (SMMUv3: Substreams). */
  protected override makeRoom(undo: Undo): void {
    if (this.#room !== undefined) return;
    const room = this.tables.paging(this.device, this.ioas, HWPT_FLAGS.PASID, true);
    undo(() => this.tables.drop(room));
    this.attachRid(room);
    this.#room = room;
    undo(() => {
      this.#room = undefined;
      if (!this.attachedAsBefore()) this.member.detach(undefined);
    });
  }

  invalidate(request: InvalidateRequest): void {
    this.checkModel(request.model);
    const values = exactly(request.opaque, SMMU_INVALIDATE);
    const types = checkTypes(request, values);
    demand(values.asid <= 0xffff && values.reserved === 0, 'EINVAL', 'an ASID has 16 bits');
    demand(this.#bound !== undefined, 'ENOENT', `no table is bound to ${this.name}`);
    const commands = commandsOf(request, types, values.asid);
    const bytes = new Uint8Array(commands.length * COMMAND_BYTES);
    commands.forEach((words, index) => {
      bytes.set(new Uint8Array(words.buffer, 0, COMMAND_BYTES), index * COMMAND_BYTES);
    });
    const own = { bytes: (at: bigint, length: number) => bytes.subarray(Number(at), Number(at) + length) };
    const array = new UserArray(own, INVALIDATE_DATA.ARM_SMMUV3, 0n, COMMAND_BYTES, commands.length);
    const { viommu } = this.#slice as Slice;
    viommu.driver.invalidate?.(array, (virtId) => viommu.deviceOf(virtId));
  }

  protected override end(): void {
    if (this.#slice === undefined && this.#room === undefined) return;
    this.member.detach(undefined);
    if (this.#bound !== undefined) this.tables.drop(this.#bound);
    if (this.#room !== undefined) this.tables.drop(this.#room);
    if (this.#slice !== undefined) {
      const { parent, viommu, vdevice } = this.#slice;
      this.tables.drop(vdevice);
      this.tables.drop(viommu);
      this.tables.drop(parent);
    }
    this.#bound = undefined;
    this.#room = undefined;
    this.#slice = undefined;
  }
}

/** STE words 0 and 1 as iommufd's data have them; a table without entries lets nothing through. */
function streamOf(ptr: bigint, entries: bigint, opaque: Uint8Array, ats: boolean): Uint8Array {
  const { s1fmt, s1dss } = exactly(opaque, SMMU_TABLE);
  const words =
    entries === 0n
      ? STE.pack({ V: 1 })
      : STE.pack({
          V: 1,
          Config: CONFIG_S1,
          S1Fmt: s1fmt,
          S1CDMax: entries.toString(2).length - 1,
          S1DSS: s1dss,
          ...COHERENT,
          EATS: ats ? EATS_FULL : 0,
        });
  if (entries > 0n) {
    words[0]! |= Number(ptr & 0xffffffc0n);
    words[1]! |= Number(ptr >> 32n);
  }
  return new Uint8Array(words.buffer, 0, STREAM_BYTES).slice();
}

/** The commands of an invalidation, for the one stream that a device's vIOMMU has. */
function commandsOf(
  request: InvalidateRequest,
  { types, flags }: InvalidateTypes,
  asid: number,
): Uint32Array[] {
  const { ofPasid, pasid } = request;
  const commands: Uint32Array[] = [];
  const leaf = (flags & INV_FLAGS.HINT) !== 0 ? 1 : 0;
  const everyAsid = (flags & INV_FLAGS.GLOBAL) !== 0;
  if ((types & INV_TYPE.PASID_CACHE) !== 0) {
    if (ofPasid) commands.push(CFGI_CD.pack({ OP: CMD_CFGI_CD, SSID: pasid, SID: STREAM, Leaf: leaf }));
    else commands.push(CFGI_CD_ALL.pack({ OP: CMD_CFGI_CD_ALL, SID: STREAM }));
  }
  if ((types & (INV_TYPE.IOTLB | INV_TYPE.EXTENDED_IOTLB)) !== 0)
    commands.push(...tlbCommands(request, asid, leaf, everyAsid));
  if ((types & INV_TYPE.DEVICE_TLB) !== 0) commands.push(functionCommand(request, {}));
  if ((types & INV_TYPE.EXTENDED_DEVICE_TLB) !== 0) {
    const global = (flags & INV_FLAGS.DEVICE_TLB_GLOBAL) !== 0 ? 1 : 0;
    if (ofPasid) commands.push(functionCommand(request, { SSV: 1, SSID: pasid, Global: global }));
    else commands.push(functionCommand(request, { SSV: 1, Global: 1 }));
  }
  return commands;
}

function tlbCommands(
  { pages, ofPasid, addr, size }: InvalidateRequest,
  asid: number,
  leaf: number,
  everyAsid: boolean,
) {
  const count = size >> PAGE_SHIFT;
  if (!pages || count > MOST_PAGES) {
    if (!ofPasid || everyAsid) return [TLBI_NH_ALL.pack({ OP: CMD_TLBI_NH_ALL })];
    return [TLBI_NH_ASID.pack({ OP: CMD_TLBI_NH_ASID, ASID: asid })];
  }
  const one = () =>
    everyAsid
      ? TLBI_NH_VAA.pack({ OP: CMD_TLBI_NH_VAA, Leaf: leaf })
      : TLBI_NH_VA.pack({ OP: CMD_TLBI_NH_VA, ASID: asid, Leaf: leaf });
  return Array.from({ length: Number(count) }, (_, i) => {
    const words = one();
    const at = addr + (BigInt(i) << PAGE_SHIFT);
    words[2]! |= Number(at & 0xfffff000n);
    words[3]! |= Number(at >> 32n);
    return words;
  });
}

/** ATC_INV has a power of two of pages, aligned: the smallest that holds the range. */
function functionCommand(
  { pages, addr, size }: InvalidateRequest,
  values: Parameters<typeof ATC_INV.pack>[0],
) {
  let order = EVERYTHING;
  if (pages) {
    const first = addr >> PAGE_SHIFT;
    const last = (addr + size - 1n) >> PAGE_SHIFT;
    order = (first ^ last).toString(2).length - (first === last ? 1 : 0);
  }
  const words = ATC_INV.pack({ OP: CMD_ATC_INV, SID: STREAM, Size: order, ...values });
  if (order < EVERYTHING) {
    const at = (addr >> (PAGE_SHIFT + BigInt(order))) << (PAGE_SHIFT + BigInt(order));
    words[2]! |= Number(at & 0xfffff000n);
    words[3]! |= Number(at >> 32n);
  }
  return words;
}
