import type { Dsa } from '../../devices/ep/dsa/dsa.ts';
import { DSA } from '../../devices/ep/dsa/kind.ts';
import type { SvmEngine } from '../../devices/ep/svm-engine.ts';
import { SVM_ENGINE } from '../../devices/ep/svm-engine-kind.ts';
import {
  FRAME_CONTROL,
  SVM_FRAME_BASE,
  SVM_FRAME_BYTES,
  SVM_INVALIDATION,
  SVM_OP,
} from '../../devices/ep/svm-engine-registers.ts';
import { pciEndpoints } from '../../devices/pci/endpoints.ts';
import type { PciDevice, PciDeviceKind, PciServices } from '../../devices/pci/kind.ts';
import { RootComplex } from '../../devices/pci/root-complex.ts';
import { PAGE_REQUEST_BYTES } from '../../viommu/spec/vtd/descriptors.ts';
import { FSTS, IQH, IQT, PQA, PQH, PQT, PRS } from '../../viommu/spec/vtd/registers.ts';
import type { VtdConfig } from '../../viommu/vtd/config.ts';
import { DmaPort } from '../../vmm/bus/dma.ts';
import { PortBus } from '../../vmm/bus/ports.ts';
import { Rng } from '../../vmm/core/rng.ts';
import type { GuestRam } from '../../vmm/mem/ram.ts';
import { enableSvm, SVM_BAR, SvmFrames, startEngine } from './svm-world.ts';
import { CONTEXTS, QUEUE, ROOT } from './vtd-machine.ts';
import { DIRECTORY, PASIDS, ScalableMachine } from './vtd-scalable.ts';

const ENGINE = 0x18;
const ACCELERATOR = 0x20;
const DSA_BAR0 = 0xe0800000;
const DSA_BAR2 = 0xe0900000;
/** Bytes of the registers that mean something, and of a portal's page group. */
const DSA_REGISTERS = 0x1000;
const PORTALS = 0x4000;
const QUEUES = 4;
const PRQ = 0x40000;
const PRQ_BYTES = 4096;
const MIB = 1 << 20;
/** Pages of the processes, and lists of descriptors in them. */
const USER = 0x10000;
const USER_PAGES = 32;
const DATA = 0x400000;
const OPERATIONS = Object.keys(SVM_OP) as (keyof typeof SVM_OP)[];
/** DSA operation codes, and what is none. */
const DSA_OPS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 18, 32, 33, 0x7f];
const DSA_COMMANDS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 31];
const FLUSHES = [0x11n, 0x37n, 0x12n, 0x5_0005_0026n, 0x5_0005_0018n];

/** A guest with a VT-d, an accelerator and an SVM engine, which hands all of them nonsense. */
export class BadGuest {
  readonly vtd: ScalableMachine;
  readonly frames: SvmFrames;
  readonly dsa: Dsa;
  readonly engine: SvmEngine;
  readonly #rng: Rng;
  readonly #root: RootComplex;
  readonly #devices: readonly PciDevice[];
  readonly #tops: readonly number[];
  /** Descriptors that the accelerator took. */
  submitted = 0;
  /** Page requests that came to the queue. */
  requested = 0;

  constructor(seed: number, config: Partial<VtdConfig>, ram?: GuestRam) {
    this.#rng = new Rng(seed);
    this.vtd = new ScalableMachine({
      config,
      endpoints: pciEndpoints(() => this.#root),
      ...(ram === undefined ? {} : { ram }),
    });
    this.#root = new RootComplex({
      mmio: this.vtd.bus,
      ports: new PortBus(),
      irq: { setIrq: () => {} },
      gsiOf: () => 16,
      tracer: this.vtd.tracer,
    });
    const engine = this.#plug(SVM_ENGINE, 'svm', ENGINE >>> 3);
    const accelerator = this.#plug(DSA, 'dsa', ACCELERATOR >>> 3);
    this.#devices = [engine, accelerator];
    this.engine = engine.device as SvmEngine;
    this.dsa = accelerator.device as Dsa;
    this.frames = new SvmFrames(this.vtd.bus);
    this.#tops = [this.vtd.page(), this.vtd.page(), this.vtd.page()];
    this.#repair();
    this.vtd.write(PQA, PRQ);
    this.vtd.startScalable();
    startEngine(engine.fn);
    accelerator.fn.configWrite(0x10, 4, DSA_BAR0);
    accelerator.fn.configWrite(0x18, 4, DSA_BAR2);
    enableSvm(accelerator.fn, { pasid: 5, allocation: 32 });
    this.#startAccelerator();
  }

  #plug<C>(kind: PciDeviceKind<C>, id: string, device: number): PciDevice {
    const made = kind.create({ ...kind.defaults }, this.#services(id));
    this.#root.add(made.fn, { device, fn: 0 });
    return made;
  }

  #services(id: string): PciServices {
    const { iommu, memory, clock, tracer } = this.vtd;
    const dma = new DmaPort(id, 0, iommu.translator, memory);
    return { id, dma, clock, tracer, bypass: memory, virtual: (n) => this.#services(`${id}.vf${n}`) };
  }

  /** Tables as a good guest has them: PASID 5 first-stage, 6 second-stage, 7 nested, 8 pass-through. */
  #repair(): void {
    const [first, second, nested] = this.#tops as [number, number, number];
    const { vtd } = this;
    for (const requester of [ENGINE, ENGINE + 1, ACCELERATOR]) vtd.scalableContext(requester);
    vtd.store(DIRECTORY, PASIDS | 1);
    vtd.pasid(5, { PGTT: 1, DID: 5, FSPTPTR: first, ERE: 1, NXE: 1 });
    vtd.pasid(6, { PGTT: 2, DID: 6, AW: 2, SSPTPTR: second, SSADE: 1 });
    vtd.pasid(7, { PGTT: 3, DID: 6, AW: 2, SSPTPTR: second, FSPTPTR: nested, EAFE: 1 });
    vtd.pasid(8, { PGTT: 4, DID: 8 });
  }

  #startAccelerator(): void {
    const write = (offset: number, value: number) => this.vtd.bus.write(DSA_BAR0 + offset, 4, value, 0);
    write(0x200, (1 << QUEUES) - 1);
    write(0x220, 0xf);
    for (let wq = 0; wq < QUEUES; wq++) {
      const at = 0x400 + wq * 32;
      write(at, 16);
      write(at + 4, 8);
      write(at + 8, ((wq & 1) | 2 | (10 << 4) | ((5 + wq) << 8) | (1 << 28)) >>> 0);
      write(at + 12, 20 | (6 << 5));
    }
    write(0xa0, 1 << 20);
    for (let wq = 0; wq < QUEUES; wq++) write(0xa0, (6 << 20) | wq);
  }

  /** Does one bad thing. */
  step(): void {
    const kind = this.#rng.below(32);
    if (kind < 4) this.#scribble();
    else if (kind < 7) this.#map();
    else if (kind < 9) this.#descriptor();
    else if (kind < 11) this.#answerPages();
    else if (kind < 18) this.#work();
    else if (kind < 20) this.#acceleratorRegister();
    else if (kind < 27) this.#operation();
    else if (kind < 29) this.#engineRegister();
    else if (kind === 29) this.#config();
    else if (kind === 30) this.#passTime();
    else if (this.#rng.below(3) === 0) this.#begin();
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#rng.below(list.length)]!;
  }

  #word(): number {
    const rng = this.#rng;
    return this.#pick([0, 0xffffffff, 1 << rng.below(32), rng.next(), rng.next(), rng.below(64) << 12]) >>> 0;
  }

  /** An address of a process, or anything. */
  #address(): number {
    const rng = this.#rng;
    return rng.below(6) === 0 ? this.#word() : USER + rng.below(USER_PAGES * 4096);
  }

  /** Random bytes, or a bit turned over, in a table, a queue or a list of descriptors. */
  #scribble(): void {
    const rng = this.#rng;
    const place = this.#pick([
      ROOT,
      CONTEXTS + ENGINE * 32,
      CONTEXTS + ACCELERATOR * 32,
      DIRECTORY,
      PASIDS + (5 + rng.below(4)) * 64,
      PASIDS + rng.below(64) * 64,
      QUEUE + rng.below(4096),
      PRQ + rng.below(4096),
      ...this.#tops,
      this.#tops[0]! + rng.below(32) * 4096 + rng.below(512) * 8,
      DATA + rng.below(USER_PAGES * 4096),
    ]);
    const at = (place + rng.below(8) * 8) & -8;
    const flip = rng.below(3) !== 0;
    const value = flip
      ? this.vtd.load(at) ^ (1n << BigInt(rng.below(64)))
      : (BigInt(rng.next()) << 32n) | BigInt(rng.next());
    this.vtd.store(at, value);
  }

  /** A page of a process, mostly as it should be. */
  #map(): void {
    const rng = this.#rng;
    const page = rng.below(USER_PAGES);
    const at = USER + page * 4096;
    const to = rng.below(16) === 0 ? this.#word() & -4096 : DATA + page * 4096;
    const [first, second] = this.#tops as [number, number];
    const bits = this.#pick([7, 7, 0x67, 5, 0, 0x85]);
    const user = rng.below(2) === 0;
    if (!this.#reaches(user ? first : second, at)) return;
    if (user) this.vtd.mapFirst(first, 4, at, BigInt(to >>> 0) | BigInt(bits));
    else this.vtd.map(second, 4, at, BigInt(to >>> 0) | BigInt(bits & 3));
  }

  /** True while the guest's own stores to these tables go to RAM. */
  #reaches(top: number, address: number): boolean {
    let table = top;
    for (let level = 4; level > 1; level--) {
      const entry = this.vtd.load(table + ((address / 2 ** (3 + 9 * level)) & 511) * 8);
      if (entry === 0n) return true;
      table = Number(entry & 0xffff_f000n);
      if (table >= this.vtd.ram.end) return false;
    }
    return true;
  }

  /** A descriptor of the invalidation queue, which is set going again when it has stopped. */
  #descriptor(): void {
    const rng = this.#rng;
    const { vtd } = this;
    if (rng.below(3) === 0) {
      const head = Number(vtd.read(IQH));
      vtd.store(QUEUE + (head & 0xfe0), 5n);
      for (const more of [8, 16, 24]) vtd.store(QUEUE + (head & 0xfe0) + more, 0n);
      vtd.write(FSTS, 0x71);
      vtd.write(PRS, 3);
    }
    const type = 1 + rng.below(9);
    const known = BigInt(type) | BigInt(rng.next() & 0x30) | (BigInt(5 + rng.below(4)) << 16n);
    const good = this.#pick(FLUSHES);
    const q0 = this.#pick([
      good,
      good,
      known | (BigInt(rng.below(16)) << 32n),
      (BigInt(rng.next()) << 32n) | BigInt(rng.next()),
    ]);
    vtd.submit(q0, rng.below(3) === 0 ? BigInt(this.#address()) & -8n : 0n);
    if (rng.below(64) === 0) vtd.write(IQT, this.#word());
  }

  #answerPages(): void {
    const rng = this.#rng;
    const { vtd } = this;
    const tail = Number(vtd.read(PQT)) & (PRQ_BYTES - 1);
    let head = Number(vtd.read(PQH)) & (PRQ_BYTES - 1);
    for (; head !== tail; head = (head + PAGE_REQUEST_BYTES) & (PRQ_BYTES - 1)) {
      this.requested++;
      const [q0, q1] = [vtd.load(PRQ + head), vtd.load(PRQ + head + 8)];
      const code = BigInt(this.#pick([0, 0, 0, 1, 15, 7]));
      const pasid = (q0 >> 32n) & 0xfffffn;
      const withPasid = (q0 >> 8n) & 1n;
      // Not every one is answered, and some answers are about something else.
      if (rng.below(4) === 0) continue;
      const group = rng.below(16) === 0 ? BigInt(rng.below(512)) : (q1 >> 3n) & 0x1ffn;
      vtd.submit(
        9n | (withPasid << 4n) | (code << 12n) | (q0 & 0xffff0000n) | (pasid << 32n),
        (group << 3n) | 4n,
      );
    }
    vtd.write(PQH, head);
  }

  /** A descriptor for the accelerator: of a known kind, with a few things wrong, or noise. */
  #work(): void {
    const rng = this.#rng;
    const words = this.#workWords();
    const wq = rng.below(QUEUES);
    const enqueues = rng.below(16) === 0 ? (wq & 1) === 0 : (wq & 1) !== 0;
    const portal = DSA_BAR2 + wq * PORTALS + rng.below(4) * 0x1000;
    this.vtd.bus.line(portal, words, enqueues);
    this.submitted++;
    // Some wait in memory until a batch comes by.
    if (rng.below(4) === 0) {
      const at = (DATA + rng.below(USER_PAGES * 64) * 64) >>> 2;
      for (let i = 0; i < 16; i++) this.vtd.ram.u32[at + i] = words[i]!;
    }
  }

  #workWords(): Uint32Array {
    const rng = this.#rng;
    const words = new Uint32Array(16);
    if (rng.below(8) === 0) return words.map(() => rng.next());
    words[0] = (5 + rng.below(5)) | (rng.below(8) === 0 ? 0x80000000 : 0);
    const flags = this.#pick([0xc, 0xc, 0xe, 0x8, 0, rng.below(1 << 16), rng.next() & 0xffffff]);
    words[1] = ((this.#pick(DSA_OPS) << 24) | flags) >>> 0;
    for (const i of [2, 4, 6]) words[i] = this.#address() & (rng.below(4) === 0 ? -1 : -32);
    words[8] = rng.below(16) === 0 ? this.#word() : rng.below(3) === 0 ? rng.below(8) : rng.below(3 * 4096);
    for (let i = 9; i < 16; i++) words[i] = rng.below(4) === 0 ? this.#word() : 0;
    if (rng.below(4) === 0) words[10] = this.#address();
    return words;
  }

  #acceleratorRegister(): void {
    const rng = this.#rng;
    const { bus } = this.vtd;
    if (rng.below(3) === 0)
      bus.write(DSA_BAR0 + 0xa0, 4, ((this.#pick(DSA_COMMANDS) << 20) | rng.below(1 << 20)) >>> 0, 0);
    else if (rng.below(2) === 0) bus.write(DSA_BAR0 + rng.below(DSA_REGISTERS / 4) * 4, 4, this.#word(), 0);
    else bus.read(DSA_BAR0 + rng.below(DSA_REGISTERS / 8) * 8, 8);
    if (rng.below(6) === 0) this.#startAccelerator();
  }

  #operation(): void {
    const rng = this.#rng;
    this.frames.start(rng.below(8), {
      op: this.#pick(OPERATIONS),
      pasid: 4 + rng.below(6),
      src: this.#address(),
      dst: this.#address(),
      size: rng.below(3) === 0 ? 8 : rng.below(rng.below(16) === 0 ? 8192 : 512),
      operand: BigInt(rng.next()),
      control: {
        PASID_VALID: rng.below(8) === 0 ? 0 : 1,
        PRI: rng.below(2),
        ACCESS: rng.below(8),
        LAST: rng.below(2),
        AHEAD: rng.below(4),
        GROUP_FIXED: rng.below(2),
        GROUP: rng.below(512),
        NO_ATS: rng.below(4) === 0 ? 1 : 0,
        RAW_AT: rng.below(4),
        EXECUTE: rng.below(2),
        PRIVILEGED: rng.below(2),
      },
    });
  }

  #engineRegister(): void {
    const rng = this.#rng;
    const { bus } = this.vtd;
    if (rng.below(4) === 0) this.frames.setRegister(SVM_INVALIDATION, rng.below(4));
    const frame = SVM_BAR + SVM_FRAME_BASE + rng.below(8) * SVM_FRAME_BYTES;
    const at = (rng.below(4) === 0 ? SVM_BAR : frame) + rng.below(SVM_FRAME_BYTES / 8) * 8;
    const control = FRAME_CONTROL.fields.IRQ.lo;
    const size = this.#pick([4, 8] as const);
    if (rng.below(3) === 0) bus.read(at, size);
    else bus.write(at, size, (this.#word() & ~(1 << control)) >>> 0, size === 8 ? this.#word() : 0);
  }

  #config(): void {
    const rng = this.#rng;
    const { fn } = this.#pick(this.#devices);
    fn.configWrite(0x100 + rng.below(64) * 4, 4, rng.below(2) === 0 ? rng.next() : 0x80010001);
    if (rng.below(2) === 0) enableSvm(fn, { pasid: 5, allocation: 1 + rng.below(32) });
  }

  #passTime(): void {
    const { vtd } = this;
    vtd.clock.advanceTo(vtd.clock.now + this.#rng.below(20_000_000));
    vtd.clearFaults();
  }

  /** The guest notices and makes its tables anew. */
  #begin(): void {
    this.#repair();
    const { fn } = this.#devices[1]!;
    enableSvm(fn, { pasid: 5, allocation: 32 });
    enableSvm(this.#devices[0]!.fn);
    for (const flush of [0x11n, 0x37n, 0x12n]) this.vtd.submit(flush);
    this.#startAccelerator();
  }

  /** Resets both functions; what they still have under way then. */
  stop(): number {
    for (const { device } of this.#devices) device.reset('warm');
    return this.engine.agent.outstanding + this.dsa.agent.outstanding;
  }

  /** MiB behind RAM that are not 0: nobody but a processor, which there is none, may write there. Page flags aside. */
  strayMemory(memory: Uint8Array): number {
    const { end, layout } = this.vtd.ram;
    const nothing = new Uint8Array(MIB);
    let stray = 0;
    for (let at = end; at < memory.length; at += MIB) {
      const piece = memory.subarray(at, Math.min(at + MIB, memory.length));
      if (at === layout.flags) stray += piece.some((flag) => flag > 1) ? 1 : 0;
      else if (Buffer.compare(piece, nothing.subarray(0, piece.length)) !== 0) stray++;
    }
    return stray;
  }
}
