import { Device, type ResetKind } from '../../vmm/bus/device.ts';
import { DEVICE_TLB_EVENT, DeviceTlbs } from '../../vmm/bus/device-tlbs.ts';
import {
  AT_TRANSLATION,
  AT_UNTRANSLATED,
  DMA_UR,
  type DmaPort,
  type DmaTranslator,
  NO_PASID,
  READ,
  WRITE,
} from '../../vmm/bus/dma.ts';
import type { WalkStep } from '../../vmm/bus/iommu.ts';
import type { MmioBus, MmioHandler } from '../../vmm/bus/mmio.ts';
import { Bug } from '../../vmm/core/errors.ts';
import { hex, u64 } from '../../vmm/core/u64.ts';
import type { StateDef } from '../../vmm/state/define.ts';
import { FAULT_BY_CODE, LCT_RESERVED } from '../spec/vtd/faults.ts';
import { FECTL, IECTL, PECTL } from '../spec/vtd/registers.ts';
import { explainedFault } from '../watch/entry-steps.ts';
import { RemappingCaches } from './caches.ts';
import { type UnitCapabilities, unitCapabilities } from './capabilities.ts';
import { GlobalCommands } from './commands.ts';
import { EventInterrupt } from './events.ts';
import { faultWords, interruptSteps, outcomeText, translationSteps } from './explain.ts';
import { FaultLog, RECORDED, type Recording } from './faults.ts';
import { InterruptRemapper } from './interrupts.ts';
import { Invalidations } from './invalidations.ts';
import { PageRequests } from './page-requests.ts';
import { InvalidationQueue, QUEUE_EVENT } from './queue.ts';
import { CONTEXT_EVENT, IOTLB_EVENT, RegisterFile } from './register-file.ts';
import { DmaRemapper } from './remap.ts';
import { resetCapabilities, type VtdState } from './state.ts';
import { TableWatch } from './table-watch.ts';
import type { VtdWiring } from './wiring.ts';

/** The parts of a unit: no state of their own, all rebuilt from `s` and `w`. */
export interface VtdParts {
  readonly caches: RemappingCaches;
  readonly faults: FaultLog;
  readonly dma: DmaRemapper;
  readonly interrupts: InterruptRemapper;
  readonly queue: InvalidationQueue;
  readonly registers: RegisterFile;
  readonly watch: TableWatch;
  readonly pages: PageRequests;
  readonly unit: UnitCapabilities;
}

/** An Intel VT-d unit. */
export class VtdIommu extends Device<VtdState, VtdWiring, VtdParts> implements DmaTranslator, MmioHandler {
  constructor(w: VtdWiring) {
    super(w);
    this.dropCache();
  }

  override stateDef(): StateDef<VtdState> {
    return this.w.stateDef;
  }

  protected override buildCache(): VtdParts {
    const { s, w } = this;
    const old = this.c as VtdParts | undefined;
    // Requesters remember the epoch of the caches they were resolved with: never the same one twice.
    const caches = new RemappingCaches(s, ((old?.caches.epoch ?? 0) + 1) | 0, w.trace.vtd_context_dropped);
    // Ports that look at the old ones see the change too.
    if (old !== undefined) old.caches.epoch = caches.epoch;
    old?.watch.stop();
    const watch = new TableWatch(s, w);
    const faultEvent = new EventInterrupt(s, w, FECTL.offset);
    const invalidationEvent = new EventInterrupt(s, w, IECTL.offset);
    const faults = new FaultLog(s, faultEvent, w.config['fault-records']);
    const pageEvent = new EventInterrupt(s, w, PECTL.offset);
    const unit = unitCapabilities(w.config);
    const tlbs = new DeviceTlbs(s.deviceTlbs, w.services, {
      // docs/deviations.md: vtd-device-tlb-absent.
      waits: w.config.profile !== 'qemu',
      // FSTS.ICE does not stop the queue.
      unexpected: (requester) => faults.setCompletionError(requester),
    });
    const context = {
      check: (port: DmaPort) => this.#pageRequestContext(port),
      fault: (port: DmaPort, code: number, lo: number, hi: number, access: number) =>
        this.#dmaFault(port, code, lo, hi, access, true),
      invalidate: (_port: DmaPort, lo: number, hi: number) => this.#invalidatePage(lo, hi),
    };
    const pages = new PageRequests(s, w, pageEvent, context, unit);
    const invalidations = new Invalidations(s, w, caches, tlbs, watch, unit);
    const queue = new InvalidationQueue(s, w, {
      invalidations,
      tlbs,
      pages,
      faults,
      event: invalidationEvent,
      unit,
    });
    const commands = new GlobalCommands(s, w, caches, queue, watch);
    return {
      caches,
      faults,
      queue,
      watch,
      pages,
      unit,
      dma: new DmaRemapper(
        s,
        w,
        caches,
        (port, code, lo, hi, access) => this.#dmaFault(port, code, lo, hi, access),
        watch,
      ),
      interrupts: new InterruptRemapper(
        s,
        w,
        caches,
        (port, code, index, address) => this.#interruptFault(port, code, index, address),
        (address) => watch.sawInterruptEntry(address),
      ),
      registers: new RegisterFile(s, w, {
        caches,
        faults,
        faultEvent,
        invalidationEvent,
        queue,
        commands,
        announce: watch,
        pages,
        pageEvent,
      }),
    };
  }

  translate(port: DmaPort, lo: number, hi: number, access: number): number {
    // Signed halves: a value above 2^31 - 1 would be boxed at a call.
    return this.c.dma.translate(port, lo | 0, hi | 0, port.atomic ? access | READ | WRITE : access);
  }

  message(port: DmaPort, lo: number, _hi: number, data: number, length: number): number {
    return this.c.interrupts.message(port, lo, data, length);
  }

  pageRequest(port: DmaPort, lo: number, hi: number, access: number, group: number, last: boolean): number {
    if (!this.c.unit.pageRequests) return DMA_UR;
    return this.c.pages.request(port, lo, hi, access, group, last);
  }

  invalidationComplete(port: DmaPort, tag: number): void {
    this.c.queue.completed(port.requester, tag);
  }

  #pageRequestContext(port: DmaPort): number {
    return this.c.dma.pageRequestContext(port);
  }

  /** The page of a page request that #pageRequestContext has just checked. */
  #invalidatePage(lo: number, hi: number): void {
    const { caches, dma } = this.c;
    if (dma.scalable.pageDomain >= 0) caches.implicitPage(dma.scalable.pageDomain, dma.record.pasid, lo, hi);
  }

  read(offset: number, size: number, bus: MmioBus): number {
    return this.c.registers.read(offset, size, bus);
  }

  write(offset: number, size: number, lo: number, hi: number, _bus: MmioBus): void {
    this.c.registers.write(offset, size, lo, hi);
  }

  /** Scheduled work: of `invalidation: async`, and the time-outs of device-TLBs. */
  clockEvent(name: string, arg = 0): void {
    if (name === QUEUE_EVENT) this.c.queue.due();
    else if (name === DEVICE_TLB_EVENT) this.c.queue.timedOut(arg);
    else if (name === CONTEXT_EVENT || name === IOTLB_EVENT) this.c.registers.complete(name);
    else throw new Bug(`VT-d has no clock event ${name}`);
  }

  /** Everything but the sticky bits (a warm reset keeps them) goes back to power-on; a unit has no function-level reset. */
  override reset(kind: ResetKind): void {
    const { s, w } = this;
    const regs = s.regs;
    if (kind === 'warm') w.block.warmReset(regs);
    else regs.set(w.block.fresh());
    resetCapabilities(regs, w.config);
    s.rootLo = 0;
    s.rootHi = 0;
    s.irtaLo = 0;
    s.irtaHi = 0;
    s.faultIndex = 0;
    s.deviceTlbs.length = 0;
    s.waitHeld = false;
    s.queueDue = false;
    // The wide ones are as new until a first tag is taken.
    if (s.domainCounters[0] !== 0)
      for (const words of [s.iotlb, s.pagingCache, s.pasidCache, s.pairs]) words.fill(0);
    for (const words of [s.domainTags, s.domainCounters, s.contextTags, s.contextCounters]) words.fill(0);
    for (const words of [s.interruptTags, s.interruptCounters, s.interruptCache]) words.fill(0);
    for (const words of [s.iotlbSizes, s.contextCache]) words.fill(0);
    for (const words of [s.pairFloors, s.pairLatest, s.pasidFloors, s.pasidFloor]) words.fill(0);
    s.watched.length = 0;
    s.tableStores = 0;
    s.changed.length = 0;
    s.chance = 0;
    const { clock, id } = w.services;
    for (const event of [QUEUE_EVENT, DEVICE_TLB_EVENT, CONTEXT_EVENT, IOTLB_EVENT]) clock.cancel(id, event);
    this.dropCache();
    w.forward.to?.remappingChanged();
  }

  dropSome(random: number): void {
    this.c.caches.dropSome(random);
  }

  fetchEntryAhead(): void {
    this.c.interrupts.fetchAhead();
  }

  fetchAhead(port: DmaPort, lo: number, hi: number): void {
    this.c.dma.fetchAhead(port, lo, hi);
  }

  /** How a request would be translated now; changes nothing. */
  explain(port: DmaPort, lo: number, hi: number, access: number) {
    const { dma } = this.c;
    const code = dma.procedure(port, lo >>> 0, hi >>> 0, access, false);
    return {
      steps: translationSteps(dma, this.s, this.w.services.provenance),
      outcome: outcomeText(code, dma.result.outLo, dma.result.outHi),
    };
  }

  #dmaFault(port: DmaPort, code: number, lo: number, hi: number, access: number, page = false): void {
    const { dma } = this.c;
    const recording = this.#record(port, code, lo, hi, access, dma.record.faultDisabled, page);
    const { services } = this.w;
    const steps = translationSteps(dma, this.s, services.provenance);
    this.#trace(port, code, lo, hi, access, recording, steps);
    const address = hex(u64(lo, hi));
    services.onFault(
      explainedFault(services.id, port, faultWords(code), address, access, steps, noteOf(recording)),
    );
  }

  /** Fault information of an interrupt request: the index in bits 63:48. */
  #interruptFault(port: DmaPort, code: number, index: number, address: number): void {
    const { interrupts } = this.c;
    const window = FAULT_BY_CODE[code]!.code < 0x20;
    const infoLo = window ? address : 0;
    const infoHi = window ? 0 : (index & 0xffff) << 16;
    const recording = this.#record(port, code, infoLo, infoHi >>> 0, 2, interrupts.faultDisabled);
    const { services } = this.w;
    const steps = interruptSteps(interrupts.record, services.provenance);
    this.#trace(port, code, address, 0, 2, recording, steps);
    const at = hex(address >>> 0);
    services.onFault(
      explainedFault(services.id, port, faultWords(code), at, 'interrupt', steps, noteOf(recording)),
    );
  }

  #record(
    port: DmaPort,
    code: number,
    lo: number,
    hi: number,
    access: number,
    faultDisabled: boolean,
    pageRequest = false,
  ): Recording {
    if (faultDisabled && this.#isQualified(code)) return 'fault processing disabled';
    // {T1, T2}: 00 write, 01 page request, 10 read, 11 AtomicOp.
    const atomic = (access & 3) === 3 && port.at !== AT_TRANSLATION && !pageRequest;
    const t1 = !pageRequest && (atomic || (access & 2) === 0) ? 0x40000000 : 0;
    const at = port.at === AT_UNTRANSLATED || pageRequest ? 0 : port.at << 28;
    let extra = atomic || pageRequest ? 0x10000000 : 0;
    let pasid = 0;
    if (port.pasid !== NO_PASID) {
      pasid = port.pasid << 8;
      extra |= 0x80000000 | ((access & 4) !== 0 ? 0x40000000 : 0) | (port.privileged ? 0x20000000 : 0);
    }
    return this.c.faults.record(code, port.requester, lo, hi, t1 | at | pasid, extra);
  }

  /** docs/deviations.md: vtd-fpd-context-reserved. */
  #isQualified(code: number): boolean {
    if (code === LCT_RESERVED && this.w.config.profile === 'qemu') return false;
    return FAULT_BY_CODE[code]!.qualified;
  }

  #trace(
    port: DmaPort,
    code: number,
    lo: number,
    hi: number,
    access: number,
    recording: Recording,
    steps: readonly WalkStep[],
  ): void {
    const event = this.w.trace.vtd_dmar_fault;
    if (!event.on) return;
    const entries = steps.map((step) => step.address).filter((address) => address !== undefined);
    event.emit(port.requester, code, lo, hi, access, recording, port.pasid, entries.join(' '));
  }
}

function noteOf(recording: Recording): string | undefined {
  return recording === RECORDED ? undefined : recording;
}
