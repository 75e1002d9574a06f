import { CAP, ECAP } from '../../../viommu/spec/vtd/capabilities.ts';
import {
  PASID_DIRECTORY_ENTRY,
  PASID_ENTRY,
  PGTT_FIRST,
  PGTT_PASS_THROUGH,
} from '../../../viommu/spec/vtd/structures.ts';
import { HWPT_DATA, HWPT_FLAGS, INVALIDATE_DATA } from '../iommufd/abi.ts';
import type { FaultQueue } from '../iommufd/fault-queue.ts';
import type { NestedHwpt, PagingHwpt } from '../iommufd/hwpt.ts';
import type { Ioas } from '../iommufd/ioas.ts';
import { UserArray } from '../iommufd/user-data.ts';
import { demand, Refusal, refuse } from '../kernel/errno.ts';
import { encode, u32, u64, uapi } from '../kernel/struct.ts';
import { transact } from '../kernel/undo.ts';
import {
  INTL_INVALIDATE,
  INTL_VARIANT,
  INV_FLAGS,
  INV_TYPE,
  IOMMU_MODEL,
  modelName,
  PAGE_TABLE_MODEL,
  X86L_FLAGS,
  X86L_TABLE,
  X86L_VARIANT,
} from './abi.ts';
import { bytesAt, eachPage } from './guest-memory.ts';
import { type MemberParts, SvmDevice, type Undo, type UnitInfo, unitInfo } from './member.ts';
import {
  checkTypes,
  empty,
  exactly,
  type InvalidateRequest,
  type PageInfo,
  type TableInfo,
} from './request.ts';

/** Data of iommufd for a first stage of VT-d, and of its invalidation (Linux, include/uapi/linux/iommufd.h). */
const S1 = uapi('struct iommu_hwpt_vtd_s1', 24, 24, {
  flags: u64(0),
  pgd: u64(8),
  width: u32(16),
  rsv: u32(20),
});
const S1_INVALIDATE = uapi('struct iommu_hwpt_vtd_s1_invalidate', 24, 24, {
  addr: u64(0),
  npages: u64(8),
  flags: u32(16),
  reserved: u32(20),
});
const LEAF = 1;
const EVERY_PAGE = (1n << 64n) - 1n;
const PAGE_SHIFT = 12n;
const FRAME = 0xfffff000;
const DIRECTORY_ENTRY_BYTES = 8;
const ENTRY_BYTES = 64;
const PASIDS_OF_TABLE = 64;
/** Requests without PASID have the entry of PASID 0 (VT-d: RID_PASID, as Linux has it). */
const RID = 0;
const X86L_KNOWN = X86L_FLAGS.SRE | X86L_FLAGS.EAFE | X86L_FLAGS.WPE;

/** What one PASID, or the requester (0), is to have: a first stage, or the container's own addresses. */
interface Wanted {
  /** Where its page requests go. */
  readonly fault?: FaultQueue | undefined;
  readonly stage: { readonly flags: number; readonly pgd: bigint; readonly width: number } | undefined;
  /** Equal texts are equal tables. */
  readonly key: string;
}

interface Bound {
  readonly key: string;
  readonly hwpt: NestedHwpt | PagingHwpt;
}

const IDENTITY: Wanted = { stage: undefined, key: 'identity' };

/**
 * A device behind a VT-d in scalable mode. The unit reads PASID tables by physical addresses of the host, so a guest's whole table is
 * shadowed: its entries are copied when it is bound, and again when the PASID cache is invalidated. Single page tables are nested.
 */
export class IntelDevice extends SvmDevice {
  readonly model = IOMMU_MODEL.INTL;
  readonly #info: UnitInfo;
  /** The container's mappings, as a table that others stand on; made with the first binding, and kept. */
  #base: PagingHwpt | undefined;
  /** Nothing: what requests without PASID have while a table without an entry for them is bound. */
  #empty: { readonly ioas: Ioas; readonly hwpt: PagingHwpt } | undefined;
  #table: { readonly info: TableInfo } | undefined;
  /** By PASID: what came by the table, and what was bound singly. */
  readonly #entries = new Map<number, Bound>();
  readonly #pages = new Map<number, Bound>();
  /** Tables that are not used any more once a change has succeeded. */
  readonly #retired: Bound[] = [];

  constructor(parts: MemberParts) {
    super(parts);
    this.#info = unitInfo(parts.device);
  }

  /** Whether the unit can do any of it. */
  static nests({ view }: UnitInfo): boolean {
    const { SMTS, NEST, FSTS } = ECAP.decode(wordsOf(view, 16));
    return SMTS === 1 && NEST === 1 && FSTS === 1;
  }

  override get viommu(): number {
    return 0;
  }

  checkTable({ model, variant, entries, opaque, deviceTlb }: TableInfo): void {
    this.checkModel(model);
    demand(
      !deviceTlb,
      'EOPNOTSUPP',
      'device-TLBs of a VT-d are switched on in its context entries, which are the host’s',
    );
    demand(
      variant !== INTL_VARIANT.EXTENDED,
      'EOPNOTSUPP',
      'PASID tables of extended mode (variant 0x200) went away with scalable mode (0x300)',
    );
    demand(
      variant === INTL_VARIANT.SCALABLE,
      'EOPNOTSUPP',
      `variant 0x${variant.toString(16)} of INTL is not known: 0x300 is scalable mode`,
    );
    empty(opaque, 'an INTL table');
    this.#checkNesting();
    const most = 1n << BigInt(Math.max(this.pasidWidth, 6));
    demand(
      entries <= most,
      'EINVAL',
      `${entries} entries, and ${this.name} has ${this.pasidWidth} bits of PASIDs`,
    );
  }

  checkPage({ pasid, pgd, model, variant, opaque }: PageInfo): void {
    this.#checkNesting();
    demand(
      pasid < 2 ** this.pasidWidth,
      'EINVAL',
      `${this.name} has ${this.pasidWidth} bits of PASIDs, and no PASID ${pasid}`,
    );
    if (model === PAGE_TABLE_MODEL.IDEN) {
      demand(variant === 0 && pgd === 0n, 'EINVAL', 'IDEN has neither table nor variant');
      empty(opaque, 'IDEN');
      return;
    }
    demand(
      model === PAGE_TABLE_MODEL.X86L,
      'EOPNOTSUPP',
      `a VT-d walks no page tables of format ${modelName(model)}, but those of X86L`,
    );
    const known = variant === X86L_VARIANT.FOUR || variant === X86L_VARIANT.FIVE;
    demand(known, 'EOPNOTSUPP', `X86L has 4 levels or 5, not ${variant}`);
    const { FS5LP } = CAP.decode(wordsOf(this.#info.view, 8));
    demand(
      variant === X86L_VARIANT.FOUR || FS5LP === 1,
      'EOPNOTSUPP',
      'CAP.FS5LP (bit 60) of the unit is 0: no 5 levels',
    );
    const { flags, reserved } = exactly(opaque, X86L_TABLE);
    demand(
      (flags & ~X86L_KNOWN) === 0 && reserved === 0,
      'EINVAL',
      `unknown flags 0x${flags.toString(16)} of X86L`,
    );
    demand(pgd % (1n << PAGE_SHIFT) === 0n, 'EINVAL', 'the page table is not aligned');
  }

  #checkNesting(): void {
    demand(
      IntelDevice.nests(this.#info),
      'EOPNOTSUPP',
      'ECAP.SMTS (bit 43), FSTS (47) or NEST (26) of the unit is 0: first stages of users are not nested',
    );
  }

  bindTable(info: TableInfo, undo: Undo): void {
    const singly = [...this.#pages.keys()].find((pasid) => BigInt(pasid) < info.entries);
    demand(singly === undefined, 'EBUSY', `PASID ${singly} has a page table of its own`);
    const wanted = new Map<number, Wanted>();
    if (info.entries > 0n)
      this.#eachEntry(info, (pasid, words) => {
        const entry = wantedOf(pasid, words, info.fault);
        if (entry !== undefined) wanted.set(pasid, entry);
      });
    this.makeRoom(undo);
    for (const pasid of this.#entries.keys())
      if (pasid !== RID && !wanted.has(pasid)) this.#take(pasid, undo);
    for (const [pasid, entry] of wanted) if (pasid !== RID) this.#put(this.#entries, pasid, entry, undo);
    this.#putRid(wanted.get(RID), undo);
    const before = this.#table;
    this.#table = { info };
    undo(() => {
      this.#table = before;
    });
  }

  override settle(): void {
    for (const bound of this.#retired.splice(0)) this.#free(bound);
  }

  /** An entry that is gone. */
  #take(pasid: number, undo: Undo): void {
    const old = this.#entries.get(pasid)!;
    this.member.detach(pasid);
    this.#entries.delete(pasid);
    this.#retired.push(old);
    undo(() => this.#revive(this.#entries, pasid, old));
  }

  /** What was to go stays after all, unless the host refuses that: then nothing gets through. */
  #revive(into: Map<number, Bound>, pasid: number, old: Bound | undefined): void {
    if (old !== undefined) this.#retired.splice(this.#retired.indexOf(old), 1);
    const attached = this.#back(pasid, old);
    if (old === undefined) return;
    if (attached) into.set(pasid, old);
    else this.#free(old);
  }

  unbindTable(): void {
    // First what may be refused: then nothing has changed.
    if (!this.#pages.has(RID)) this.attachRid(this.#base as PagingHwpt);
    for (const [pasid, bound] of this.#entries) {
      if (pasid !== RID) this.member.detach(pasid);
      this.#free(bound);
    }
    this.#entries.clear();
    this.#table = undefined;
  }

  bindPage({ pasid, pgd, model, variant, opaque, fault }: PageInfo, undo: Undo): void {
    demand(
      this.#table === undefined || BigInt(pasid) >= this.#table.info.entries,
      'EBUSY',
      `PASID ${pasid} is one of the PASID table that is bound`,
    );
    this.makeRoom(undo);
    const width = variant === X86L_VARIANT.FIVE ? 57 : 48;
    const wanted =
      model === PAGE_TABLE_MODEL.IDEN
        ? IDENTITY
        : stageOf(exactly(opaque, X86L_TABLE).flags, pgd, width, fault);
    this.#put(this.#pages, pasid, wanted, undo);
  }

  unbindPage(pasid: number): void {
    const bound = this.#pages.get(pasid);
    if (bound === undefined) return;
    if (pasid === RID) {
      transact((undo) =>
        this.attachRid(this.#table === undefined ? (this.#base as PagingHwpt) : this.#nothing(undo)),
      );
    } else this.member.detach(pasid);
    this.#pages.delete(pasid);
    this.#free(bound);
  }

  /** A page table for the PASID in place of what it has. */
  #put(into: Map<number, Bound>, pasid: number, wanted: Wanted, undo: Undo): void {
    const old = into.get(pasid);
    if (old?.key === wanted.key) return;
    const next = this.#make(wanted);
    try {
      this.member.attach(pasid === RID ? undefined : pasid, next.hwpt.id);
    } catch (cause) {
      this.#free(next);
      throw cause;
    }
    into.set(pasid, next);
    if (old !== undefined) this.#retired.push(old);
    undo(() => {
      into.delete(pasid);
      this.#revive(into, pasid, old);
      this.#free(next);
    });
  }

  /** Puts back what there was. False where the host refuses even that: then nothing gets through. */
  #back(pasid: number, old: Bound | undefined): boolean {
    const own = pasid === RID ? undefined : pasid;
    const rest = this.#table === undefined ? this.#base : this.#empty?.hwpt;
    const hwpt = old?.hwpt ?? (pasid === RID ? rest : undefined);
    try {
      if (hwpt === undefined) this.member.detach(own);
      else this.member.attach(own, hwpt.id);
      return true;
    } catch (cause) {
      if (!(cause instanceof Refusal)) throw cause;
      this.member.detach(own);
      return false;
    }
  }

  /** Requests without PASID, while a table is bound. */
  #putRid(wanted: Wanted | undefined, undo: Undo): void {
    if (this.#pages.has(RID)) return;
    if (wanted !== undefined) {
      this.#put(this.#entries, RID, wanted, undo);
      return;
    }
    const old = this.#entries.get(RID);
    this.attachRid(this.#nothing(undo));
    this.#entries.delete(RID);
    if (old !== undefined) this.#retired.push(old);
    undo(() => this.#revive(this.#entries, RID, old));
  }

  #make({ stage, key, fault }: Wanted): Bound {
    const base = this.#base as PagingHwpt;
    if (stage === undefined) return { key, hwpt: base };
    const { flags, pgd, width } = stage;
    const data = encode(S1, { flags: BigInt(flags), pgd, width });
    const more = this.pasidWidth > 0 ? HWPT_FLAGS.PASID : 0;
    return { key, hwpt: this.tables.nested(this.device, base, more, HWPT_DATA.VTD_S1, data, fault) };
  }

  #free({ hwpt }: Bound): void {
    if (hwpt.kind === 'hwpt-nested') this.tables.drop(hwpt);
  }

  protected override makeRoom(undo: Undo): void {
    if (this.#base !== undefined) return;
    const pasids = this.pasidWidth > 0;
    const nest = IntelDevice.nests(this.#info) ? HWPT_FLAGS.NEST_PARENT : 0;
    const flags = nest | (pasids ? HWPT_FLAGS.PASID : 0);
    const base = this.tables.paging(this.device, this.ioas, flags, pasids);
    try {
      this.attachRid(base);
    } catch (cause) {
      this.tables.drop(base);
      throw cause;
    }
    this.#base = base;
    undo(() => this.#leaveRoom(base));
  }

  /** The container's automatic table says the same: where even that is refused, this one stays. */
  #leaveRoom(base: PagingHwpt): void {
    if (!this.attachedAsBefore()) return;
    this.#base = undefined;
    this.tables.drop(base);
  }

  #nothing(undo: Undo): PagingHwpt {
    if (this.#empty !== undefined) return this.#empty.hwpt;
    const ioas = this.tables.ioas();
    undo(() => this.tables.drop(ioas));
    const pasids = this.pasidWidth > 0;
    const hwpt = this.tables.paging(this.device, ioas, pasids ? HWPT_FLAGS.PASID : 0, pasids);
    this.#empty = { ioas, hwpt };
    undo(() => {
      this.tables.drop(hwpt);
      this.#empty = undefined;
    });
    return hwpt;
  }

  invalidate(request: InvalidateRequest): void {
    this.checkModel(request.model);
    const { types, flags } = checkTypes(request, exactly(request.opaque, INTL_INVALIDATE));
    const { ofPasid, pasid } = request;
    const known = this.#table !== undefined || this.#pages.has(pasid);
    demand(!ofPasid || known, 'ENOENT', `nothing is bound to PASID ${pasid}`);
    if ((types & INV_TYPE.PASID_CACHE) !== 0) this.#look(ofPasid ? pasid : undefined);
    const withPasid = (types & (INV_TYPE.EXTENDED_IOTLB | INV_TYPE.EXTENDED_DEVICE_TLB)) !== 0;
    const without = (types & (INV_TYPE.IOTLB | INV_TYPE.DEVICE_TLB)) !== 0;
    const leaf = (flags & INV_FLAGS.HINT) !== 0;
    for (const bindings of [this.#entries, this.#pages]) {
      for (const [one, { hwpt }] of bindings) {
        const meant = one === RID ? without || (withPasid && ofPasid) : withPasid;
        if (meant && (!ofPasid || one === pasid) && hwpt.kind === 'hwpt-nested')
          this.#invalidate(hwpt, request, leaf);
      }
    }
  }

  /** The host drops what the function has cached along with the IOTLB, and waits for reads and writes on the way. */
  #invalidate({ domain }: NestedHwpt, { pages, addr, size }: InvalidateRequest, leaf: boolean): void {
    const npages = pages ? size >> PAGE_SHIFT : EVERY_PAGE;
    const flags = leaf && pages ? LEAF : 0;
    const entry = encode(S1_INVALIDATE, { addr, npages, flags });
    const own = { bytes: (at: bigint, length: number) => entry.subarray(Number(at), Number(at) + length) };
    domain.invalidate?.(new UserArray(own, INVALIDATE_DATA.VTD_S1, 0n, entry.length, 1));
  }

  /** The guest says that entries of its table changed: one PASID's, or all. What is not as it was is dropped first. */
  #look(only: number | undefined): void {
    const { info } = this.#table ?? {};
    if (info === undefined) {
      for (const [pasid, { hwpt }] of this.#pages)
        if ((only === undefined || pasid === only) && hwpt.kind === 'hwpt-nested')
          this.#invalidate(hwpt, WHOLE, false);
      return;
    }
    const wanted = new Map<number, Wanted>();
    const refusals: Refusal[] = [];
    const see = (pasid: number, words: Uint32Array) => {
      try {
        const entry = wantedOf(pasid, words, info.fault);
        if (entry !== undefined) wanted.set(pasid, entry);
      } catch (cause) {
        if (!(cause instanceof Refusal)) throw cause;
        refusals.push(cause);
      }
    };
    if (only === undefined) this.#eachEntry(info, see);
    else if (BigInt(only) < info.entries) this.#oneEntry(info, only, see);
    const looked =
      only === undefined ? new Set([...this.#entries.keys(), ...wanted.keys()]) : new Set([only]);
    for (const pasid of looked) transact((undo) => this.#follow(pasid, wanted.get(pasid), undo));
    this.settle();
    if (refusals[0] !== undefined) throw refusals[0];
  }

  /** One PASID as the guest has it now: an entry that is gone or changed is off the host before another is on. */
  #follow(pasid: number, wanted: Wanted | undefined, undo: Undo): void {
    const old = this.#entries.get(pasid);
    if (wanted?.key === old?.key) return;
    if (pasid === RID) {
      this.#putRid(wanted, undo);
      return;
    }
    if (old !== undefined) {
      this.member.detach(pasid);
      this.#entries.delete(pasid);
      this.#retired.push(old);
    }
    if (wanted !== undefined) this.#put(this.#entries, pasid, wanted, undo);
  }

  /** Every present entry. Throws EFAULT where the directory, or a table that it names, is not mapped. */
  #eachEntry({ ptr, entries }: TableInfo, see: (pasid: number, words: Uint32Array) => void): void {
    const directories = (entries + BigInt(PASIDS_OF_TABLE - 1)) / BigInt(PASIDS_OF_TABLE);
    let first = 0;
    eachPage(this.ioas, ptr, directories * BigInt(DIRECTORY_ENTRY_BYTES), (bytes) => {
      const words = wordsIn(bytes);
      for (let i = 0; i < words.length; i += 2, first += PASIDS_OF_TABLE) {
        const table = tableOf(words.subarray(i, i + 2));
        if (table === undefined) continue;
        const all = wordsIn(bytesAt(this.ioas, table, PASIDS_OF_TABLE * ENTRY_BYTES));
        for (let one = 0; one < PASIDS_OF_TABLE && BigInt(first + one) < entries; one++)
          see(first + one, all.subarray(one * 16, one * 16 + 16));
      }
    });
  }

  #oneEntry({ ptr }: TableInfo, pasid: number, see: (pasid: number, words: Uint32Array) => void): void {
    const directory = ptr + BigInt(Math.floor(pasid / PASIDS_OF_TABLE) * DIRECTORY_ENTRY_BYTES);
    const table = tableOf(wordsIn(bytesAt(this.ioas, directory, DIRECTORY_ENTRY_BYTES)));
    if (table === undefined) return;
    const at = table + BigInt((pasid % PASIDS_OF_TABLE) * ENTRY_BYTES);
    see(pasid, wordsIn(bytesAt(this.ioas, at, ENTRY_BYTES)));
  }

  protected override end(): void {
    for (const pasid of [...this.#entries.keys(), ...this.#pages.keys()])
      if (pasid !== RID) this.member.detach(pasid);
    if (this.#base === undefined) return;
    this.member.detach(undefined);
    for (const bindings of [this.#entries, this.#pages]) {
      for (const bound of bindings.values()) this.#free(bound);
      bindings.clear();
    }
    if (this.#empty !== undefined) {
      this.tables.drop(this.#empty.hwpt);
      this.tables.drop(this.#empty.ioas);
    }
    this.tables.drop(this.#base);
    this.#base = undefined;
    this.#empty = undefined;
    this.#table = undefined;
  }
}

const WHOLE: InvalidateRequest = {
  model: IOMMU_MODEL.INTL,
  pages: false,
  ofPasid: false,
  pasid: 0,
  addr: 0n,
  size: 0n,
  opaque: new Uint8Array(0),
};

function stageOf(flags: number, pgd: bigint, width: number, fault: FaultQueue | undefined): Wanted {
  const key = `first stage ${flags} ${pgd} ${width} ${fault?.id}`;
  return { stage: { flags, pgd, width }, fault, key };
}

/** What an entry of a guest's PASID table asks for; `undefined`: not present. Throws EOPNOTSUPP for what the host does not nest. */
function wantedOf(pasid: number, words: Uint32Array, fault: FaultQueue | undefined): Wanted | undefined {
  const get = PASID_ENTRY.get;
  if (get.P(words, 0) === 0) return undefined;
  const type = get.PGTT(words, 0);
  if (type === PGTT_PASS_THROUGH) return IDENTITY;
  if (type !== PGTT_FIRST)
    refuse(
      'EOPNOTSUPP',
      `the entry of PASID ${pasid} has translation type ${type}: the host nests first stages`,
    );
  const flags =
    (get.SRE(words, 0) * X86L_FLAGS.SRE) |
    (get.EAFE(words, 0) * X86L_FLAGS.EAFE) |
    (get.WPE(words, 0) * X86L_FLAGS.WPE);
  const pgd = (BigInt(words[5] as number) << 32n) | BigInt(((words[4] as number) & FRAME) >>> 0);
  return stageOf(flags, pgd, get.FSPM(words, 0) === 1 ? 57 : 48, fault);
}

function tableOf(words: Uint32Array): bigint | undefined {
  if (PASID_DIRECTORY_ENTRY.get.P(words, 0) === 0) return undefined;
  return (BigInt(words[1] as number) << 32n) | BigInt(((words[0] as number) & FRAME) >>> 0);
}

/** A copy of bytes as words: those of the guest are not aligned to anything here. */
const wordsIn = (bytes: Uint8Array): Uint32Array => new Uint32Array(bytes.slice().buffer);

const wordsOf = (view: DataView, at: number): Uint32Array =>
  Uint32Array.of(view.getUint32(at, true), view.getUint32(at + 4, true));
