import { WASM_PAGE_SIZE } from '../../mem/layout.ts';
import { exportedGlobal } from '../compile/wasm-exports.ts';
import type { ProgramImage } from './program.ts';

export interface ImageLayout {
  readonly stackTop: number;
  readonly dataStart: number;
  readonly dataEnd: number;
  readonly heapBase: number;
}

/** Where a program expects what, by the names that wasm-ld gives; of other linkers' modules, by its data segments. */
export function layoutOfProgram({ wasm, rewritten }: ProgramImage): ImageLayout {
  const active = rewritten.programSegments.filter((segment) => segment.active && segment.size > 0);
  const imageEnd = rewritten.initialPages * WASM_PAGE_SIZE;
  const named = (name: string) => exportedGlobal(wasm, name);
  const dataEnd =
    named('__data_end') ?? active.reduce((end, segment) => Math.max(end, segment.address + segment.size), 0);
  return {
    stackTop: named('__stack_pointer') ?? imageEnd,
    dataStart:
      named('__global_base') ?? active.reduce((start, segment) => Math.min(start, segment.address), dataEnd),
    dataEnd,
    heapBase: named('__heap_base') ?? imageEnd,
  };
}
