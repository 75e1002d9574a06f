import { PAGE_SIZE } from '../../mem/layout.ts';
import type { Site } from './access.ts';
import type { BodyContext } from './context.ts';
import type { Fuel } from './fuel.ts';
import { constant, op1 } from './helpers.ts';
import { FORM_ATOMIC, type MmuName } from './mmu-path.ts';
import { ATOMIC, CLS, KEY_ATOMIC, KEY_SIMD, OP, VOID } from './opcodes.ts';
import { type ScratchLocals, SLOT_ADDR, SLOT_ENTRY, secondSlot, valueSlot } from './scratch.ts';
import { FAULT } from './slow-path.ts';
import type { Writer } from './writer.ts';

/** A page's entry is 4 bytes: bits 31:12 of the address, turned to bits 21:2. */
const INDEX_ROTATE = 10;
const INDEX_MASK = 0x3ffffc;
/** Where the rotation puts address bit 0. */
const LOW_BITS = 22;

/**
 * Memory accesses of a user process. Each looks its page up in the table of the process that runs, and asks the host for what
 * is not there. The test that an access stays within its page is free where the instruction says that it is aligned.
 *
 * LIMIT: base and offset add up modulo 4 GiB.
 */
export class MmuAccessEmitter {
  private readonly ctx: BodyContext;
  private readonly out: Writer;
  private readonly scratch: ScratchLocals;
  private readonly fuel: Fuel;
  private readonly hint: (likely: number) => void;

  constructor(
    ctx: BodyContext,
    out: Writer,
    scratch: ScratchLocals,
    fuel: Fuel,
    hint: (likely: number) => void,
  ) {
    this.ctx = ctx;
    this.out = out;
    this.scratch = scratch;
    this.fuel = fuel;
    this.hint = hint;
  }

  emit(site: Site): void {
    const { access } = site;
    const atomic = access.cls === CLS.atomic;
    if (atomic && access.op === ATOMIC.wait) this.wait(site);
    else if (atomic && access.op === ATOMIC.notify) this.notify(site);
    else if (access.cls === CLS.load || access.cls === CLS.loadLane || (atomic && access.op === ATOMIC.load))
      this.load(site);
    else if (access.cls === CLS.store || access.cls === CLS.storeLane || access.op === ATOMIC.store)
      this.write(site, 'store');
    else this.write(site, 'modify');
  }

  private load(site: Site): void {
    const { out } = this;
    this.saveOperands(site);
    this.lookUp(site, this.ctx.layout.tlbRead);
    this.hint(0);
    out.u8x2(OP.if, VOID);
    this.fuel.beforeSlow(out);
    this.ask('load', site);
    this.fuel.afterSlow(out);
    out.u8(OP.end);
    this.perform(site);
  }

  private write(site: Site, how: 'store' | 'modify'): void {
    const { out } = this;
    this.saveOperands(site);
    this.lookUp(site, this.ctx.layout.tlbWrite);
    this.hint(0);
    out.u8x2(OP.if, how === 'store' ? VOID : site.access.type);
    this.fuel.beforeSlow(out);
    this.ask(how, site);
    this.perform(site);
    this.call('stored');
    this.fuel.afterSlow(out);
    out.u8(OP.else);
    this.perform(site);
    out.u8(OP.end);
  }

  /** Address on the stack -> address and entry in their locals, and on the stack whether the host must be asked. */
  private lookUp(site: Site, table: number): void {
    const { out, scratch } = this;
    const { access, off, align } = site;
    const address = scratch.local(SLOT_ADDR);
    const aligned = access.width <= 8 && 1 << align === access.width;
    this.addOffset(off);
    op1(out, OP.local_tee, address);
    constant(out, INDEX_ROTATE);
    out.u8(OP.i32_rotr);
    constant(out, INDEX_MASK | (aligned ? (access.width - 1) << LOW_BITS : 0));
    out.u8x2(OP.i32_and, OP.i32_load);
    out.u8(2);
    out.u32(table);
    op1(out, OP.local_tee, scratch.local(SLOT_ENTRY));
    out.u8(OP.i32_eqz);
    if (aligned || access.width === 1) return;
    op1(out, OP.local_get, address);
    constant(out, PAGE_SIZE - 1);
    out.u8(OP.i32_and);
    constant(out, PAGE_SIZE - access.width);
    out.u8x2(OP.i32_gt_u, OP.i32_or);
  }

  private addOffset(off: number): void {
    if (off === 0) return;
    constant(this.out, off);
    this.out.u8(OP.i32_add);
  }

  /** The host's translation becomes the entry. */
  private ask(name: 'load' | 'store' | 'modify', { access }: Site): void {
    const { out, scratch } = this;
    op1(out, OP.local_get, scratch.local(SLOT_ADDR));
    constant(out, access.width | (access.cls === CLS.atomic ? FORM_ATOMIC : 0));
    this.call(name);
    op1(out, OP.local_set, scratch.local(SLOT_ENTRY));
  }

  private call(name: MmuName): void {
    op1(this.out, OP.call, this.ctx.mmu![name]);
  }

  /** The instruction itself, at address + entry + 1. */
  private perform(site: Site): void {
    const { out, scratch } = this;
    op1(out, OP.local_get, scratch.local(SLOT_ADDR));
    op1(out, OP.local_get, scratch.local(SLOT_ENTRY));
    out.u8(OP.i32_add);
    this.pushOperands(site);
    accessInstruction(out, site.key, site.align, 1);
    const { cls } = site.access;
    if (cls === CLS.loadLane || cls === CLS.storeLane) out.u8(site.lane);
  }

  private saveOperands({ access }: Site): void {
    const { out, scratch } = this;
    if (access.cls === CLS.load) return;
    if (access.cls !== CLS.atomic) {
      op1(out, OP.local_set, scratch.local(valueSlot(access.type)));
      return;
    }
    if (access.operands === 2) op1(out, OP.local_set, scratch.local(secondSlot(access.type)));
    if (access.operands >= 1) op1(out, OP.local_set, scratch.local(valueSlot(access.type)));
  }

  private pushOperands({ access }: Site): void {
    const { out, scratch } = this;
    if (access.cls === CLS.load) return;
    if (access.cls !== CLS.atomic || access.operands >= 1)
      op1(out, OP.local_get, scratch.local(valueSlot(access.type)));
    if (access.operands === 2) op1(out, OP.local_get, scratch.local(secondSlot(access.type)));
  }

  /** Nobody waits in a memory that is not shared: the access is checked, the answer is 0. */
  private notify(site: Site): void {
    const { out } = this;
    out.u8(OP.drop);
    this.addOffset(site.off);
    op1(out, OP.local_set, this.scratch.local(SLOT_ADDR));
    this.fuel.beforeSlow(out);
    this.ask('load', site);
    this.fuel.afterSlow(out);
    constant(out, 0);
  }

  private wait({ off }: Site): void {
    const { out } = this;
    out.u8x2(OP.drop, OP.drop);
    this.fuel.beforeSlow(out);
    constant(out, off);
    constant(out, FAULT.wait);
    this.call('fault');
    out.u8(OP.unreachable);
  }
}

/** A memory instruction by its access key. */
export function accessInstruction(out: Writer, key: number, align: number, off: number): void {
  if (key >= KEY_ATOMIC) {
    out.u8(OP.atomic);
    out.u32(key - KEY_ATOMIC);
  } else if (key >= KEY_SIMD) {
    out.u8(OP.simd);
    out.u32(key - KEY_SIMD);
  } else out.u8(key);
  out.u32(align);
  out.u32(off);
}
