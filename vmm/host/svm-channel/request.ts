import type { FaultQueue } from '../iommufd/fault-queue.ts';
import { demand, refuse } from '../kernel/errno.ts';
import type { Process } from '../kernel/process.ts';
import { decode, type UapiFields, type UapiStruct, type UapiValues } from '../kernel/struct.ts';
import {
  BIND,
  GRANULARITY,
  INV_FLAGS,
  INV_TYPE,
  IOMMU_MODEL,
  modelName,
  PAGE_TABLE,
  PAGE_TABLE_MODEL,
  PASID_ONLY,
  PASID_TABLE,
  RELEASE,
  SVM_BIND,
  SVM_INVALIDATE,
} from './abi.ts';

/** A page holds the longest opaque part there is many times over. */
const MOST_DATA = 4096;
const ENTRY_BYTES = 64n;
const PAGE = 4096n;
const KINDS = BIND.PASIDTP | BIND.PGTABLE;
const ALL_ONES = (1n << 64n) - 1n;
/** Maximum invalidations pending, and a source-id, as descriptors of VT-d have them. */
const MOST_PENDING = 31;
const MOST_PASID = 0xfffff;
const MOST_SOURCE = 0xffff;

/** A PASID table that is handed down. */
export interface TableInfo {
  /** Functions may keep translations of it. */
  readonly deviceTlb: boolean;
  readonly ptr: bigint;
  /** 0: there are none, and nothing gets through. */
  readonly entries: bigint;
  readonly model: number;
  readonly variant: number;
  readonly opaque: Uint8Array;
  /** Where page requests go. */
  readonly fault?: FaultQueue | undefined;
}

/** One page table that is handed down. */
export interface PageInfo {
  readonly pasid: number;
  readonly pgd: bigint;
  readonly model: number;
  readonly variant: number;
  readonly opaque: Uint8Array;
  readonly fault?: FaultQueue | undefined;
}

export type BindRequest =
  | {
      readonly kind: 'table';
      readonly replace: boolean;
      readonly fault: number;
      readonly info: TableInfo;
    }
  | { readonly kind: 'page'; readonly replace: boolean; readonly fault: number; readonly info: PageInfo }
  /** The caller's address space. `at`: where its PASID goes. */
  | { readonly kind: 'task'; readonly at: bigint };

export type UnbindRequest =
  | { readonly kind: 'table' }
  | { readonly kind: 'pasid'; readonly pasid: number; readonly reusable: boolean };

export interface InvalidateRequest {
  readonly model: number;
  /** Everything of the devices, pages, a PASID, or pages of a PASID. */
  readonly pages: boolean;
  readonly ofPasid: boolean;
  readonly pasid: number;
  readonly addr: bigint;
  readonly size: bigint;
  readonly opaque: Uint8Array;
}

/** What is invalidated, and how: the architecture part as far as all have it. */
export interface InvalidateTypes {
  readonly types: number;
  readonly flags: number;
}

/** Throws EFAULT, EINVAL, E2BIG, EOVERFLOW. */
export function readBind(caller: Process, address: bigint): BindRequest {
  const { flags, data, fault } = readHeader(caller, address, KINDS | BIND.REPLACE | BIND.DEVICE_TLB);
  const kind = flags & KINDS;
  const replace = (flags & BIND.REPLACE) !== 0;
  demand(kind !== KINDS, 'EINVAL', 'a PASID table and a page table at once');
  const deviceTlb = (flags & BIND.DEVICE_TLB) !== 0;
  demand(!deviceTlb || kind === BIND.PASIDTP, 'EINVAL', 'device-TLBs go with PASID tables');
  if (kind === BIND.PASIDTP) return { kind: 'table', replace, fault, info: { ...tableOf(data), deviceTlb } };
  if (kind === BIND.PGTABLE) return { kind: 'page', replace, fault, info: pageOf(data) };
  demand(!replace, 'EINVAL', "nothing is in the place of a process' own address space");
  demand(fault === 0, 'EINVAL', 'a process answers its own page requests');
  exactly(data, PASID_ONLY);
  return { kind: 'task', at: address + BigInt(SVM_BIND.bytes) };
}

/** Throws EFAULT, EINVAL, E2BIG. */
export function readUnbind(caller: Process, address: bigint): UnbindRequest {
  const known = BIND.PASIDTP | RELEASE.FLUSHED | RELEASE.CLEAN;
  const { flags, data, fault } = readHeader(caller, address, known);
  demand(fault === 0, 'EINVAL', 'a fault queue, and nothing is bound');
  const release = flags & (RELEASE.FLUSHED | RELEASE.CLEAN);
  if ((flags & BIND.PASIDTP) !== 0) {
    demand(release === 0, 'EINVAL', 'a PASID table releases no PASID: they are its owner’s');
    demand(data.length === 0, 'EINVAL', 'unbinding a PASID table has no data');
    return { kind: 'table' };
  }
  demand(
    release !== (RELEASE.FLUSHED | RELEASE.CLEAN),
    'EINVAL',
    'a PASID is released in one way: FLUSHED or CLEAN',
  );
  const { pasid } = exactly(data, PASID_ONLY);
  return { kind: 'pasid', pasid, reusable: release !== 0 };
}

/** Throws EFAULT, EINVAL, E2BIG, EOVERFLOW. */
export function readInvalidate(caller: Process, address: bigint): InvalidateRequest {
  const bytes = caller.bytes(address, SVM_INVALIDATE.bytes, false).slice();
  const { argsz, flags, model, length, granularity, pasid, addr, size } = decode(SVM_INVALIDATE, bytes);
  demand(flags === 0, 'EINVAL', 'an invalidation has no flags of its own');
  const opaque = dataOf(caller, address, SVM_INVALIDATE, argsz, length);
  demand(
    (granularity & ~(GRANULARITY.PAGE | GRANULARITY.PASID)) === 0,
    'EINVAL',
    `granularity 0x${granularity.toString(16)} is not known`,
  );
  const pages = (granularity & GRANULARITY.PAGE) !== 0;
  const ofPasid = (granularity & GRANULARITY.PASID) !== 0;
  demand(pasid <= MOST_PASID, 'EINVAL', 'a PASID has 20 bits');
  demand(ofPasid || pasid === 0, 'EINVAL', 'a PASID, and a granularity that has none');
  if (pages) {
    const aligned = addr % PAGE === 0n && size % PAGE === 0n && size > 0n;
    demand(aligned, 'EINVAL', 'address and size are no whole pages');
    demand(addr + size - 1n <= ALL_ONES, 'EOVERFLOW', 'the pages pass the last address');
  } else demand(addr === 0n && size === 0n, 'EINVAL', 'an address, and a granularity that has none');
  return { model, pages, ofPasid, pasid, addr, size, opaque };
}

/** The part that all architectures have. Throws EINVAL. */
export function checkTypes(
  { pages, ofPasid }: InvalidateRequest,
  values: { readonly inv_type: number; readonly flags: number; readonly mip: number; readonly pfsid: number },
): InvalidateTypes {
  const { inv_type: types, flags, mip, pfsid } = values;
  demand(types !== 0 && (types & ~31) === 0, 'EINVAL', `invalidation types 0x${types.toString(16)}`);
  demand((flags & ~31) === 0, 'EINVAL', `unknown flags 0x${flags.toString(16)} of an invalidation`);
  const withPasid = INV_TYPE.EXTENDED_IOTLB | INV_TYPE.EXTENDED_DEVICE_TLB;
  const without = INV_TYPE.IOTLB | INV_TYPE.DEVICE_TLB;
  demand(!ofPasid || (types & without) === 0, 'EINVAL', 'types of requests without PASID, and a PASID');
  // Pages of every PASID, where the architecture has that.
  const every =
    ((flags & INV_FLAGS.GLOBAL) !== 0 ? INV_TYPE.EXTENDED_IOTLB : 0) |
    ((flags & INV_FLAGS.DEVICE_TLB_GLOBAL) !== 0 ? INV_TYPE.EXTENDED_DEVICE_TLB : 0);
  demand(
    !pages || ofPasid || (types & withPasid & ~every) === 0,
    'EINVAL',
    'pages of requests with PASID, and no PASID',
  );
  demand(!pages || (types & INV_TYPE.PASID_CACHE) === 0, 'EINVAL', 'a PASID cache has no pages');
  const functions = (types & (INV_TYPE.DEVICE_TLB | INV_TYPE.EXTENDED_DEVICE_TLB)) !== 0;
  demand(functions || (mip | pfsid) === 0, 'EINVAL', 'mip and pfsid are of device-TLBs');
  demand(
    functions || (flags & INV_FLAGS.DEVICE_TLB_GLOBAL) === 0,
    'EINVAL',
    'the global flag of device-TLBs, and no device-TLB',
  );
  demand(mip <= MOST_PENDING && pfsid <= MOST_SOURCE, 'EINVAL', 'mip or pfsid is out of range');
  return { types, flags };
}

/** An opaque part of known length. Throws EINVAL where it is too short, E2BIG where there is more that is not zero. */
export function exactly<F extends UapiFields>(bytes: Uint8Array, struct: UapiStruct<F>): UapiValues<F> {
  demand(
    bytes.length >= struct.least,
    'EINVAL',
    `${struct.name} has ${struct.bytes} bytes, and ${bytes.length} were given`,
  );
  demand(
    bytes.subarray(struct.bytes).every((byte) => byte === 0),
    'E2BIG',
    `${struct.name} has ${struct.bytes} bytes, and more were given`,
  );
  return decode(struct, bytes);
}

/** Throws E2BIG where an opaque part that has nothing says something. */
export function empty(opaque: Uint8Array, what: string): void {
  demand(
    opaque.every((byte) => byte === 0),
    'E2BIG',
    `the opaque part of ${what} is empty`,
  );
}

function readHeader(caller: Process, address: bigint, known: number) {
  const {
    argsz,
    flags,
    length,
    fault_id: fault,
    reserved,
  } = decode(SVM_BIND, caller.bytes(address, SVM_BIND.bytes, false).slice());
  const unknown = flags & ~known;
  demand(unknown === 0, 'EINVAL', `unknown flags 0x${(unknown >>> 0).toString(16)}`);
  demand(reserved === 0, 'EINVAL', 'the reserved field is not zero');
  return { flags, fault, data: dataOf(caller, address, SVM_BIND, argsz, length) };
}

/** What follows the fixed part, as it is now. */
function dataOf(caller: Process, address: bigint, struct: UapiStruct, argsz: number, length: number) {
  demand(length <= MOST_DATA, 'EINVAL', `${length} bytes of data`);
  const needed = struct.bytes + length;
  demand(argsz >= needed, 'EINVAL', `argsz ${argsz} is less than the ${needed} bytes of ${struct.name}`);
  demand(argsz <= struct.bytes + MOST_DATA, 'E2BIG', `argsz ${argsz} is more than a page`);
  const all = caller.bytes(address + BigInt(struct.bytes), argsz - struct.bytes, false).slice();
  demand(
    all.subarray(length).every((byte) => byte === 0),
    'E2BIG',
    `${struct.name} has more than its length says`,
  );
  return all.subarray(0, length);
}

function tableOf(data: Uint8Array): Omit<TableInfo, 'deviceTlb'> {
  const { ptr, size, model, variant } = fixedPart(data, PASID_TABLE);
  namespace(model, IOMMU_MODEL, PAGE_TABLE_MODEL, 'a flavour of IOMMU', 'a format of page tables');
  demand(ptr % ENTRY_BYTES === 0n, 'EINVAL', 'the PASID table is not aligned');
  const entries = size / ENTRY_BYTES;
  const power = size % ENTRY_BYTES === 0n && (entries & (entries - 1n)) === 0n;
  demand(power, 'EINVAL', `${size} bytes are no table: its size is 64 bytes times a power of two`);
  demand(size > 0n || ptr === 0n, 'EINVAL', 'a table without entries is nowhere');
  demand(ptr + size <= ALL_ONES, 'EOVERFLOW', 'the table passes the last address');
  return { ptr, entries, model, variant, opaque: data.subarray(PASID_TABLE.bytes) };
}

function pageOf(data: Uint8Array): PageInfo {
  const { pasid, reserved, pgd, model, variant } = fixedPart(data, PAGE_TABLE);
  demand(reserved === 0, 'EINVAL', 'the reserved field is not zero');
  namespace(model, PAGE_TABLE_MODEL, IOMMU_MODEL, 'a format of page tables', 'a flavour of IOMMU');
  return { pasid, pgd, model, variant, opaque: data.subarray(PAGE_TABLE.bytes) };
}

function fixedPart<F extends UapiFields>(data: Uint8Array, struct: UapiStruct<F>): UapiValues<F> {
  demand(
    data.length >= struct.bytes,
    'EINVAL',
    `${data.length} bytes, and ${struct.name} has ${struct.bytes}`,
  );
  return decode(struct, data);
}

type Models = Readonly<Record<string, number>>;

/** IOMMUs and page tables have names apart. Throws EINVAL. */
function namespace(model: number, own: Models, other: Models, what: string, whatElse: string): void {
  if (Object.values(own).includes(model)) return;
  if (Object.values(other).includes(model))
    refuse('EINVAL', `${modelName(model)} is ${whatElse}, where ${what} is wanted`);
  refuse('EINVAL', `0x${model.toString(16)} is not the magic of ${what}`);
}
