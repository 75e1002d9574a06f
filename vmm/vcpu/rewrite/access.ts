import { PAGE_SHIFT } from '../../mem/layout.ts';
import type { BodyContext } from './context.ts';
import type { Fuel } from './fuel.ts';
import { constant, flagLoad, joinHalves, op1, slowLoad, slowStore, upperHalf } from './helpers.ts';
import { type Access, ATOMIC, CLS, F32, F64, I64, OP, V128, VOID } from './opcodes.ts';
import { type ScratchLocals, SLOT_ADDR, secondSlot, valueSlot } from './scratch.ts';
import { FAULT } from './slow-path.ts';
import type { Writer } from './writer.ts';

/** One memory instruction as it was decoded; one object for all, filled anew each time. */
export interface Site {
  key: number;
  access: Access;
  off: number;
  /** As the instruction states it: a power of two's exponent. */
  align: number;
  lane: number;
  /** Encoded bytes of the instruction in the original module. */
  start: number;
  end: number;
}

/** Emits the inline check, the original instruction and the slow branch of one memory access. */
export class AccessEmitter {
  private readonly ctx: BodyContext;
  private readonly out: Writer;
  private readonly source: Uint8Array;
  private readonly scratch: ScratchLocals;
  private readonly fuel: Fuel;
  private readonly hint: (likely: number) => void;

  constructor(
    ctx: BodyContext,
    out: Writer,
    source: Uint8Array,
    scratch: ScratchLocals,
    fuel: Fuel,
    hint: (likely: number) => void,
  ) {
    this.ctx = ctx;
    this.out = out;
    this.source = source;
    this.scratch = scratch;
    this.fuel = fuel;
    this.hint = hint;
  }

  /** May a load from this constant address be left as it is? */
  constantIsRam(site: Site, address: number): boolean {
    const { ramBase, ramEnd } = this.ctx.layout;
    const at = (address >>> 0) + site.off;
    return at >= ramBase && at + site.access.width <= ramEnd;
  }

  /** The address on the stack is known to miss RAM. */
  directSlowLoad(site: Site): void {
    this.fuel.beforeSlow(this.out);
    constant(this.out, site.off);
    this.callSlowLoad(site.access);
    this.fuel.afterSlow(this.out);
  }

  /** Is a load at this offset outside RAM whatever its base? */
  neverRam(site: Site): boolean {
    return site.off + site.access.width > this.ctx.layout.ramEnd;
  }

  emit(site: Site): void {
    const { access } = site;
    if (access.op === ATOMIC.wait) this.wait(site);
    else if (access.cls === CLS.load && this.neverRam(site)) this.directSlowLoad(site);
    else if (readsOnly(access)) this.checkedLoad(site);
    else this.checkedStore(site);
  }

  /** addr outside [lo, limit] as unsigned numbers -> slow. */
  private checkedLoad(site: Site): void {
    const { out } = this;
    const { ramBase, ramEnd } = this.ctx.layout;
    const { access, off } = site;
    this.saveOperands(access);
    const addr = this.scratch.local(SLOT_ADDR);
    if (this.neverRam(site)) {
      op1(out, OP.local_set, addr);
      this.slow(site);
      return;
    }
    const lowest = Math.max(0, ramBase - off);
    op1(out, OP.local_tee, addr);
    if (lowest !== 0) {
      constant(out, lowest);
      out.u8(OP.i32_sub);
    }
    constant(out, ramEnd - access.width - off - lowest);
    out.u8(OP.i32_gt_u);
    this.hint(0);
    out.u8x2(OP.if, access.type);
    this.slow(site);
    out.u8(OP.else);
    this.original(site);
    out.u8(OP.end);
  }

  /** The page flag of addr + off; a sum beyond 2^32 wraps to some flag and then the store itself traps. */
  private checkedStore(site: Site): void {
    const { out } = this;
    const { access, off } = site;
    this.saveOperands(access);
    const addr = this.scratch.local(SLOT_ADDR);
    if (this.neverRam(site)) {
      op1(out, OP.local_set, addr);
      this.slow(site);
      return;
    }
    op1(out, OP.local_tee, addr);
    if (off !== 0) {
      constant(out, off);
      out.u8(OP.i32_add);
    }
    constant(out, PAGE_SHIFT);
    out.u8(OP.i32_shr_u);
    flagLoad(out, this.ctx.layout);
    this.hint(1);
    out.u8x2(OP.if, resultType(access));
    this.original(site);
    out.u8(OP.else);
    this.slow(site);
    out.u8(OP.end);
  }

  /** Everything above the address goes from the stack to scratch locals. */
  private saveOperands(access: Access): void {
    if (access.cls === CLS.load) return;
    if (access.cls !== CLS.atomic) {
      op1(this.out, OP.local_set, this.scratch.local(valueSlot(access.type)));
      return;
    }
    if (access.operands === 2) op1(this.out, OP.local_set, this.scratch.local(secondSlot(access.type)));
    if (access.operands >= 1) op1(this.out, OP.local_set, this.scratch.local(valueSlot(access.type)));
  }

  private pushOperands(access: Access): void {
    if (access.cls === CLS.load) return;
    if (access.cls !== CLS.atomic || access.operands >= 1) this.pushValue(access);
    if (access.operands === 2) op1(this.out, OP.local_get, this.scratch.local(secondSlot(access.type)));
  }

  private pushValue(access: Access): void {
    op1(this.out, OP.local_get, this.scratch.local(valueSlot(access.type)));
  }

  private pushAddress(off: number): void {
    op1(this.out, OP.local_get, this.scratch.local(SLOT_ADDR));
    constant(this.out, off);
  }

  private original(site: Site): void {
    op1(this.out, OP.local_get, this.scratch.local(SLOT_ADDR));
    this.pushOperands(site.access);
    this.out.range(this.source, site.start, site.end);
  }

  private slow(site: Site): void {
    this.fuel.beforeSlow(this.out);
    this.slowForm(site);
    this.fuel.afterSlow(this.out);
  }

  private slowForm({ access, off, lane, key }: Site): void {
    const { out } = this;
    if (access.cls === CLS.loadLane) this.pushValue(access);
    this.pushAddress(off);
    switch (access.cls) {
      case CLS.load:
        this.callSlowLoad(access);
        return;
      case CLS.loadLane:
        this.callSlowLoad(access);
        out.u8(lane);
        return;
      case CLS.store:
      case CLS.storeLane:
        this.pushWords(access, lane);
        op1(out, OP.call, this.ctx.slow[slowStore(access.width)]);
        return;
      default:
        if (access.op === ATOMIC.notify) {
          this.fault(FAULT.notify);
          return;
        }
        this.pushOperands(access);
        op1(out, OP.call, this.ctx.helpers.index(key));
    }
  }

  private callSlowLoad(access: Access): void {
    const { out } = this;
    if (access.width === 16) {
      this.fault(FAULT.load128);
      return;
    }
    op1(out, OP.call, this.ctx.slow[slowLoad(access.width)]);
    if (access.width === 8) joinHalves(out, this.ctx.layout.hiWord);
    for (const byte of access.tail) out.u8(byte);
  }

  private fault(kind: number): void {
    constant(this.out, kind);
    op1(this.out, OP.call, this.ctx.slow.fault);
    this.out.u8(OP.unreachable);
  }

  /** The value of a store as i32 words. */
  private pushWords(access: Access, lane: number): void {
    const { out } = this;
    const { type, width } = access;
    if (type === V128 && width === 16) {
      for (let word = 0; word < 4; word++) {
        this.pushValue(access);
        out.u8x2(OP.simd, 0x1b); // i32x4.extract_lane
        out.u8(word);
      }
      return;
    }
    this.pushInteger(access, lane);
    if (width === 8 || type === I64) out.u8(OP.i32_wrap_i64);
    if (width === 8) {
      this.pushInteger(access, lane);
      upperHalf(out);
    }
  }

  private pushInteger(access: Access, lane: number): void {
    const { out } = this;
    this.pushValue(access);
    if (access.type === F32) out.u8(OP.i32_reinterpret_f32);
    else if (access.type === F64) out.u8(OP.i64_reinterpret_f64);
    else if (access.type === V128) {
      for (const byte of access.tail) out.u8(byte);
      out.u8(lane);
    }
  }

  /** Operands are dropped: nothing but a fault can come of it. */
  private wait({ off }: Site): void {
    const { out } = this;
    out.u8x2(0x1a, 0x1a); // drop the timeout and the expected value; the address stays
    this.fuel.beforeSlow(out);
    constant(out, off);
    this.fault(FAULT.wait);
  }
}

export function readsOnly(access: Access): boolean {
  if (access.cls === CLS.atomic) return access.op === ATOMIC.load || access.op === ATOMIC.notify;
  return access.cls === CLS.load || access.cls === CLS.loadLane;
}

function resultType(access: Access): number {
  if (access.cls !== CLS.atomic || access.op === ATOMIC.store) return VOID;
  return access.type;
}
