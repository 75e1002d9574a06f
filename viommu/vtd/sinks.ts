import type { DmaPort } from '../../vmm/bus/dma.ts';
import type { FirstStageWalker } from '../walk/first-stage.ts';
import type { SecondStageWalker } from '../walk/second-stage.ts';
import type { AccessRecord } from './access-record.ts';

/** Who is told of a fault the procedure found. */
export type FaultSink = (port: DmaPort, code: number, lo: number, hi: number, access: number) => void;

/** Who is told which memory the procedure read. */
export interface ReadSink {
  /** True while the unit itself stores into a table: accessed and dirty bits are no news to it. */
  updating?: boolean;
  /** One bit a page: nothing new is to be told of tables in the pages whose bit is set. */
  readonly known: Uint32Array;
  sawContext(record: AccessRecord): void;
  /** The PASID directory entry, and the PASID-table entry if it came to that. */
  sawPasidEntries?(record: AccessRecord): void;
  sawTables(walker: SecondStageWalker): void;
  sawFirstStage?(walker: FirstStageWalker): void;
  /** Only the entry of a last table at this address below 4 GiB was read. */
  sawLastTable(address: number): void;
  sawFirstStageLast?(address: number): void;
}
