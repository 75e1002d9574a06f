import { Device, type ResetKind } from '../../vmm/bus/device.ts';
import {
  DMA_OK,
  DMA_STALLED,
  DMA_UR,
  type DmaPort,
  type DmaTranslator,
  READ,
  WRITE,
} from '../../vmm/bus/dma.ts';
import type { WalkStep } from '../../vmm/bus/iommu.ts';
import type { MmioBus, MmioHandler } from '../../vmm/bus/mmio.ts';
import { Bug } from '../../vmm/core/errors.ts';
import { hex, u64 } from '../../vmm/core/u64.ts';
import type { StateDef } from '../../vmm/state/define.ts';
import { NOT_HELD } from '../port/smmuv3.ts';
import type { WalkMemory } from '../walk/memory.ts';
import { explainedFault } from '../watch/entry-steps.ts';
import { SmmuCaches } from './caches.ts';
import { controlEvent, resetControl, type SmmuControl, smmuControl } from './control.ts';
import { RECORDED, type Recording, STALLED } from './events.ts';
import { eventWords, outcomeText, translationSteps } from './explain.ts';
import { NO_STE, WITH_PASID, WITHOUT_PASID } from './pri-queue.ts';
import type { ReadSink } from './sinks.ts';
import { resetIdentification, type SmmuState } from './state.ts';
import { TableWatch } from './table-watch.ts';
import { SmmuTranslation } from './translation.ts';
import type { SmmuWiring } from './wiring.ts';

/** The parts of a unit: no state of their own, all rebuilt from `s` and `w`. */
export interface SmmuParts {
  readonly caches: SmmuCaches;
  readonly control: SmmuControl;
  readonly translation: SmmuTranslation;
  readonly watch: TableWatch;
  readonly memory: WalkMemory;
}

/** An Arm SMMUv3. */
export class SmmuV3 extends Device<SmmuState, SmmuWiring, SmmuParts> implements DmaTranslator, MmioHandler {
  constructor(w: SmmuWiring) {
    super(w);
    this.dropCache();
  }

  override stateDef(): StateDef<SmmuState> {
    return this.w.stateDef;
  }

  protected override buildCache(): SmmuParts {
    const { s, w } = this;
    const old = this.c as SmmuParts | undefined;
    // Requesters remember the epoch of the caches they were resolved with: never the same one twice.
    const caches = new SmmuCaches(s, ((old?.caches.epoch ?? 0) + 1) | 0, w.trace.smmuv3_config_dropped);
    // Ports that look at the old ones see the change too.
    if (old !== undefined) old.caches.epoch = caches.epoch;
    old?.watch.stop();
    const memory = new TableMemory(w);
    const watch = new TableWatch(s, w, memory);
    memory.updates = watch;
    const control = smmuControl(s, w, caches, watch, (sid) => this.#responseRule(sid));
    const translation = new SmmuTranslation(
      s,
      w,
      caches,
      memory,
      watch,
      control.sink,
      (port, code, lo, hi, access, recording) => this.#report(port, code, lo, hi, access, recording),
    );
    return { caches, control, translation, watch, memory };
  }

  translate(port: DmaPort, lo: number, hi: number, access: number): number {
    // Signed halves: a value above 2^31 - 1 would be boxed at a call.
    return this.c.translation.translate(port, lo | 0, hi | 0, port.atomic ? access | READ | WRITE : access);
  }

  /** Messages are writes like any other; no window is set apart, so nobody is ever asked. */
  message(_port: DmaPort, _lo: number, _hi: number, _data: number, _length: number): number {
    return DMA_UR;
  }

  pageRequest(port: DmaPort, lo: number, hi: number, access: number, group: number, last: boolean): number {
    const { control, translation } = this.c;
    if (!translation.features.pri) return DMA_UR;
    return control.pages.request(port, lo, hi, access, group, last);
  }

  invalidationComplete(port: DmaPort, tag: number): void {
    this.c.control.commands.completed(port.requester, tag);
  }

  #responseRule(sid: number): number {
    const stream = this.c.translation.findStream(sid);
    if (stream === undefined) return NO_STE;
    return stream.responsePasid ? WITH_PASID : WITHOUT_PASID;
  }

  read(offset: number, size: number, bus: MmioBus): number {
    return this.c.control.registers.read(offset, size, bus);
  }

  write(offset: number, size: number, lo: number, hi: number, _bus: MmioBus): void {
    this.c.control.registers.write(offset, size, lo, hi);
  }

  clockEvent(name: string): void {
    if (!controlEvent(this.c.control, name)) throw new Bug(`SMMUv3 has no clock event ${name}`);
  }

  /** Everything goes back to power-on, whatever the kind: no field is sticky. */
  override reset(_kind: ResetKind): void {
    const { s, w } = this;
    s.regs.set(w.block.fresh());
    resetIdentification(s.regs, w.config);
    resetControl(s, w);
    // The wide ones, 34 MiB together, are as new until a first tag is taken.
    if (s.steCounters[0] !== 0) s.steCache.fill(0);
    if (s.cdCounters[0] !== 0) s.cdCache.fill(0);
    if (s.tlbCounters[0] !== 0) for (const words of [s.contexts, s.tlb, s.walkCache]) words.fill(0);
    for (const words of [s.steCounters, s.cdCounters, s.tlbCounters, s.tlbSizes]) words.fill(0);
    for (const words of [s.steTags, s.cdTags, s.vmidTags, s.contextFloors, s.contextLatest]) words.fill(0);
    s.roots.fill(0);
    s.watched.length = 0;
    s.changed.length = 0;
    s.tableStores = 0;
    s.chance = 0;
    this.dropCache();
    w.forward.to?.configurationChanged();
  }

  dropSome(random: number): void {
    this.c.caches.dropSome(random);
  }

  fetchAhead(port: DmaPort, lo: number, hi: number): void {
    this.c.translation.fetchAhead(port, lo, hi);
  }

  /** An event from outside the unit, whose 8 words are written as they are. */
  relayEvent(words: Uint32Array): Recording {
    const { sink } = this.c.control;
    const recording = sink.relay(words);
    sink.settle();
    return recording;
  }

  /** SmmuPort.hold. */
  hold(port: DmaPort, lo: number, hi: number, access: number): number {
    const status = this.c.translation.hold(port, lo | 0, hi | 0, access);
    if (status === DMA_STALLED) return port.stallTag;
    return status === DMA_OK ? NOT_HELD : -1;
  }

  /** How a request would be translated now; changes nothing. */
  explain(port: DmaPort, lo: number, hi: number, access: number) {
    const { translation } = this.c;
    const code = translation.procedure(port, lo | 0, hi | 0, access, false);
    return {
      steps: translationSteps(translation, this.s, this.w.services.provenance),
      outcome: outcomeText(code, translation),
    };
  }

  #report(port: DmaPort, code: number, lo: number, hi: number, access: number, recording: Recording): void {
    const { control, translation } = this.c;
    const { services, trace } = this.w;
    const event = trace.smmuv3_record_event;
    if (recording === STALLED) {
      if (event.on) event.emit(port.requester, code, lo, hi, access, recording, port.pasid, '');
      control.sink.settle();
      return;
    }
    const steps: readonly WalkStep[] = translationSteps(translation, this.s, services.provenance);
    if (event.on) {
      const entries = steps.map((step) => step.address).filter((address) => address !== undefined);
      event.emit(port.requester, code, lo, hi, access, recording, port.pasid, entries.join(' '));
    }
    const address = hex(u64(lo, hi));
    const note = recording === RECORDED ? undefined : recording;
    const words = eventWords(translation, code);
    services.onFault(explainedFault(services.id, port, words, address, access, steps, note));
    control.sink.settle();
  }
}

/** Guest memory as the walkers see it: stores of hardware updates are the unit's. */
class TableMemory implements WalkMemory {
  readonly u32: Uint32Array;
  readonly base: number;
  readonly end: number;
  readonly #w: SmmuWiring;
  /** Who is to know that a store is an update of the unit's. */
  updates: Pick<ReadSink, 'updating'> | undefined;

  constructor(w: SmmuWiring) {
    const { ram } = w.services.memory;
    this.u32 = ram.u32;
    this.base = ram.base;
    this.end = ram.end;
    this.#w = w;
  }

  locate(lo: number, hi: number, bytes: number): number {
    return this.#w.services.memory.ram.locate(lo, hi, bytes);
  }

  wrote(address: number, bytes: number): void {
    const { memory, id } = this.#w.services;
    memory.writer = id;
    const { updates } = this;
    if (updates !== undefined) updates.updating = true;
    memory.ram.wrote(address, bytes);
    if (updates !== undefined) updates.updating = false;
  }
}
