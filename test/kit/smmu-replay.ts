/** Recorded cases of an SMMUv3 (test/fixtures/g4) on the model itself: registers, memory and DMA, without a machine. */
import { SMMU_DEFAULTS } from '../../viommu/smmuv3/config.ts';
import { SmmuV3 } from '../../viommu/smmuv3/device.ts';
import { smmuBlock, smmuState } from '../../viommu/smmuv3/state.ts';
import { SMMU_EVENTS } from '../../viommu/smmuv3/trace.ts';
import { DMA_OK, DmaPort, READ, WRITE } from '../../vmm/bus/dma.ts';
import { SystemMemory } from '../../vmm/bus/memory.ts';
import { MmioBus } from '../../vmm/bus/mmio.ts';
import { VirtualClock } from '../../vmm/core/clock.ts';
import { hi32, lo32, u64 } from '../../vmm/core/u64.ts';
import type { GuestRam } from '../../vmm/mem/ram.ts';
import { Tracer } from '../../vmm/trace/tracer.ts';

interface RecordedDma {
  readonly op: 'dma';
  readonly sid: string;
  readonly access: 'read' | 'write';
  readonly iova: string;
  readonly len: number;
  readonly segments: readonly (readonly [string, number, string])[];
  /** Words of each record; QEMU repeats them for every four bytes, which is left out. */
  readonly events: readonly (readonly (string | null)[])[];
}

type Step =
  | RecordedDma
  | { readonly op: 'w' | 'r'; readonly off: string; readonly size: 4 | 8; readonly val: string }
  | { readonly op: 'mem'; readonly w: readonly (readonly [string, string])[] };

export interface RecordedSmmuCase {
  readonly id: number;
  readonly category: readonly string[];
  readonly qemu: { readonly stage: '1' | '2' | 'nested' };
  readonly requesters: readonly string[];
  readonly mem: readonly (readonly [string, string])[];
  readonly tags: readonly (readonly [string, number])[];
  readonly steps: readonly Step[];
  readonly mem_after: readonly (readonly [string, string])[];
}

const EVENTQ_BASE = 0xa0;
const EVENTQ_PROD = 0x100a8;
const EVENTQ_CONS = 0x100ac;
/** Of cases that have no event queue of their own. */
const NO_QUEUE = 0;

export class SmmuCaseReplay {
  readonly differences: string[] = [];
  requests = 0;
  readonly #ram: GuestRam;
  readonly #bus = new MmioBus();
  readonly #case: RecordedSmmuCase;
  readonly #base: number;
  readonly #ports = new Map<string, DmaPort>();
  readonly #written: number[] = [];
  #eventAt = NO_QUEUE;
  #eventMask = 0;
  #seen = 0;

  /** @param ram 1 GiB from 40000000h on, zero where the case has tables; it is left so */
  constructor(recorded: RecordedSmmuCase, ram: GuestRam, profile: 'spec' | 'qemu') {
    this.#case = recorded;
    this.#ram = ram;
    const memory = new SystemMemory(ram, this.#bus);
    const clock = new VirtualClock();
    const tracer = new Tracer(() => clock.now);
    const config = { ...SMMU_DEFAULTS, stage: recorded.qemu.stage, profile };
    const block = smmuBlock();
    const device = new SmmuV3({
      config,
      block,
      stateDef: smmuState(config, block),
      forward: { to: null },
      trace: tracer.bind(SMMU_EVENTS),
      services: {
        id: 'smmu0',
        memory,
        clock,
        tracer,
        interrupts: { deliver: () => {} },
        onFault: () => {},
        provenance: { lastWriter: () => undefined, here: () => undefined },
      },
    });
    clock.handle('smmu0', (event) => device.clockEvent(event));
    this.#base = config.base;
    this.#bus.add({ name: 'smmu0', base: config.base, size: 0x20000, handler: device });
    for (const sid of recorded.requesters) {
      const port = new DmaPort('edu', Number(sid), device, memory);
      port.enabled = true;
      this.#ports.set(sid, port);
    }
  }

  run(): void {
    this.#store(this.#case.mem);
    this.#case.steps.forEach((step, i) => {
      this.#step(step, `case ${this.#case.id} step ${i}`);
    });
    for (const [at, value] of this.#case.mem_after) {
      const now = this.#load(Number(at));
      if (now !== BigInt(value)) this.differences.push(`memory ${at} is 0x${now.toString(16)}, not ${value}`);
    }
    for (const at of this.#written) this.#ram.u32.fill(0, at >>> 2, (at >>> 2) + 2);
    if (this.#eventAt !== NO_QUEUE)
      this.#ram.u32.fill(0, this.#eventAt >>> 2, (this.#eventAt >>> 2) + (this.#eventMask + 1) * 8);
  }

  #step(step: Step, name: string): void {
    if (step.op === 'mem') this.#store(step.w);
    else if (step.op === 'dma') this.#dma(step, name);
    else if (step.op === 'w') this.#write(Number(step.off), step.size, BigInt(step.val));
    else {
      const value = this.#bus.read(this.#base + Number(step.off), step.size) >>> 0;
      if (value !== Number(step.val))
        this.differences.push(`${name} ${step.off}: 0x${value.toString(16)}, recorded ${step.val}`);
    }
  }

  #write(offset: number, size: 4 | 8, value: bigint): void {
    if (offset === EVENTQ_BASE) {
      this.#eventAt = Number(value & 0xffffffe0n);
      this.#eventMask = 2 ** Number(value & 31n) - 1;
    }
    this.#bus.write(this.#base + offset, size, lo32(value), hi32(value));
  }

  #dma(step: RecordedDma, name: string): void {
    this.requests++;
    const port = this.#ports.get(step.sid)!;
    const iova = BigInt(step.iova);
    const segments: [string, number, string][] = [];
    for (let done = 0; done < step.len; ) {
      const at = iova + BigInt(done);
      const bytes = Math.min(step.len - done, 4096 - Number(at & 4095n));
      const status = port.translate(
        lo32(at),
        hi32(at & 0xffffffffffffffffn),
        step.access === 'read' ? READ : WRITE,
      );
      const page = port.outHi * 2 ** 32 + port.outLo;
      if (status === DMA_OK && this.#isTagged(page))
        segments.push([`0x${at.toString(16)}`, bytes, `0x${page.toString(16)}`]);
      done += bytes;
    }
    const where = JSON.stringify(merged(segments, step.access));
    const recorded = JSON.stringify(step.segments);
    const id = `${name} ${step.access} ${step.iova} of ${step.sid}`;
    if (where !== recorded) this.differences.push(`${id}: ${where}, recorded ${recorded}`);
    this.#events(step, id);
  }

  /** Records since the last DMA: each kind once. */
  #events(step: RecordedDma, id: string): void {
    const prod = this.#bus.read(this.#base + EVENTQ_PROD, 4) >>> 0;
    const kinds: number[][] = [];
    for (
      ;
      this.#eventAt !== NO_QUEUE && (this.#seen & 0xfffff) !== (prod & 0xfffff);
      this.#seen = this.#next()
    ) {
      const at = (this.#eventAt >>> 2) + (this.#seen & this.#eventMask) * 8;
      const words = [...this.#ram.u32.subarray(at, at + 8)];
      const last = kinds.at(-1);
      if (last === undefined || last.slice(0, 4).join() !== words.slice(0, 4).join()) kinds.push(words);
    }
    this.#bus.write(this.#base + EVENTQ_CONS, 4, prod, 0);
    const same =
      kinds.length === step.events.length &&
      kinds.every((words, k) =>
        step.events[k]!.every((word, i) => word === null || Number(word) === words[i]),
      );
    const text = (words: readonly number[]) => words.map((word) => word.toString(16)).join(' ');
    if (!same)
      this.differences.push(
        `${id}: [${kinds.map(text).join(', ')}], recorded ${JSON.stringify(step.events)}`,
      );
  }

  #next(): number {
    return (this.#seen + 1) & (this.#eventMask * 2 + 1);
  }

  #isTagged(page: number): boolean {
    return this.#case.tags.some(([at, bytes]) => page >= Number(at) && page < Number(at) + bytes);
  }

  #store(quadwords: readonly (readonly [string, string])[]): void {
    for (const [address, value] of quadwords) {
      const at = Number(address);
      this.#ram.u32[at >>> 2] = lo32(BigInt(value));
      this.#ram.u32[(at >>> 2) + 1] = hi32(BigInt(value));
      this.#written.push(at);
    }
  }

  #load(at: number): bigint {
    return u64(this.#ram.u32[at >>> 2]!, this.#ram.u32[(at >>> 2) + 1]!);
  }
}

/** Reads are recorded by what arrived: pieces that lie side by side are one. */
function merged(segments: [string, number, string][], access: string): [string, number, string][] {
  const out: [string, number, string][] = [];
  for (const segment of segments) {
    const last = out.at(-1);
    if (access === 'read' && last !== undefined && Number(last[2]) + last[1] === Number(segment[2]))
      last[1] += segment[1];
    else out.push(segment);
  }
  return out;
}
