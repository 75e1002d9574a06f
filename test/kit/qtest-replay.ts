/** Recorded cases (test/fixtures/g4) on a machine behind the qtest protocol. */

import { EduDriver, QtestMachine } from './qtest-machine.ts';

export interface RecordedDma {
  readonly op: 'dma';
  readonly sid: string;
  readonly access: 'read' | 'write';
  readonly iova: string;
  readonly len: number;
  readonly outcome: string;
  readonly segments: readonly (readonly [string, number, string])[];
  readonly regs: Readonly<Record<'FSTS' | 'FECTL' | 'FRCD0_LO' | 'FRCD0_HI', string>>;
  readonly cleared?: boolean;
}

type Step =
  | RecordedDma
  | { readonly op: 'w' | 'r'; readonly off: string; readonly size: 4 | 8; readonly val: string }
  | { readonly op: 'mem'; readonly w: readonly (readonly [string, string])[] }
  | { readonly op: 'memread'; readonly gpa: string; readonly val: string };

export interface RecordedCase {
  readonly id: number;
  readonly category: readonly string[];
  readonly qemu: { readonly iommu: string; readonly regs: Readonly<Record<string, string>> };
  readonly requesters: readonly string[];
  readonly mem: readonly (readonly [string, string])[];
  readonly tags: readonly (readonly [string, number])[];
  readonly steps: readonly Step[];
  /** Table quadwords that differ at the end: accessed and dirty bits. */
  readonly mem_after?: readonly (readonly [string, string])[];
}

/** One difference, in words. */
export type Difference = string;

const VTD = 0xfed90000n;
const RECORDS = VTD + 0x220n;
const SCRATCH = 0x3ff00000n;
const PAGE = 4096;
const TAG = 0xda7an << 48n;
/** The pattern that writes send lies here in every device's buffer. */
const PATTERN_AT = 0xf00;
const PATTERN = Buffer.from(Array.from({ length: 0x100 }, (_, i) => 0x80 | ((i * 37 + 11) & 0x7f)));

interface PendingRead {
  readonly edu: EduDriver;
  readonly at: number;
  readonly step: RecordedDma;
  readonly name: string;
}

export class CaseReplay {
  readonly differences: Difference[] = [];
  requests = 0;
  readonly #q: QtestMachine;
  readonly #case: RecordedCase;
  readonly #edus = new Map<number, EduDriver>();
  readonly #tagPages: bigint[] = [];
  readonly #reads: PendingRead[] = [];
  #command = 0n;

  constructor(recorded: RecordedCase, profile: 'spec' | 'qemu') {
    this.#case = recorded;
    const edu = (place: string) => ['-device', `edu,${place},dma_mask=0xffffffffffffffff`];
    const machine = ['-machine', 'q35', '-smp', '1', '-m', '1024', '-net', 'none', '-profile', profile];
    const port = ['-device', 'pcie-root-port,id=rp,chassis=1,slot=1,addr=6'];
    const devices = [...edu('addr=2.0,multifunction=on'), ...edu('addr=2.3'), ...edu('addr=0x1e.0')];
    const behind = edu('bus=rp,addr=0.0');
    this.#q = new QtestMachine(...machine, '-device', recorded.qemu.iommu, ...devices, ...port, ...behind);
  }

  run(): void {
    this.#setUp();
    for (const [i, step] of this.#case.steps.entries()) this.#step(step, `step ${i}`);
    this.#compareTables();
    this.#q.write(VTD + 0x18n, 4, this.#command & 0x3fffffffn);
    this.#finishReads();
  }

  #differ(name: string, got: unknown, recorded: unknown): void {
    if (String(got) !== String(recorded))
      this.differences.push(`case ${this.#case.id} ${name}: ${got}, recorded ${recorded}`);
  }

  #setUp(): void {
    const q = this.#q;
    q.openBridge(0x30, 0xd0000000, 0x200000);
    this.#case.requesters.forEach((text, k) => {
      const sid = Number(text);
      this.#edus.set(sid, new EduDriver(q, sid, sid < 256 ? 0xc0000000 + (k << 20) : 0xd0000000));
    });
    q.store(SCRATCH, Buffer.concat([Buffer.alloc(PATTERN_AT, 0xee), PATTERN]));
    for (const edu of this.#edus.values()) edu.load(SCRATCH, 0, PAGE - 1);
    q.command(`memset ${SCRATCH} ${PAGE} 0`);
    for (const [address, length] of this.#case.tags) {
      for (let p = 0; p < length; p += PAGE) this.#tagPages.push(BigInt(address) + BigInt(p));
    }
    for (const page of this.#tagPages) q.store(page, tagBytes(page, PAGE));
    for (const [gpa, value] of this.#case.mem) q.write(BigInt(gpa), 8, BigInt(value));
  }

  #step(step: Step, name: string): void {
    const q = this.#q;
    switch (step.op) {
      case 'w':
        q.write(VTD + BigInt(step.off), step.size, BigInt(step.val));
        if (step.off === '0x18') this.#command = BigInt(step.val);
        break;
      case 'r':
        this.#differ(
          `${name} register ${step.off}`,
          q.read(VTD + BigInt(step.off), step.size),
          BigInt(step.val),
        );
        break;
      case 'mem':
        for (const [gpa, value] of step.w) q.write(BigInt(gpa), 8, BigInt(value));
        break;
      case 'memread':
        this.#differ(`${name} memory ${step.gpa}`, q.read(BigInt(step.gpa), 8), BigInt(step.val));
        break;
      case 'dma':
        this.#dma(step, `${name} ${step.access} ${step.iova} of ${step.sid}`);
    }
  }

  #dma(step: RecordedDma, name: string): void {
    this.requests++;
    const edu = this.#edus.get(Number(step.sid))!;
    const iova = BigInt(step.iova);
    if (step.access === 'read') {
      this.#reads.push({ edu, at: edu.slot, step, name });
      edu.load(iova, edu.slot, step.len);
      edu.slot += 64;
    } else edu.store(PATTERN_AT, iova, step.len);
    this.#compareRegisters(step, name);
    if (step.access === 'write') this.#compareWrite(step, name);
  }

  /** While F is 0 the rest of a record means nothing. */
  #compareRegisters(step: RecordedDma, name: string): void {
    const q = this.#q;
    const status = q.read(VTD + 0x34n, 4);
    const high = q.read(RECORDS + 8n, 8);
    const valid = (word: bigint) => word >> 63n !== 0n;
    this.#differ(`${name}: FSTS`, hex(status), step.regs.FSTS);
    this.#differ(`${name}: FECTL`, hex(q.read(VTD + 0x38n, 4)), step.regs.FECTL);
    this.#differ(`${name}: FRCD.F`, valid(high), valid(BigInt(step.regs.FRCD0_HI)));
    if (valid(high) && valid(BigInt(step.regs.FRCD0_HI))) {
      this.#differ(`${name}: FRCD high`, hex(high), step.regs.FRCD0_HI);
      this.#differ(`${name}: FRCD low`, hex(q.read(RECORDS, 8)), step.regs.FRCD0_LO);
    }
    const clears = !this.#case.category.includes('fault-overflow');
    if (!clears || (status === 0n && !valid(high))) return;
    q.write(RECORDS + 12n, 4, 0x80000000n);
    q.write(VTD + 0x34n, 4, 0x7fn);
  }

  /** Where the pattern arrived; what it overwrote is put back. */
  #compareWrite(step: RecordedDma, name: string): void {
    const iova = BigInt(step.iova);
    const offset = Number(iova & 0xfffn);
    const first = Math.min(step.len, PAGE - offset);
    const found: [number, number, bigint][] = [];
    const pieces = [
      [0, first, offset],
      [first, step.len, 0],
    ] as const;
    for (const page of this.#tagPages) {
      for (const [from, to, at] of pieces) {
        if (to <= from) continue;
        const place = page + BigInt(at);
        const bytes = this.#q.bytes(place, to - from);
        const before = tagBytes(place, to - from);
        if (bytes.equals(before)) continue;
        if (bytes.equals(PATTERN.subarray(from, to))) found.push([from, to - from, place]);
        else this.differences.push(`case ${this.#case.id} ${name}: strange bytes at ${hex(place)}`);
        this.#q.store(place, before);
      }
    }
    found.sort((a, b) => a[0] - b[0]);
    const segments = found.map(([k, n, gpa]) => [hex(iova + BigInt(k)), n, hex(gpa)]);
    this.#differ(`${name}: segments`, JSON.stringify(segments), JSON.stringify(step.segments));
  }

  /** Accessed and dirty bits that were set, and none besides. */
  #compareTables(): void {
    const expected = new Map(this.#case.mem);
    const pages = new Set(this.#case.mem.map(([gpa]) => BigInt(gpa) >> 12n));
    for (const step of this.#case.steps) {
      if (step.op !== 'mem') continue;
      for (const [gpa, value] of step.w) if (pages.has(BigInt(gpa) >> 12n)) expected.set(gpa, value);
    }
    for (const [gpa, value] of this.#case.mem_after ?? []) expected.set(gpa, value);
    for (const [gpa, value] of expected)
      this.#differ(`table ${gpa}`, hex(this.#q.read(BigInt(gpa), 8)), value);
  }

  /** Translation is off: what the reads brought in is fetched from the devices. */
  #finishReads(): void {
    const buffers = new Map<EduDriver, Buffer>();
    for (const edu of new Set(this.#reads.map((r) => r.edu))) {
      edu.store(0, SCRATCH, PATTERN_AT);
      buffers.set(edu, this.#q.bytes(SCRATCH, PATTERN_AT));
    }
    for (const { edu, at, step, name } of this.#reads) {
      const segments = tagSegments(buffers.get(edu)!.subarray(at, at + step.len), BigInt(step.iova));
      this.#differ(`${name}: segments`, JSON.stringify(segments), JSON.stringify(step.segments));
    }
  }
}

/** Quadwords that name their own address, cut to [address, address + length). */
function tagBytes(address: bigint, length: number): Buffer {
  const start = address & ~7n;
  const bytes = Buffer.alloc(Math.ceil((Number(address & 7n) + length) / 8) * 8);
  for (let i = 0; i < bytes.length; i += 8) bytes.writeBigUInt64LE(TAG | (start + BigInt(i)), i);
  return bytes.subarray(Number(address & 7n), Number(address & 7n) + length);
}

function tagSegments(bytes: Buffer, iova: bigint): [string, number, string][] {
  const runs: { from: bigint; length: number; gpa: bigint }[] = [];
  for (let k = 0; k + 8 <= bytes.length; k += 8) {
    const word = bytes.readBigUInt64LE(k);
    const from = iova + BigInt(k);
    if (word >> 48n !== 0xda7an || (word & 0xfffn) !== (from & 0xfffn)) continue;
    const gpa = word & 0xffffffffffffn;
    const last = runs.at(-1);
    if (last !== undefined && last.gpa + BigInt(last.length) === gpa) last.length += 8;
    else runs.push({ from, length: 8, gpa });
  }
  return runs.map(({ from, length, gpa }) => [hex(from), length, hex(gpa)]);
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}
