import type { SecondStageWalker } from '../walk/second-stage.ts';
import type { AccessRecord } from './access-record.ts';
import type { ReadSink } from './remap.ts';
import type { VtdState } from './state.ts';
import type { VtdWiring } from './wiring.ts';

/** placeholder of the first slice; replaced below */
export class TableWatch implements ReadSink {
  on = false;
  constructor(_s: VtdState, _w: VtdWiring) {}
  stop(): void {}
  sawContext(_record: AccessRecord): void {}
  sawTables(_walker: SecondStageWalker): void {}
  sawInterruptEntry(_address: number): void {}
  told(_kind: string): void {}
}
