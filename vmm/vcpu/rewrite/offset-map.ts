import { IntList } from './int-list.ts';
import { Writer } from './writer.ts';

/**
 * From code offsets of a rewritten module back to the original.
 *
 * Each function has marks (new position, original position), delta-coded in `stream`. Between two marks the code was either
 * copied, when both distances are equal, or stands for the one instruction at the first mark.
 */
export interface OffsetMap {
  /** Index of the first function with a body, in the original and in the rewritten module. */
  readonly firstOriginal: number;
  /** Per function: body start and code start in the rewritten module, code start in the original, place in stream. */
  readonly functions: Uint32Array<ArrayBuffer>;
  readonly stream: Uint8Array<ArrayBuffer>;
  /** End of the last function body in the rewritten module. */
  readonly end: number;
}

const FIELDS = 4;

export interface OriginalPosition {
  readonly functionIndex: number;
  /** Byte offset in the original module. */
  readonly offset: number;
}

export class OffsetMapBuilder {
  private readonly functions = new IntList(1024);
  private readonly stream = new Writer(4096);

  /** Offsets in the rewritten module are relative to the contents of its code section. */
  add(bodyStart: number, codeStart: number, originalStart: number, marks: IntList): void {
    const { functions, stream } = this;
    functions.push(bodyStart);
    functions.push(codeStart);
    functions.push(originalStart);
    functions.push(stream.length);
    let code = 0;
    let original = originalStart;
    for (let i = 0; i < marks.length; i += 2) {
      const nextCode = marks.at(i);
      // Of several marks at one place the last says what follows.
      if (i + 2 < marks.length && marks.at(i + 2) === nextCode) continue;
      stream.u32(nextCode - code);
      // Signed: a later transformation may have swapped two pieces of code.
      stream.u32((marks.at(i + 1) - original) >>> 0);
      code = nextCode;
      original = marks.at(i + 1);
    }
  }

  finish(firstOriginal: number, sectionStart: number, end: number): OffsetMap {
    const functions = this.functions.toArray();
    for (let i = 0; i < functions.length; i += FIELDS) {
      functions[i]! += sectionStart;
      functions[i + 1]! += sectionStart;
    }
    return { firstOriginal, functions, stream: this.stream.toBytes(), end: sectionStart + end };
  }
}

/** Where the instruction at a byte offset of the rewritten module was; undefined outside of the guest's own functions. */
export function originalPosition(map: OffsetMap, offset: number): OriginalPosition | undefined {
  const { functions } = map;
  if (offset >= map.end || functions.length === 0 || offset < functions[0]!) return undefined;
  let low = 0;
  let high = functions.length / FIELDS - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (functions[middle * FIELDS]! <= offset) low = middle;
    else high = middle - 1;
  }
  return { functionIndex: map.firstOriginal + low, offset: offsetIn(map, low, offset) };
}

function offsetIn({ functions, stream }: OffsetMap, index: number, offset: number): number {
  const field = index * FIELDS;
  const target = offset - functions[field + 1]!;
  const stop = functions[field + FIELDS + 3] ?? stream.length;
  let at = functions[field + 3]!;
  let original = functions[field + 2]!;
  if (target < 0) return original;
  let code = 0;
  let value = 0;
  const read = (): void => {
    let shift = 0;
    value = 0;
    let byte = 128;
    while (byte >= 128) {
      byte = stream[at++]!;
      value |= (byte & 127) << shift;
      shift += 7;
    }
  };
  while (at < stop) {
    read();
    const codeStep = value;
    read();
    if (code + codeStep > target) return codeStep === value ? original + target - code : original;
    code += codeStep;
    original += value;
  }
  return original + target - code;
}
