import { translate } from './translate.ts';
import { type Fetcher, type Outcome, RESET, type Registers, type Request, type Unit } from './types.ts';

/** One recorded case: registers, memory and requests in order, with what the recorded unit did. */
export interface RecordedCase {
  readonly id: number;
  readonly category: readonly string[];
  readonly qemu: { readonly version: string; readonly iommu: string; readonly regs: Record<string, string> };
  readonly mem: readonly (readonly [gpa: string, qword: string])[];
  readonly tags: readonly (readonly [gpa: string, bytes: number])[];
  readonly steps: readonly RecordedStep[];
}

export type RecordedStep =
  | { readonly op: 'w'; readonly off: string; readonly size: 4 | 8; readonly val: string }
  | { readonly op: 'r'; readonly off: string; readonly size: 4 | 8; readonly val: string }
  | { readonly op: 'mem'; readonly w: readonly (readonly [gpa: string, qword: string])[] }
  | { readonly op: 'memread'; readonly gpa: string; readonly val: string }
  | RecordedDma;

export interface RecordedDma {
  readonly op: 'dma';
  readonly sid: string;
  readonly access: 'read' | 'write';
  readonly iova: string;
  readonly len: number;
  readonly outcome: 'ok' | 'partial' | 'fault';
  readonly segments: readonly (readonly [iova: string, bytes: number, gpa: string])[];
  /** Fault reasons the unit traced, in order; IOTLB answered; a fault was withheld because of FPD. */
  readonly reasons: readonly number[];
  readonly iotlbHit: boolean;
  readonly faultDisabled: boolean;
  /** FSTS and the fault record right after it. */
  readonly regs: Record<string, string>;
  /** The harness then cleared F and FSTS by register writes that are not among the steps. */
  readonly cleared: boolean;
}

export const RAM_END = 1n << 30n;

export interface Segment {
  readonly iova: bigint;
  readonly bytes: number;
  readonly gpa: bigint;
}

/** What the oracle says a recorded DMA does: the pieces that arrive and the fault that ends it. */
export interface ReplayedDma {
  readonly segments: readonly Segment[];
  readonly end: Outcome | undefined;
}

/** Runs a recorded case through the oracle; `judge` hears of every DMA in order. */
export function replay(
  recorded: RecordedCase,
  judge: (step: RecordedDma, result: ReplayedDma) => void,
): void {
  const cap = BigInt(recorded.qemu.regs['CAP']!);
  const unit: Unit = {
    cap,
    ecap: BigInt(recorded.qemu.regs['ECAP']!),
    haw: Number((cap >> 16n) & 0x3fn) + 1,
  };
  const memory = new Map<bigint, bigint>();
  const store = (writes: readonly (readonly [string, string])[]) => {
    for (const [gpa, value] of writes) memory.set(BigInt(gpa), BigInt(value));
  };
  store(recorded.mem);
  const fetch: Fetcher = ({ gpa }, quadwords) =>
    gpa + BigInt(quadwords * 8) > RAM_END
      ? undefined
      : Array.from({ length: quadwords }, (_, i) => memory.get(gpa + BigInt(i * 8)) ?? 0n);
  const software = new Software();
  for (const step of recorded.steps) {
    if (step.op === 'mem') store(step.w);
    else if (step.op === 'w') software.write(Number(step.off), BigInt(step.val));
    else if (step.op === 'dma') judge(step, replayDma(unit, software.registers, fetch, step));
  }
}

function replayDma(unit: Unit, regs: Registers, fetch: Fetcher, step: RecordedDma): ReplayedDma {
  const segments: Segment[] = [];
  let iova = BigInt(step.iova);
  let left = step.len;
  while (left > 0) {
    const bytes = Math.min(left, 4096 - Number(iova & 0xfffn));
    const request: Request = { sid: Number(step.sid), at: 0, access: step.access, iova, length: bytes };
    const outcome = translate(unit, regs, fetch, request);
    if (outcome.kind !== 'ok') return { segments, end: outcome };
    segments.push({ iova, bytes, gpa: outcome.gpa });
    iova += BigInt(bytes);
    left -= bytes;
  }
  return { segments, end: undefined };
}

/** The registers that matter for translation, by the command rules of GCMD. */
class Software {
  registers: Registers = RESET;
  #pointer = 0n;

  write(offset: number, value: bigint): void {
    if (offset === 0x20) this.#pointer = value;
    if (offset !== 0x18) return;
    if ((value >> 30n) & 1n)
      this.registers = {
        ...this.registers,
        rootTable: this.#pointer & ~0xfffn,
        ttm: Number((this.#pointer >> 10n) & 3n),
      };
    this.registers = { ...this.registers, te: ((value >> 31n) & 1n) === 1n };
  }
}
