import type { DeviceTlbs } from '../../vmm/bus/device-tlbs.ts';
import {
  ALL_PASIDS,
  NO_PASID,
  PAGE_RESPONSE_FAILURE,
  PAGE_RESPONSE_INVALID,
  PAGE_RESPONSE_SUCCESS,
} from '../../vmm/bus/dma.ts';
import type { Layout } from '../../vmm/regs/layout.ts';
import type { Emitter } from '../../vmm/trace/event.ts';
import type { SmmuBackend } from '../port/smmuv3.ts';
import * as C from '../spec/smmuv3/commands.ts';
import { CMDQ_CONS, CR0ACK } from '../spec/smmuv3/registers.ts';
import type { SmmuCaches } from './caches.ts';
import type { PriQueue } from './pri-queue.ts';
import {
  ANNOUNCES_ALL,
  ANNOUNCES_CONTEXT,
  ANNOUNCES_CONTEXTS,
  ANNOUNCES_STREAM,
  ANNOUNCES_STREAMS,
  type Announcements,
} from './sinks.ts';
import type { Stalls } from './stalls.ts';
import type { SmmuState } from './state.ts';
import { STALLS_NEVER, type UnitFeatures } from './unit.ts';
import type { SmmuWiring } from './wiring.ts';

/** The command waits for a completion of an ATC invalidation; it is done again when one came. */
export const HELD = -1;

const CR0_WORD = CR0ACK.offset / 4;
const CONS_WORD = CMDQ_CONS.offset / 4;
const SMMUEN = 1;
const SSEC = 1 << 10;
const SSV = 1 << 11;
const GLOBAL = 1 << 9;
const LEAF = 1;
const RETRY = 1 << 12;
/** NUM and SCALE; TTL and TG. */
const RANGE_BITS = 0x01f1f000;
const HINT_BITS = 0xf00;
/** StreamIDs are 16 bits wide. Those beyond are nobody's: commands for them have no effect. */
const BEYOND_STREAMS = -0x10000;
/** ATC_INV.Size of everything. */
const LARGEST_ATC_RANGE = 52;
const OPCODES = 256;
/** Commands with an address, a set of 1 << (opcode - CMD_TLBI_NH_ALL). */
const ADDRESSES =
  (1 << (C.CMD_TLBI_NH_VA - C.CMD_TLBI_NH_ALL)) |
  (1 << (C.CMD_TLBI_NH_VAA - C.CMD_TLBI_NH_ALL)) |
  (1 << (C.CMD_TLBI_EL2_VA - C.CMD_TLBI_NH_ALL)) |
  (1 << (C.CMD_TLBI_EL2_VAA - C.CMD_TLBI_NH_ALL)) |
  (1 << (C.CMD_TLBI_S2_IPA - C.CMD_TLBI_NH_ALL));
const SID_BITS = 16;
/** These reach stage 2 of every address. */
const IS_OF_ALL: readonly number[] = [C.CMD_TLBI_S12_VMALL, C.CMD_TLBI_NSNH_ALL];

/** PRI_RESP.Resp to the code of a PRG response message; -1: ILLEGAL. */
const RESPONSES = [PAGE_RESPONSE_FAILURE, PAGE_RESPONSE_INVALID, PAGE_RESPONSE_SUCCESS, -1] as const;

interface Offer {
  readonly opcode: number;
  readonly layout: Layout;
  readonly offered: boolean;
}

/** What each command is, and whether a unit with these features has it (SMMUv3: Commands). */
export function commandsOf(u: UnitFeatures): readonly Offer[] {
  const row = (opcode: number, layout: unknown, offered: boolean): Offer => ({
    opcode,
    layout: layout as Layout,
    offered,
  });
  const stalls = u.stallModel !== STALLS_NEVER;
  return [
    row(C.CMD_PREFETCH_CONFIG, C.PREFETCH_CONFIG, true),
    row(C.CMD_PREFETCH_ADDR, C.PREFETCH_ADDR, true),
    row(C.CMD_CFGI_STE, C.CFGI_STE, true),
    row(C.CMD_CFGI_STE_RANGE, C.CFGI_STE_RANGE, true),
    row(C.CMD_CFGI_CD, C.CFGI_CD, u.s1),
    row(C.CMD_CFGI_CD_ALL, C.CFGI_CD_ALL, u.s1),
    // LIMIT smmu-partitioning.
    row(C.CMD_CFGI_VMS_PIDM, C.CFGI_VMS_PIDM, false),
    row(C.CMD_TLBI_NH_ALL, C.TLBI_NH_ALL, u.s1),
    row(C.CMD_TLBI_NH_ASID, C.TLBI_NH_ASID, u.s1),
    row(C.CMD_TLBI_NH_VA, C.TLBI_NH_VA, u.s1),
    row(C.CMD_TLBI_NH_VAA, C.TLBI_NH_VAA, u.s1),
    row(C.CMD_TLBI_EL2_ALL, C.TLBI_EL2_ALL, u.hyp),
    row(C.CMD_TLBI_EL2_ASID, C.TLBI_EL2_ASID, u.hyp),
    row(C.CMD_TLBI_EL2_VA, C.TLBI_EL2_VA, u.hyp),
    row(C.CMD_TLBI_EL2_VAA, C.TLBI_EL2_VAA, u.hyp),
    row(C.CMD_TLBI_S12_VMALL, C.TLBI_S12_VMALL, u.s2),
    row(C.CMD_TLBI_S2_IPA, C.TLBI_S2_IPA, u.s2),
    row(C.CMD_TLBI_NSNH_ALL, C.TLBI_NSNH_ALL, true),
    row(C.CMD_ATC_INV, C.ATC_INV, u.ats),
    row(C.CMD_PRI_RESP, C.PRI_RESP, u.pri),
    row(C.CMD_RESUME, C.RESUME, stalls),
    row(C.CMD_STALL_TERM, C.STALL_TERM, stalls),
    row(C.CMD_SYNC, C.SYNC, true),
  ];
}

export interface CommandParts {
  readonly announce: Announcements;
  readonly caches: SmmuCaches;
  readonly tlbs: DeviceTlbs;
  readonly pages: PriQueue;
  readonly stalls: Stalls;
  readonly features: UnitFeatures;
}

/** What the commands do. Bits that a command has no field for are ILLEGAL. */
export class Commands {
  readonly #s: SmmuState;
  readonly #told: Emitter;
  readonly #p: CommandParts;
  readonly #u: UnitFeatures;
  readonly #qemu: boolean;
  /** By opcode. */
  readonly #names: string[] = new Array(OPCODES).fill('');
  /** Four words an opcode: bits that have to be 0; all of them, also the opcode's, where there is no such command. */
  readonly #reserved = new Int32Array(OPCODES * 4).fill(-1);
  /** Bits of word 1 that no ASID and no VMID has. */
  readonly #wide: number;
  readonly #forward: { readonly to: SmmuBackend | null };

  constructor(s: SmmuState, w: SmmuWiring, parts: CommandParts) {
    this.#s = s;
    this.#told = w.trace.smmuv3_cmdq;
    this.#p = parts;
    this.#u = parts.features;
    this.#qemu = w.config.profile === 'qemu';
    this.#forward = w.forward;
    this.#wide = (this.#u.asid16 ? 0 : -0x1000000) | (this.#u.vmid16 ? 0 : 0xff00);
    for (const { opcode, layout, offered } of commandsOf(parts.features)) {
      if (!offered) continue;
      this.#names[opcode] = layout.name;
      this.#reserve(opcode, layout);
    }
  }

  #reserve(opcode: number, layout: Layout): void {
    const at = opcode * 4;
    this.#reserved.fill(0, at, at + 4);
    // docs/deviations.md: smmu-command-reserved.
    if (this.#qemu) return;
    for (let i = 0; i < 4; i++) this.#reserved[at + i] = layout.reserved[i]!;
    // Only Secure queues may name Secure streams.
    this.#reserved[at]! |= SSEC;
    if (this.#u.ril || !('TG' in layout.fields)) return;
    this.#reserved[at]! |= RANGE_BITS;
    this.#reserved[at + 2]! |= HINT_BITS;
  }

  /** Returns 0, HELD, or the CERROR code of what is wrong with the command. */
  execute(w0: number, w1: number, w2: number, w3: number): number {
    const bad = this.#reserved;
    const at = (w0 & 0xff) << 2;
    if (((w0 & bad[at]!) | (w1 & bad[at + 1]!) | (w2 & bad[at + 2]!) | (w3 & bad[at + 3]!)) !== 0)
      return C.CERROR_ILL;
    const op = w0 & 0xff;
    if (
      (op === C.CMD_TLBI_NH_VA || op === C.CMD_TLBI_NH_VAA) &&
      ((w0 & RANGE_BITS) | (w2 & HINT_BITS) | (w1 & this.#wide)) === 0
    ) {
      // The usual ones, with few calls on the way.
      const lo = w2 & -4096;
      const leaf = (w2 & LEAF) !== 0;
      if (op === C.CMD_TLBI_NH_VA) this.#p.caches.tlbiPage(w1 & 0xffff, w1 >>> 16, lo, w3, leaf);
      else this.#p.caches.tlbiPageOfAny(w1 & 0xffff, lo, w3, leaf);
      return 0;
    }
    if (op >= C.CMD_TLBI_NH_ALL && op < C.CMD_ATC_INV) return this.#translations(op, w0, w1, w2, w3);
    return op < C.CMD_TLBI_NH_ALL ? this.#configuration(op, w0, w1, w2) : this.#outside(op, w0, w1, w2, w3);
  }

  /**
   * Somebody is to be told of commands that are done. None of those that only drop what is cached changes that if nobody is.
   */
  get areTold(): boolean {
    return this.#told.on || this.#p.announce.on || this.#forward.to !== null;
  }

  /** Tells of a command that was done; 0, or the code with which the queue stops. */
  tell(w0: number, w1: number, w2: number, w3: number): number {
    if (this.#told.on) this.#told.emit(this.#names[w0 & 0xff]!, w0, w1, w2, w3);
    if (this.#p.announce.on) this.#announce(w0 & 0xff, w0, w1, w2);
    const { to } = this.#forward;
    return to === null ? 0 : this.#forwarded(to, w0, w1, w2, w3);
  }

  /** What was kept is done now; 0, or the code with which the queue stops: CONS is at the command that failed. */
  settle(): number {
    const { to } = this.#forward;
    if (to === null) return 0;
    const error = to.sync();
    if (error !== 0) this.#s.regs[CONS_WORD] = to.failedAt;
    return error;
  }

  #forwarded(to: SmmuBackend, w0: number, w1: number, w2: number, w3: number): number {
    const op = w0 & 0xff;
    const cons = this.#s.regs[CONS_WORD]!;
    switch (op) {
      case C.CMD_SYNC:
        return this.settle();
      case C.CMD_CFGI_STE:
        to.streamsChanged(w1, 0, cons);
        return 0;
      case C.CMD_CFGI_STE_RANGE: {
        const order = Math.min((w2 & 0x1f) + 1, 32);
        to.streamsChanged(order > 31 ? 0 : w1 & (-1 << order), order, cons);
        return 0;
      }
      default:
        if (
          (op >= C.CMD_CFGI_CD && op <= C.CMD_CFGI_CD_ALL) ||
          (op >= C.CMD_TLBI_NH_ALL && op <= C.CMD_ATC_INV)
        )
          to.command(w0, w1, w2, w3, cons);
        return 0;
    }
  }

  /** What the watch of tables is to know of a command that was done. */
  #announce(op: number, w0: number, w1: number, w2: number): void {
    const { announce } = this.#p;
    const name = this.#names[op]!;
    const leaf = (w2 & LEAF) !== 0;
    const range = w2 & 0x1f;
    const all = range === 0x1f;
    switch (op) {
      case C.CMD_CFGI_STE:
        announce.announced(name, ANNOUNCES_STREAM, w1, 0, leaf);
        return;
      case C.CMD_CFGI_STE_RANGE:
        announce.announced(
          name,
          all ? ANNOUNCES_ALL : ANNOUNCES_STREAMS,
          w1,
          Math.min(range, SID_BITS),
          false,
        );
        return;
      case C.CMD_CFGI_CD:
        announce.announced(name, ANNOUNCES_CONTEXT, w1, w0 >>> 12, leaf);
        return;
      case C.CMD_CFGI_CD_ALL:
        announce.announced(name, ANNOUNCES_CONTEXTS, w1, 0, false);
        return;
      default:
        if (op >= C.CMD_TLBI_NH_ALL && op < C.CMD_ATC_INV)
          announce.announcedTranslations(name, IS_OF_ALL.includes(op));
    }
  }

  /** Commands that lead out of the unit, or that somebody outside waits for. */
  #outside(op: number, w0: number, w1: number, w2: number, w3: number): number {
    switch (op) {
      case C.CMD_SYNC:
        return this.#sync(w0);
      case C.CMD_ATC_INV:
        return this.#atc(w0, w1, w2, w3);
      case C.CMD_PRI_RESP:
        return this.#respond(w0, w1, w2);
      case C.CMD_RESUME:
        if ((w1 & BEYOND_STREAMS) === 0) this.#p.stalls.resume(w1, w2 & 0xffff, (w0 & RETRY) !== 0);
        return 0;
      default:
        if ((w1 & BEYOND_STREAMS) === 0) this.#p.stalls.terminate(w1);
        return 0;
    }
  }

  #configuration(op: number, w0: number, w1: number, w2: number): number {
    const { caches } = this.#p;
    if (op === C.CMD_CFGI_STE_RANGE && (w2 & 0x1f) === 0x1f) caches.cfgiAll();
    if (op === 0) return C.CERROR_ILL;
    if ((w1 & BEYOND_STREAMS) !== 0) return 0;
    switch (op) {
      case C.CMD_CFGI_STE:
        caches.cfgiSte(w1, (w2 & LEAF) !== 0);
        return 0;
      case C.CMD_CFGI_STE_RANGE:
        if ((w2 & 0x1f) !== 0x1f) caches.cfgiSteRange(w1, w2 & 0x1f);
        return 0;
      case C.CMD_CFGI_CD:
        caches.cfgiCd(w1, w0 >>> 12, (w2 & LEAF) !== 0);
        return 0;
      case C.CMD_CFGI_CD_ALL:
        caches.cfgiCdAll(w1);
        return 0;
      default:
        // Prefetches are hints. LIMIT smmu-prefetch.
        return 0;
    }
  }

  #translations(op: number, w0: number, w1: number, w2: number, w3: number): number {
    const { caches } = this.#p;
    const bytes = (ADDRESSES >>> (op - C.CMD_TLBI_NH_ALL)) & 1 ? this.#reach(w0, w2) : 1;
    if (bytes === 0) return C.CERROR_ILL;
    // Without 16-bit ASIDs and VMIDs nothing has one that wide.
    if ((w1 & this.#wide) !== 0) return 0;
    const leaf = (w2 & LEAF) !== 0;
    const lo = w2 & -4096;
    switch (op) {
      case C.CMD_TLBI_NH_VA:
        caches.tlbiNhVa(w1 & 0xffff, w1 >>> 16, lo, w3, bytes, leaf);
        return 0;
      case C.CMD_TLBI_NH_ASID:
        caches.tlbiNhAsid(w1 & 0xffff, w1 >>> 16);
        return 0;
      case C.CMD_TLBI_S2_IPA:
        // Bits 63:56 are not part of an IPA.
        caches.tlbiS2Ipa(w1 & 0xffff, lo, w3 & 0xffffff, bytes, leaf);
        return 0;
      case C.CMD_TLBI_NH_ALL:
        caches.tlbiNhAll(w1 & 0xffff);
        return 0;
      case C.CMD_TLBI_NH_VAA:
        caches.tlbiNhVaa(w1 & 0xffff, lo, w3, bytes, leaf);
        return 0;
      case C.CMD_TLBI_EL2_ALL:
        caches.tlbiEl2All();
        return 0;
      case C.CMD_TLBI_EL2_ASID:
        caches.tlbiEl2Asid(w1 >>> 16);
        return 0;
      case C.CMD_TLBI_EL2_VA:
        caches.tlbiEl2Va(w1 >>> 16, lo, w3, bytes, leaf);
        return 0;
      case C.CMD_TLBI_EL2_VAA:
        caches.tlbiEl2Vaa(lo, w3, bytes, leaf);
        return 0;
      case C.CMD_TLBI_S12_VMALL:
        caches.tlbiS12Vmall(w1 & 0xffff);
        return 0;
      default:
        caches.tlbiNsnhAll();
        return 0;
    }
  }

  /**
   * Bytes that a command with an address is for: one, so that entries of any size that hold it go, or a range; 0: ILLEGAL. TTL
   * only says where entries may be: they are looked for everywhere.
   */
  #reach(w0: number, w2: number): number {
    const scope = (w0 & RANGE_BITS) | (w2 & 0x300);
    const tg = (w2 >>> 10) & 3;
    if (tg === 0 || !this.#u.ril) return scope === 0 || this.#qemu ? 1 : 0;
    if (scope === 0 && !this.#qemu) return 0;
    return C.rangeBytes(w0, w2);
  }

  /** While SMMUEN is 0 it is ignored, but not its mistakes. Global means something only with a SubstreamID. */
  #atc(w0: number, w1: number, w2: number, w3: number): number {
    const order = w2 & 0x3f;
    if (order > LARGEST_ATC_RANGE) return C.CERROR_ILL;
    if (!this.#isEnabled || (w1 & BEYOND_STREAMS) !== 0) return 0;
    const { tlbs } = this.#p;
    if (!tlbs.hasRoom(w1, w1, Number.POSITIVE_INFINITY)) return HELD;
    const pasid = (w0 & SSV) === 0 ? NO_PASID : (w0 & GLOBAL) !== 0 ? ALL_PASIDS : w0 >>> 12;
    // Signed: numbers beyond 2^31 are boxed wherever a call is not inlined.
    const lo = order >= 20 ? 0 : w2 & (-4096 << order);
    const hi = order < 20 ? w3 | 0 : order >= LARGEST_ATC_RANGE ? 0 : w3 & (-1 << (order - 20));
    tlbs.send(w1, w1, pasid, lo, hi, order);
    return 0;
  }

  #respond(w0: number, w1: number, w2: number): number {
    const code = RESPONSES[(w2 >>> 12) & 3]!;
    if (code < 0) return C.CERROR_ILL;
    if (!this.#isEnabled || (w1 & BEYOND_STREAMS) !== 0) return 0;
    this.#p.pages.respond(w1, (w0 & SSV) === 0 ? NO_PASID : w0 >>> 12, w2 & 0x1ff, code);
    return 0;
  }

  /**
   * Everything else has happened when it was consumed. After a time-out of an ATC invalidation the first CMD_SYNC says so;
   * software then issues those before it anew (SMMUv3: CERROR_ATC_INV_SYNC).
   */
  #sync(w0: number): number {
    if (((w0 >>> 12) & 3) === C.CS_RESERVED) return C.CERROR_ILL;
    if (this.#s.atcFailed) {
      this.#s.atcFailed = false;
      return C.CERROR_ATC_INV_SYNC;
    }
    return this.#p.tlbs.pending ? HELD : 0;
  }

  get #isEnabled(): boolean {
    return (this.#s.regs[CR0_WORD]! & SMMUEN) !== 0;
  }
}
