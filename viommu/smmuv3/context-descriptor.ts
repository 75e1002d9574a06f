import { TG0_BITS, TG1_BITS } from '../spec/paging/vmsa.ts';
import { CD } from '../spec/smmuv3/structures.ts';
import { isBeyond, VmsaTables } from '../walk/vmsa.ts';
import { canonical } from './caches.ts';
import { addressBeyond, descriptorBeyond, largestSize, outputBits, type Stream } from './stream-table.ts';
import { STALLS_FORCED, STALLS_NEVER, type UnitFeatures } from './unit.ts';

/** A CD as the procedure uses it. */
export class Context {
  asid = 0;
  aset = 0;
  /** Tables by half of the address space; without the upper one in EL2. */
  readonly low = new VmsaTables();
  readonly high = new VmsaTables();
  lowOn = false;
  highOn = false;
  /** TBI and E0PD by half: bit 0 lower, bit 1 upper. */
  ignoresTop = 0;
  unprivilegedOff = 0;
  stalls = false;
  records = false;
}

const get = CD.get;

/** SMMUv3: Validity of CD. True when the words are a valid CD that is not ILLEGAL for the stream. */
export function isLegalCd(w: Uint32Array, at: number, u: UnitFeatures, stream: Stream): boolean {
  if (get.V(w, at) === 0) return false;
  const stalls = get.S(w, at) === 1;
  if (stalls && (stream.stallsForbidden || u.stallModel === STALLS_NEVER)) return false;
  if (!stalls && u.stallModel === STALLS_FORCED) return false;
  if (get.A(w, at) === 0 && u.abortOnly) return false;
  const lowOn = stream.single || get.EPD0(w, at) === 0;
  const highOn = !stream.single && get.EPD1(w, at) === 0;
  if (get.ENDI(w, at) === 1 && (lowOn || highOn)) return false;
  if (get.AA64(w, at) === 0) return false;
  if ((get.HA(w, at) === 1 && u.httu < 1) || (get.HD(w, at) === 1 && u.httu < 2)) return false;
  if (!stream.single && !u.asid16 && get.ASID(w, at) > 0xff) return false;
  const beyond = addressBeyond(outputBits(get.IPS(w, at), u.oas));
  if (
    lowOn &&
    !isLegalHalf(get.T0SZ(w, at), TG0_BITS[get.TG0(w, at) as 0 | 1 | 2 | 3], w[at + 3]!, u, beyond)
  )
    return false;
  return (
    !highOn || isLegalHalf(get.T1SZ(w, at), TG1_BITS[get.TG1(w, at) as 0 | 1 | 2 | 3], w[at + 5]!, u, beyond)
  );
}

function isLegalHalf(
  size: number,
  granule: number,
  tableHi: number,
  u: UnitFeatures,
  beyond: number,
): boolean {
  if (granule === 0 || (u.granules & (1 << granule)) === 0) return false;
  return size >= 16 && size <= largestSize(granule, u) && (tableHi & beyond) === 0;
}

/** Decodes a legal CD. */
export function decodeCd(w: Uint32Array, at: number, u: UnitFeatures, stream: Stream, out: Context): void {
  out.asid = get.ASID(w, at);
  out.aset = get.ASET(w, at);
  out.lowOn = stream.single || get.EPD0(w, at) === 0;
  out.highOn = !stream.single && get.EPD1(w, at) === 0;
  // docs/deviations.md: smmu-tbi1.
  out.ignoresTop = get.TBI0(w, at) | ((u.qemu ? get.TBI0(w, at) : get.TBI1(w, at)) << 1);
  out.unprivilegedOff = u.e0pd && !stream.single ? get.E0PD0(w, at) | (get.E0PD1(w, at) << 1) : 0;
  out.stalls = get.S(w, at) === 1;
  out.records = get.R(w, at) === 1;
  const { low, high } = out;
  if (out.lowOn) {
    place(low, get.T0SZ(w, at), TG0_BITS[get.TG0(w, at) as 0 | 1 | 2 | 3], w[at + 2]!, w[at + 3]!);
    controls(low, w, at, u, stream);
    low.flat = u.had && get.HAD0(w, at) === 1;
  }
  if (out.highOn) {
    place(high, get.T1SZ(w, at), TG1_BITS[get.TG1(w, at) as 0 | 1 | 2 | 3], w[at + 4]!, w[at + 5]!);
    controls(high, w, at, u, stream);
    high.flat = u.had && get.HAD1(w, at) === 1;
  }
}

function place(t: VmsaTables, size: number, granule: number, tableLo: number, tableHi: number): void {
  const stride = granule - 3;
  t.granule = granule;
  t.bits = 64 - size;
  t.start = 4 - Math.ceil((t.bits - granule) / stride);
  const below = (3 - t.start) * stride + granule;
  t.tableLo = tableLo & -Math.max(2 ** (t.bits - below + 3), 16);
  t.tableHi = tableHi & 0xffffff;
}

function controls(t: VmsaTables, w: Uint32Array, at: number, u: UnitFeatures, stream: Stream): void {
  t.beyond = descriptorBeyond(outputBits(get.IPS(w, at), u.oas));
  t.ignoreAccess = get.AFFD(w, at) === 1;
  t.marksAccess = get.HA(w, at) === 1;
  t.marksDirty = get.HD(w, at) === 1;
  t.noWriteExecute = get.WXN(w, at) === 1;
  t.privilegedNever = !stream.single && get.PAN(w, at) === 1;
  t.enhancedNever = u.epan && get.EPAN(w, at) === 1;
  // docs/deviations.md: smmu-unprivileged.
  t.single = stream.single || u.qemu;
  // docs/deviations.md: smmu-table-size.
  t.tablesUnchecked = u.qemu;
}

/** The address belongs to one of the halves of the address space, and that has tables. */
export function inRange(context: Context, single: boolean, lo: number, hi: number): boolean {
  const half = single ? 0 : (hi >>> 23) & 1;
  if (!(half === 0 ? context.lowOn : context.highOn)) return false;
  const { bits } = half === 0 ? context.low : context.high;
  const ignored = ((context.ignoresTop >>> half) & 1) !== 0;
  const upper = (ignored ? canonical(hi) : hi) ^ -half;
  return !isBeyond(lo ^ -half, upper, bits);
}
