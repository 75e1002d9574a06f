import { AccessEmitter, readsOnly, type Site } from './access.ts';
import type { BodyContext } from './context.ts';
import { RewriteError } from './error.ts';
import { Fuel } from './fuel.ts';
import { HELPER_COPY, HELPER_FILL, HELPER_GROW, HELPER_INIT, op1 } from './helpers.ts';
import { IntList } from './int-list.ts';
import { MmuAccessEmitter } from './mmu-access.ts';
import { ACCESS, CLS, IMM, IMMEDIATES, KEY_ATOMIC, KEY_SIMD, OP, VOID } from './opcodes.ts';
import { Reader } from './reader.ts';
import { ScratchLocals, SLOT_FUEL } from './scratch.ts';
import type { FuncType } from './types.ts';
import { Writer } from './writer.ts';

/** Control frames. The function's own frame is a BLOCK: branching to it leaves through its end. */
const BLOCK = 0;
const LOOP = 1;
const IF = 2;
const TRY = 3;

/** WebAssembly engines refuse functions with more locals. */
const MAX_LOCALS = 50_000;

/**
 * Rewrites function bodies one after another, in one pass over the bytes each. Code that needs no change is copied in runs;
 * nothing is allocated per instruction.
 */
export class BodyRewriter {
  /** Code of the current function, without its locals. */
  readonly code = new Writer(4096);
  /** Locals and prologue of the current function. */
  readonly head = new Writer(256);
  /** Pairs (position in code, original offset): see offset-map.ts. */
  readonly marks = new IntList();
  /** Pairs (position, 1 when the condition is likely). Of the head, then of the code. */
  readonly headHints = new IntList(4);
  readonly hints = new IntList();
  /** Checked accesses so far: those that only read, and those that write. */
  loads = 0;
  stores = 0;
  /** Where the current function's first instruction is in the original. */
  codeStart = 0;

  private readonly ctx: BodyContext;
  private readonly reader: Reader;
  private readonly scratch = new ScratchLocals();
  private readonly fuel = new Fuel();
  private readonly accesses: AccessEmitter;
  private readonly mmuAccesses: MmuAccessEmitter;
  private readonly site: Site;
  private frameKind = new Uint8Array(64);
  private frameTargeted = new Uint8Array(64);
  private depth = 0;
  private copyFrom = 0;
  /** Where an i32.const ended, and its value: the next instruction's operand if it starts there. */
  private constEnd = -1;
  private constValue = 0;
  private hasCalls = false;
  private sharedFuel = false;

  constructor(ctx: BodyContext, source: Uint8Array) {
    this.ctx = ctx;
    this.reader = new Reader(source);
    this.fuel.configure(ctx.fuelGlobal, ctx.slow.safepoint);
    const hint = (likely: number): void => {
      this.hint(likely);
    };
    this.accesses = new AccessEmitter(ctx, this.code, source, this.scratch, this.fuel, hint);
    this.mmuAccesses = new MmuAccessEmitter(ctx, this.code, this.scratch, this.fuel, hint);
    this.site = { key: 0, access: ACCESS[OP.i32_load]!, off: 0, align: 0, lane: 0, start: 0, end: 0 };
  }

  /** Rewrites the body at [start, end) of a function of this type into head and code. */
  rewrite(start: number, end: number, type: FuncType): void {
    this.sharedFuel = false;
    if (!this.attempt(start, end, type)) {
      this.sharedFuel = true;
      this.attempt(start, end, type);
    }
  }

  /** False: an exception handler was met, start over with the counter in the global. */
  private attempt(start: number, end: number, type: FuncType): boolean {
    const { reader, fuel } = this;
    reader.pos = start;
    reader.end = end;
    const locals = this.readLocals(type.params.length);
    this.reset(locals);
    const groupsEnd = reader.pos;
    while (this.depth > 0) if (!this.instruction()) return false;
    if (reader.pos !== end) reader.fail('function goes on after its end');
    this.writeHead(start, groupsEnd, type);
    fuel.pending = 0;
    return true;
  }

  private reset(locals: number): void {
    const { fuel, scratch } = this;
    this.code.clear();
    this.head.clear();
    this.marks.clear();
    this.hints.clear();
    this.headHints.clear();
    scratch.reset(locals);
    fuel.pending = 0;
    fuel.local = fuel.on && !this.sharedFuel ? scratch.local(SLOT_FUEL) : -1;
    this.depth = 0;
    this.pushFrame(BLOCK);
    this.copyFrom = this.codeStart = this.reader.pos;
    this.constEnd = -1;
    this.hasCalls = false;
  }

  private readLocals(params: number): number {
    const { reader } = this;
    let total = params;
    for (let groups = reader.count(); groups > 0; groups--) {
      total += reader.u32();
      if (total > MAX_LOCALS) reader.fail('too many locals');
      this.valueType();
    }
    return total;
  }

  private valueType(): void {
    const { reader } = this;
    const type = reader.u8();
    if (isValueType(type)) return;
    if (type >= 0x62 && type <= 0x74) gc(reader.pos - 1);
    reader.fail(`unknown value type 0x${type.toString(16)}`, reader.pos - 1);
  }

  /** Locals, and with fuel on: the counter's load, the sign test, the block that branches out of the function end at. */
  private writeHead(start: number, groupsEnd: number, type: FuncType): void {
    const { head, reader, scratch, fuel } = this;
    reader.pos = start;
    const groups = reader.count();
    head.u32(groups + scratch.groups);
    head.range(reader.bytes, reader.pos, groupsEnd);
    scratch.emit(head);
    if (!fuel.on) return;
    fuel.reload(head);
    // Only calls can make an entry part of an endless path; loops are tested at their own heads.
    if (this.hasCalls) {
      fuel.test(head);
      this.headHints.push(head.length);
      this.headHints.push(0);
      head.u8x2(OP.if, VOID);
      fuel.askHost(head);
      head.u8(OP.end);
    }
    if (fuel.local >= 0 && this.frameTargeted[0] !== 0) {
      head.u8(OP.block);
      const { results } = type;
      if (results.length === 0) head.u8(VOID);
      else if (results.length === 1) head.u8(results[0] as number);
      else head.s32(this.ctx.types.intern([], results));
    }
  }

  private hint(likely: number): void {
    if (!this.ctx.branchHints) return;
    this.hints.push(this.code.length);
    this.hints.push(likely);
  }

  /** Copies what is unchanged before `at`; what is emitted next stands for the instruction there. */
  private begin(at: number): void {
    this.code.range(this.reader.bytes, this.copyFrom, at);
    this.copyFrom = at;
    this.mark(at);
  }

  /** The original goes on, unchanged, at `at`. */
  private resume(at: number): void {
    this.copyFrom = at;
    this.mark(at);
  }

  private mark(at: number): void {
    this.marks.push(this.code.length);
    this.marks.push(at);
  }

  private flushFuel(at: number): void {
    if (!this.fuel.on || this.fuel.pending === 0) return;
    this.begin(at);
    this.fuel.flush(this.code);
    this.resume(at);
  }

  private leaveFunction(at: number): void {
    if (!this.fuel.on) return;
    this.begin(at);
    this.fuel.leave(this.code);
    this.resume(at);
  }

  private pushFrame(kind: number): void {
    if (this.depth === this.frameKind.length) {
      const kinds = new Uint8Array(this.depth * 2);
      kinds.set(this.frameKind);
      this.frameKind = kinds;
      const targeted = new Uint8Array(this.depth * 2);
      targeted.set(this.frameTargeted);
      this.frameTargeted = targeted;
    }
    this.frameKind[this.depth] = kind;
    this.frameTargeted[this.depth++] = 0;
  }

  private target(outOf = 1): void {
    const { reader } = this;
    const at = reader.pos;
    const label = reader.u32();
    const frame = this.depth - outOf - label;
    if (frame < 0) reader.fail('branch to a label that does not exist', at);
    this.frameTargeted[frame] = 1;
  }

  private blockType(): void {
    const { reader } = this;
    const at = reader.pos;
    const type = reader.u8();
    if (type === VOID || isValueType(type)) return;
    reader.pos = at;
    if ((type & 0xc0) === 0x40) gc(at);
    reader.skipLeb(5);
  }

  /** One instruction; false to start over. */
  private instruction(): boolean {
    const { reader } = this;
    const at = reader.pos;
    const opcode = reader.u8();
    this.fuel.pending++;
    switch (IMMEDIATES[opcode]) {
      case IMM.none:
        return true;
      case IMM.leb1:
        reader.skipLeb(5);
        return true;
      case IMM.access:
        this.memoryAccess(opcode, at);
        return true;
      case IMM.i64:
        reader.skipLeb(10);
        return true;
      case IMM.bytes4:
        reader.skip(4);
        return true;
      case IMM.bytes8:
        reader.skip(8);
        return true;
      case IMM.special:
        return this.special(opcode, at);
      case IMM.gc:
        return gc(at);
      default:
        return reader.fail(`unknown opcode 0x${opcode.toString(16)}`, at);
    }
  }

  private special(opcode: number, at: number): boolean {
    const { reader } = this;
    switch (opcode) {
      case OP.i32_const:
        this.constValue = reader.s32();
        this.constEnd = reader.pos;
        return true;
      case 0x1c: // select t*
        for (let n = reader.count(); n > 0; n--) this.valueType();
        return true;
      case 0xd0: // ref.null
        this.valueType();
        return true;
      case OP.ref_func:
        this.functionReference(at);
        return true;
      case OP.memory_size:
      case OP.memory_grow:
        this.memorySize(opcode, at);
        return true;
      case OP.prefix_fc:
        this.prefixFc(at);
        return true;
      case OP.simd:
        this.simd(at);
        return true;
      case OP.atomic:
        this.atomicPrefix(at);
        return true;
      default:
        return this.control(opcode, at);
    }
  }

  private control(opcode: number, at: number): boolean {
    const { reader } = this;
    switch (opcode) {
      case OP.block:
        this.fuel.pending--;
        this.blockType();
        this.pushFrame(BLOCK);
        return true;
      case OP.loop:
        this.loop(at);
        return true;
      case OP.if:
        this.flushFuel(at);
        this.blockType();
        this.pushFrame(IF);
        return true;
      case OP.else:
        this.fuel.pending--;
        if (this.frameKind[this.depth - 1] !== IF || this.depth < 2) reader.fail('else without if', at);
        this.flushFuel(at);
        return true;
      case OP.end:
        this.end(at);
        return true;
      case OP.br:
      case OP.br_if:
        this.flushFuel(at);
        this.target();
        return true;
      case OP.br_table:
        this.flushFuel(at);
        for (let n = reader.count(); n >= 0; n--) this.target();
        return true;
      case OP.return:
      case OP.unreachable:
        this.leaveFunction(at);
        return true;
      case OP.call:
      case OP.call_indirect:
      case OP.return_call:
      case OP.return_call_indirect:
        this.call(opcode, at);
        return true;
      default:
        return this.exceptions(opcode, at);
    }
  }

  private exceptions(opcode: number, at: number): boolean {
    const { reader } = this;
    const handler = opcode === OP.try || opcode === OP.try_table;
    if (handler && this.fuel.on && !this.sharedFuel) return false;
    if (opcode === OP.throw || opcode === OP.rethrow || opcode === OP.throw_ref) {
      this.leaveFunction(at);
      if (opcode !== OP.throw_ref) reader.skipLeb(5);
      return true;
    }
    this.fuel.pending--;
    if (handler) {
      this.blockType();
      this.pushFrame(opcode === OP.try ? TRY : BLOCK);
      if (opcode === OP.try_table) this.catchClauses();
      return true;
    }
    if (this.frameKind[this.depth - 1] !== TRY || this.depth < 2) reader.fail('handler without try', at);
    this.flushFuel(at);
    if (opcode !== OP.catch_all) reader.skipLeb(5);
    if (opcode === OP.delegate) this.depth--;
    return true;
  }

  /** Clauses of try_table branch to labels outside of it. */
  private catchClauses(): void {
    const { reader } = this;
    for (let n = reader.count(); n > 0; n--) {
      const at = reader.pos;
      const kind = reader.u8();
      if (kind > 3) reader.fail('unknown catch clause', at);
      if (kind < 2) reader.skipLeb(5);
      this.target(2);
    }
  }

  private loop(at: number): void {
    const { reader, code, fuel } = this;
    fuel.pending--;
    this.flushFuel(at);
    this.blockType();
    this.pushFrame(LOOP);
    if (!fuel.on) return;
    this.begin(reader.pos);
    fuel.test(code);
    this.hint(0);
    code.u8x2(OP.if, VOID);
    fuel.askHost(code);
    code.u8(OP.end);
    this.resume(reader.pos);
  }

  /** Paths join at the end of an if, of a try, and of a block that is branched to. */
  private end(at: number): void {
    const { fuel } = this;
    fuel.pending--;
    const frame = --this.depth;
    if (frame === 0) {
      this.functionEnd(at);
      return;
    }
    const kind = this.frameKind[frame];
    if (kind === LOOP || (kind === BLOCK && this.frameTargeted[frame] === 0)) return;
    this.flushFuel(at);
  }

  private functionEnd(at: number): void {
    const { code, fuel } = this;
    this.begin(at);
    if (this.frameTargeted[0] !== 0 && fuel.local >= 0) {
      fuel.flush(code);
      code.u8(OP.end);
    }
    fuel.leave(code);
    code.u8(OP.end);
    this.resume(this.reader.pos);
  }

  private call(opcode: number, at: number): void {
    const { reader, code, fuel } = this;
    const direct = opcode === OP.call || opcode === OP.return_call;
    const callee = reader.u32();
    if (!direct) reader.skipLeb(5);
    else if (callee >= this.ctx.functionCount) reader.fail('call of a function that does not exist', at);
    this.hasCalls = true;
    this.begin(at);
    fuel.leave(code);
    if (direct) op1(code, opcode, this.ctx.functionIndex(callee));
    else code.range(reader.bytes, at, reader.pos);
    if (opcode === OP.call || opcode === OP.call_indirect) fuel.reload(code);
    this.resume(reader.pos);
  }

  private callHelper(at: number, key: number): void {
    const { code, fuel, reader } = this;
    this.begin(at);
    fuel.leave(code);
    op1(code, OP.call, this.ctx.helpers.index(key));
    fuel.reload(code);
    this.resume(reader.pos);
  }

  private functionReference(at: number): void {
    const { reader } = this;
    const index = reader.u32();
    if (index >= this.ctx.functionCount) reader.fail('reference to a function that does not exist', at);
    this.begin(at);
    op1(this.code, OP.ref_func, this.ctx.functionIndex(index));
    this.resume(reader.pos);
  }

  private memoryIndex(): void {
    const { reader } = this;
    const at = reader.pos;
    if (reader.u32() !== 0) reader.fail('more than one memory is not supported', at);
  }

  private memorySize(opcode: number, at: number): void {
    this.memoryIndex();
    this.begin(at);
    if (opcode === OP.memory_size) op1(this.code, OP.global_get, this.ctx.pagesGlobal);
    else op1(this.code, OP.call, this.ctx.helpers.index(HELPER_GROW));
    this.resume(this.reader.pos);
  }

  private prefixFc(at: number): void {
    const { reader } = this;
    const sub = reader.u32();
    if (sub < 8) return;
    if (sub > 17) reader.fail(`unknown opcode 0xfc ${sub}`, at);
    if (sub === 9 || sub === 13 || sub > 14) reader.skipLeb(5);
    else if (sub === 12 || sub === 14) {
      reader.skipLeb(5);
      reader.skipLeb(5);
    } else this.bulkMemory(sub, at);
  }

  private bulkMemory(sub: number, at: number): void {
    const segment = sub === 8 ? this.reader.u32() : 0;
    if (sub === 8 && segment >= this.ctx.dataCount) this.reader.fail('unknown data segment', at);
    this.memoryIndex();
    if (sub === 10) this.memoryIndex();
    this.callHelper(at, sub === 8 ? HELPER_INIT + segment : sub === 10 ? HELPER_COPY : HELPER_FILL);
  }

  private simd(at: number): void {
    const { reader } = this;
    const sub = reader.u32();
    if (sub <= 11 || (sub >= 0x54 && sub <= 0x5d)) this.memoryAccess(KEY_SIMD + sub, at);
    else if (sub === 12 || sub === 13)
      reader.skip(16); // v128.const, i8x16.shuffle
    else if (sub >= 21 && sub <= 34)
      reader.skip(1); // lanes
    else if (sub > 0x113) reader.fail(`unknown opcode 0xfd ${sub}`, at);
  }

  private atomicPrefix(at: number): void {
    const { reader } = this;
    const sub = reader.u32();
    if (sub === 3) reader.skip(1);
    else if (sub > 0x4e || ACCESS[KEY_ATOMIC + sub] === undefined)
      reader.fail(`unknown opcode 0xfe ${sub}`, at);
    else this.memoryAccess(KEY_ATOMIC + sub, at);
  }

  private memoryAccess(key: number, at: number): void {
    const { reader, site, accesses } = this;
    const align = reader.u32();
    if ((align & 0x40) !== 0) reader.fail('more than one memory is not supported', at);
    site.key = key;
    site.access = ACCESS[key]!;
    site.align = align;
    site.off = reader.u32();
    site.start = at;
    if (site.access.cls === CLS.loadLane || site.access.cls === CLS.storeLane) site.lane = reader.u8();
    site.end = reader.pos;
    if (readsOnly(site.access)) this.loads++;
    else this.stores++;
    if (this.ctx.mmu !== undefined) {
      this.begin(at);
      this.mmuAccesses.emit(site);
      this.resume(reader.pos);
      return;
    }
    const constant = this.constEnd === at && site.access.cls === CLS.load;
    if (constant && accesses.constantIsRam(site, this.constValue)) return;
    this.begin(at);
    if (constant) accesses.directSlowLoad(site);
    else accesses.emit(site);
    this.resume(reader.pos);
  }
}

function isValueType(type: number): boolean {
  return (type >= 0x7b && type <= 0x7f) || type === 0x70 || type === 0x6f || type === 0x69;
}

function gc(at: number): never {
  throw new RewriteError('garbage-collected and typed function references are not supported', at);
}
