import { type HiddenLayout, PAGE_SHIFT } from '../../mem/layout.ts';
import { mmuBulkBody, mmuInitBody } from './mmu-helpers.ts';
import type { MmuName } from './mmu-path.ts';
import { ACCESS, type Access, ATOMIC, I32, I64, KEY_ATOMIC, OP, VOID } from './opcodes.ts';
import { FAULT, type SlowName } from './slow-path.ts';
import type { TypePool } from './types.ts';
import { Writer } from './writer.ts';

/** Helper keys beside access keys (which stand for the slow form of an atomic instruction). */
export const HELPER_COPY = 0x300;
export const HELPER_FILL = 0x301;
export const HELPER_GROW = 0x302;
/** memory.init of segment n is HELPER_INIT + n. */
export const HELPER_INIT = 0x400;

export interface HelperFunction {
  readonly name: string;
  readonly type: number;
  readonly body: Uint8Array;
}

export interface HelperEnvironment {
  readonly layout: HiddenLayout;
  readonly slow: Readonly<Record<SlowName, number>>;
  /** Of a module for user mode. */
  readonly mmu: Readonly<Record<MmuName, number>> | undefined;
  readonly types: TypePool;
  readonly pagesGlobal: number;
  /** The guest may grow up to this many WebAssembly pages. */
  readonly maxPages: number;
  /** Index of the first helper. */
  readonly base: number;
}

/** Small functions appended to the module for what is too long to be inlined; made when first asked for. */
export class Helpers {
  readonly functions: HelperFunction[] = [];
  private readonly env: HelperEnvironment;
  private readonly known = new Map<number, number>();

  constructor(env: HelperEnvironment) {
    this.env = env;
  }

  /** The function index of a helper. */
  index(key: number): number {
    const known = this.known.get(key);
    if (known !== undefined) return known;
    const index = this.env.base + this.functions.length;
    this.known.set(key, index);
    this.functions.push(this.make(key));
    return index;
  }

  private make(key: number): HelperFunction {
    const { mmu } = this.env;
    if (mmu !== undefined && key !== HELPER_GROW) return this.mmuBulk(key, mmu);
    if (key === HELPER_COPY) return this.bulk('copy', [I32, I32, I32]);
    if (key === HELPER_FILL) return this.bulk('fill', [I32, I32, I32]);
    if (key === HELPER_GROW) return this.grow();
    if (key >= HELPER_INIT) return this.bulk('init', [I32, I32, I32], key - HELPER_INIT);
    return this.atomic(key, ACCESS[key] as Access);
  }

  /** Atomic instructions of user mode need no helper: the host stages what is not RAM. */
  private mmuBulk(key: number, mmu: Readonly<Record<MmuName, number>>): HelperFunction {
    const { types, layout } = this.env;
    const type = types.intern([I32, I32, I32], []);
    if (key >= HELPER_INIT)
      return { name: 'tsvmm.memory.init', type, body: mmuInitBody(key - HELPER_INIT, mmu.init) };
    const kind = key === HELPER_COPY ? 'copy' : 'fill';
    return { name: `tsvmm.memory.${kind}`, type, body: mmuBulkBody(kind, layout, mmu[kind]) };
  }

  /** old = pages; n > max - old ? -1 : (pages = old + n, old). The memory itself never grows: RAM is there already. */
  private grow(): HelperFunction {
    const { types, pagesGlobal, maxPages } = this.env;
    const out = bodyWriter([]);
    op1(out, OP.local_get, 0);
    constant(out, maxPages);
    op1(out, OP.global_get, pagesGlobal);
    out.u8(OP.i32_sub);
    out.u8x2(OP.i32_gt_u, OP.if);
    out.u8(I32);
    constant(out, -1);
    out.u8(OP.else);
    op1(out, OP.global_get, pagesGlobal);
    op1(out, OP.global_get, pagesGlobal);
    op1(out, OP.local_get, 0);
    out.u8(OP.i32_add);
    op1(out, OP.global_set, pagesGlobal);
    out.u8x2(OP.end, OP.end);
    return { name: 'tsvmm.memory.grow', type: types.intern([I32], [I32]), body: out.toBytes() };
  }

  /**
   * memory.copy, memory.fill, memory.init: straight when every byte read is RAM and every page written is fast, else the
   * host. (dst, src | value | segment offset, len); local 3 is the page being looked at.
   */
  private bulk(kind: 'copy' | 'fill' | 'init', params: number[], segment = 0): HelperFunction {
    const { types } = this.env;
    const out = bodyWriter([1, I32]);
    out.u8x2(OP.block, VOID); // slow
    if (kind === 'init') this.initOfNothing(out, segment);
    else {
      op1(out, OP.local_get, 2);
      out.u8x2(OP.i32_eqz, OP.if);
      out.u8(VOID);
      out.u8x2(OP.return, OP.end);
    }
    this.leaveUnlessRam(out, 0);
    if (kind === 'copy') this.leaveUnlessRam(out, 1);
    this.leaveUnlessFast(out);
    bulkInstruction(out, kind, segment);
    out.u8x2(OP.return, OP.end);
    this.bulkByHost(out, kind, segment);
    out.u8(OP.end);
    return { name: `tsvmm.memory.${kind}`, type: types.intern(params, []), body: out.toBytes() };
  }

  /** len = 0: no memory is touched, but the instruction's own check of the segment stays. */
  private initOfNothing(out: Writer, segment: number): void {
    op1(out, OP.local_get, 2);
    out.u8x2(OP.i32_eqz, OP.if);
    out.u8(VOID);
    constant(out, 0);
    op1(out, OP.local_get, 1);
    constant(out, 0);
    initInstruction(out, segment);
    out.u8x2(OP.return, OP.end);
  }

  /** br 0 (to the slow form) unless local[at], len local[2], lies in RAM. */
  private leaveUnlessRam(out: Writer, at: number): void {
    const { ramBase, ramSize } = this.env.layout;
    const offsetInRam = (): void => {
      op1(out, OP.local_get, at);
      if (ramBase !== 0) {
        constant(out, ramBase);
        out.u8(OP.i32_sub);
      }
    };
    offsetInRam();
    constant(out, ramSize);
    out.u8(OP.i32_gt_u);
    op1(out, OP.br_if, 0);
    op1(out, OP.local_get, 2);
    constant(out, ramSize);
    offsetInRam();
    out.u8x2(OP.i32_sub, OP.i32_gt_u);
    op1(out, OP.br_if, 0);
  }

  /** br to the slow form unless each page of the destination is fast. */
  private leaveUnlessFast(out: Writer): void {
    op1(out, OP.local_get, 0);
    constant(out, PAGE_SHIFT);
    out.u8(OP.i32_shr_u);
    op1(out, OP.local_set, 3);
    out.u8x2(OP.loop, VOID);
    op1(out, OP.local_get, 3);
    flagLoad(out, this.env.layout);
    out.u8(OP.i32_eqz);
    op1(out, OP.br_if, 1);
    op1(out, OP.local_get, 3);
    constant(out, 1);
    out.u8(OP.i32_add);
    op1(out, OP.local_tee, 3);
    op1(out, OP.local_get, 0);
    op1(out, OP.local_get, 2);
    out.u8(OP.i32_add);
    constant(out, 1);
    out.u8(OP.i32_sub);
    constant(out, PAGE_SHIFT);
    out.u8x2(OP.i32_shr_u, OP.i32_le_u);
    op1(out, OP.br_if, 0);
    out.u8(OP.end);
  }

  private bulkByHost(out: Writer, kind: 'copy' | 'fill' | 'init', segment: number): void {
    const { slow } = this.env;
    const range = (name: SlowName): void => {
      op1(out, OP.local_get, 0);
      op1(out, OP.local_get, 2);
      op1(out, OP.call, slow[name]);
    };
    if (kind === 'init') {
      range('initBegin');
      bulkInstruction(out, kind, segment);
      range('initEnd');
      return;
    }
    for (let i = 0; i < 3; i++) op1(out, OP.local_get, i);
    op1(out, OP.call, slow[kind]);
  }

  /** The slow form of an atomic instruction: (addr, off, operands...) as alignment check, read, operation, write. */
  private atomic(key: number, access: Access): HelperFunction {
    const { types } = this.env;
    const { type, op } = access;
    const params = [I32, I32, ...new Array<number>(access.operands).fill(type)];
    const old = params.length;
    const out = bodyWriter([1, type]);
    this.faultUnlessAligned(out, access.width);
    if (op === ATOMIC.store) {
      this.atomicWrite(out, access, () => op1(out, OP.local_get, 2));
    } else {
      this.atomicRead(out, access);
      op1(out, OP.local_set, old);
      if (op === ATOMIC.cmpxchg) this.compareExchange(out, access, old);
      else if (op !== ATOMIC.load) this.atomicWrite(out, access, () => modify(out, access, old));
      op1(out, OP.local_get, old);
    }
    out.u8(OP.end);
    const results = op === ATOMIC.store ? [] : [type];
    const name = `tsvmm.atomic.${(key - KEY_ATOMIC).toString(16)}`;
    return { name, type: types.intern(params, results), body: out.toBytes() };
  }

  private faultUnlessAligned(out: Writer, width: number): void {
    if (width === 1) return;
    op1(out, OP.local_get, 0);
    op1(out, OP.local_get, 1);
    out.u8(OP.i32_add);
    constant(out, width - 1);
    out.u8x2(OP.i32_and, OP.if);
    out.u8(VOID);
    op1(out, OP.local_get, 0);
    op1(out, OP.local_get, 1);
    constant(out, FAULT.misaligned);
    op1(out, OP.call, this.env.slow.fault);
    out.u8x2(OP.unreachable, OP.end);
  }

  private atomicRead(out: Writer, { width, type }: Access): void {
    op1(out, OP.local_get, 0);
    op1(out, OP.local_get, 1);
    op1(out, OP.call, this.env.slow[slowLoad(width)]);
    if (width === 8) joinHalves(out, this.env.layout.hiWord);
    else if (type === I64) out.u8(OP.i64_extend_i32_u);
  }

  private atomicWrite(out: Writer, { width, type }: Access, value: () => void): void {
    op1(out, OP.local_get, 0);
    op1(out, OP.local_get, 1);
    value();
    if (type === I64) out.u8(OP.i32_wrap_i64);
    if (width === 8) {
      value();
      upperHalf(out);
    }
    op1(out, OP.call, this.env.slow[slowStore(width)]);
  }

  /** The expected value of a sub-width compare is wrapped to that width; nothing is written when it differs. */
  private compareExchange(out: Writer, access: Access, old: number): void {
    const { width, type } = access;
    op1(out, OP.local_get, old);
    op1(out, OP.local_get, 2);
    if (width < 4) constant(out, (1 << (width * 8)) - 1, type);
    if (width === 4 && type === I64) out.u8x2(OP.i32_wrap_i64, OP.i64_extend_i32_u);
    if (width < 4) out.u8(type === I64 ? OP.i64_and : OP.i32_and);
    out.u8(type === I64 ? OP.i64_eq : 0x46);
    out.u8x2(OP.if, VOID);
    this.atomicWrite(out, access, () => op1(out, OP.local_get, 3));
    out.u8(OP.end);
  }
}

const MODIFY_I32: readonly number[] = [0x6a, 0x6b, 0x71, 0x72, 0x73];
const MODIFY_I64: readonly number[] = [0x7c, 0x7d, 0x83, 0x84, 0x85];

function modify(out: Writer, { op, type }: Access, old: number): void {
  if (op === ATOMIC.xchg) {
    op1(out, OP.local_get, 2);
    return;
  }
  op1(out, OP.local_get, old);
  op1(out, OP.local_get, 2);
  out.u8((type === I64 ? MODIFY_I64 : MODIFY_I32)[op - ATOMIC.add] as number);
}

export function slowLoad(width: number): SlowName {
  return width === 1 ? 'load8' : width === 2 ? 'load16' : width === 4 ? 'load32' : 'load64';
}

export function slowStore(width: number): SlowName {
  if (width === 16) return 'store128';
  return width === 1 ? 'store8' : width === 2 ? 'store16' : width === 4 ? 'store32' : 'store64';
}

/** An opcode with one LEB128 immediate. */
export function op1(out: Writer, opcode: number, immediate: number): void {
  out.u8(opcode);
  out.u32(immediate);
}

/** iNN.const of a number within i32. */
export function constant(out: Writer, value: number, type = I32): void {
  out.u8(type === I64 ? OP.i64_const : OP.i32_const);
  out.s32(value | 0);
}

/** i32 lo on the stack and hi in the hidden word -> i64. */
export function joinHalves(out: Writer, hiWord: number): void {
  out.u8(OP.i64_extend_i32_u);
  constant(out, 0);
  out.u8x2(OP.i64_load32_u, 2);
  out.u32(hiWord);
  constant(out, 32, I64);
  out.u8x2(OP.i64_shl, OP.i64_or);
}

/** i64 -> i32: its upper half. */
export function upperHalf(out: Writer): void {
  constant(out, 32, I64);
  out.u8x2(OP.i64_shr_u, OP.i32_wrap_i64);
}

/** Page number -> flag byte. */
export function flagLoad(out: Writer, layout: HiddenLayout): void {
  out.u8x2(OP.i32_load8_u, 0);
  out.u32(layout.flags);
}

export function bodyWriter(locals: readonly number[]): Writer {
  const out = new Writer(128);
  // One group: a count and a type.
  out.u8(locals.length === 0 ? 0 : 1);
  for (const byte of locals) out.u8(byte);
  return out;
}

function initInstruction(out: Writer, segment: number): void {
  out.u8x2(OP.prefix_fc, 8);
  out.u32(segment);
  out.u8(0);
}

function bulkInstruction(out: Writer, kind: 'copy' | 'fill' | 'init', segment: number): void {
  for (let i = 0; i < 3; i++) op1(out, OP.local_get, i);
  if (kind === 'init') {
    initInstruction(out, segment);
    return;
  }
  out.u8x2(OP.prefix_fc, kind === 'copy' ? 10 : 11);
  out.u8(0);
  if (kind === 'copy') out.u8(0);
}
