import type { HiddenLayout } from '../../mem/layout.ts';
import type { Helpers } from './helpers.ts';
import type { MmuName } from './mmu-path.ts';
import type { SlowName } from './slow-path.ts';
import type { TypePool } from './types.ts';

/** What rewriting one function body needs to know about the module around it. */
export interface BodyContext {
  readonly layout: HiddenLayout;
  /** Index of the fuel global, or -1 with fuel off. */
  readonly fuelGlobal: number;
  /** Index of the global that holds the guest's memory size. */
  readonly pagesGlobal: number;
  readonly branchHints: boolean;
  readonly slow: Readonly<Record<SlowName, number>>;
  /** Of a module for user mode: its imports in place of the slow ones, of which only safepoint and fault are there. */
  readonly mmu: Readonly<Record<MmuName, number>> | undefined;
  readonly helpers: Helpers;
  readonly types: TypePool;
  /** Data segments of the module. */
  readonly dataCount: number;
  /** How many functions the original module has, imported ones included. */
  readonly functionCount: number;
  /** Original function index to new one. */
  functionIndex(original: number): number;
}
