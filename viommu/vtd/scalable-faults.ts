import {
  LCT_INVALID,
  LCT_NOT_PRESENT,
  LCT_READ_ERROR,
  LCT_RESERVED,
  LGN_READ,
  LGN_WIDTH,
  LGN_WRITE,
  LRT_NOT_PRESENT,
  LRT_READ_ERROR,
  LRT_RESERVED,
  LSS_READ_ERROR,
  LSS_RESERVED,
  SCT_NOT_PRESENT,
  SCT_READ_ERROR,
  SCT_RESERVED,
  SFS_NOT_COHERENT,
  SFS_NOT_PRESENT,
  SFS_READ_DENIED,
  SFS_READ_ERROR,
  SFS_RESERVED,
  SFS_TOP_READ_DENIED,
  SFS_TOP_READ_ERROR,
  SFS_WIDTH,
  SFS_WRITE_DENIED,
  SGN_CANONICAL,
  SGN_EXECUTE,
  SGN_HOST_WIDTH,
  SGN_READ,
  SGN_USER,
  SGN_WIDTH,
  SGN_WRITE,
  SPD_READ_ERROR,
  SPT_READ_ERROR,
  SRT_NOT_PRESENT,
  SRT_READ_ERROR,
  SRT_RESERVED,
  SSS_NOT_COHERENT,
  SSS_NOT_PRESENT,
  SSS_READ_ERROR,
  SSS_RESERVED,
  SSS_TOP_READ_ERROR,
} from '../spec/vtd/faults.ts';
import { PGTT_SECOND } from '../spec/vtd/structures.ts';
import {
  type FirstStageWalker,
  type StageTables,
  WALK_NOT_PRESENT,
  WALK_OUTPUT,
  WALK_OUTPUT_WIDTH,
  WALK_TABLE,
  WALK_TABLE_WIDTH,
  WALK_TABLE_WRITE,
  WALK_USER,
} from '../walk/first-stage.ts';
import {
  type SecondStageWalker,
  SS_EXECUTE,
  WALK_EXECUTE,
  WALK_NOT_COHERENT,
  WALK_READ_DENIED,
  WALK_READ_ERROR,
  WALK_RESERVED,
  WALK_WRITE_DENIED,
} from '../walk/second-stage.ts';

/** Fault of a second-stage walk that did not end well. */
export function secondStageFault(outcome: number, walker: SecondStageWalker, levels: number): number {
  switch (outcome) {
    case WALK_READ_ERROR:
      return walker.level === levels ? SSS_TOP_READ_ERROR : SSS_READ_ERROR;
    case WALK_RESERVED:
      return SSS_RESERVED;
    case WALK_NOT_COHERENT:
      return SSS_NOT_COHERENT;
  }
  if (isNotPresent(walker)) return SSS_NOT_PRESENT;
  if (outcome === WALK_WRITE_DENIED) return SGN_WRITE;
  return outcome === WALK_EXECUTE ? SGN_EXECUTE : SGN_READ;
}

/** The entry that ended the walk allows nothing at all. */
function isNotPresent(walker: SecondStageWalker): boolean {
  const present = (walker.mode & SS_EXECUTE) !== 0 ? 7 : 3;
  return (walker.rawLo[walker.level]! & present) === 0;
}

/** Fault of a first-stage or nested walk that did not end well. */
export function firstStageFault(outcome: number, walker: FirstStageWalker, t: StageTables): number {
  if (outcome >= WALK_OUTPUT) return secondStageFault(outcome - WALK_OUTPUT, walker.second, t.secondLevels);
  if (outcome >= WALK_TABLE) return tableFault(outcome - WALK_TABLE, walker, t);
  switch (outcome) {
    case WALK_READ_ERROR:
      return walker.level === t.levels ? SFS_TOP_READ_ERROR : SFS_READ_ERROR;
    case WALK_NOT_PRESENT:
      return SFS_NOT_PRESENT;
    case WALK_USER:
      return SGN_USER;
    case WALK_WRITE_DENIED:
      return SGN_WRITE;
    case WALK_RESERVED:
      return SFS_RESERVED;
    case WALK_EXECUTE:
      return SGN_EXECUTE;
    case WALK_TABLE_WIDTH:
      return SFS_WIDTH;
    case WALK_TABLE_WRITE:
      return SFS_WRITE_DENIED;
    case WALK_OUTPUT_WIDTH:
      return SGN_WIDTH;
    default:
      return SFS_NOT_COHERENT;
  }
}

/** The second stage does not lead to a first-stage table. */
function tableFault(outcome: number, walker: FirstStageWalker, t: StageTables): number {
  if (outcome !== WALK_READ_DENIED || isNotPresent(walker.second))
    return secondStageFault(outcome, walker.second, t.secondLevels);
  return walker.level === t.levels ? SFS_TOP_READ_DENIED : SFS_READ_DENIED;
}

/** Faults of translation requests that a device with a device-TLB may recover from. */
const RECOVERABLE: ReadonlySet<number> = new Set([
  SFS_NOT_PRESENT,
  SFS_RESERVED,
  SFS_WIDTH,
  SFS_TOP_READ_DENIED,
  SFS_READ_DENIED,
  SFS_WRITE_DENIED,
  SFS_NOT_COHERENT,
  SSS_NOT_PRESENT,
  SSS_RESERVED,
  SSS_NOT_COHERENT,
  SGN_CANONICAL,
  SGN_USER,
  SGN_EXECUTE,
  SGN_HOST_WIDTH,
  SGN_WIDTH,
  SGN_WRITE,
  SGN_READ,
  LGN_WIDTH,
  LGN_WRITE,
  LGN_READ,
  LSS_RESERVED,
]);

export function isRecoverable(code: number): boolean {
  return RECOVERABLE.has(code);
}

const READ_ERRORS: ReadonlySet<number> = new Set([
  LRT_READ_ERROR,
  LCT_READ_ERROR,
  LSS_READ_ERROR,
  SRT_READ_ERROR,
  SCT_READ_ERROR,
  SPD_READ_ERROR,
  SPT_READ_ERROR,
  SFS_READ_ERROR,
  SFS_TOP_READ_ERROR,
  SSS_READ_ERROR,
  SSS_TOP_READ_ERROR,
]);

/** A structure or a table is not memory. */
export function isReadError(code: number): boolean {
  return READ_ERRORS.has(code);
}

/** docs/deviations.md: vtd-scalable-codes. */
const QEMU_STRUCTURES: Readonly<Record<number, number>> = {
  [SRT_READ_ERROR]: LRT_READ_ERROR,
  [SRT_NOT_PRESENT]: LRT_NOT_PRESENT,
  [SRT_RESERVED]: LRT_RESERVED,
  [SCT_READ_ERROR]: LCT_READ_ERROR,
  [SCT_NOT_PRESENT]: LCT_NOT_PRESENT,
  [SCT_RESERVED]: LCT_RESERVED,
};
const QEMU_SECOND_STAGE: Readonly<Record<number, number>> = {
  [SGN_WIDTH]: LGN_WIDTH,
  [SGN_WRITE]: LGN_WRITE,
  [SGN_READ]: LGN_READ,
  [SSS_READ_ERROR]: LSS_READ_ERROR,
  [SSS_TOP_READ_ERROR]: LCT_INVALID,
  [SSS_RESERVED]: LSS_RESERVED,
};
const WRITE = 2;

export function qemuStructureCode(code: number): number {
  return QEMU_STRUCTURES[code] ?? code;
}

/** What QEMU reports in place of `code` for a PASID-table entry of this type. */
export function asQemuReports(code: number, type: number, access: number): number {
  if (type !== PGTT_SECOND) return code;
  if (code === SSS_NOT_PRESENT) return (access & WRITE) !== 0 ? LGN_WRITE : LGN_READ;
  return QEMU_SECOND_STAGE[code] ?? code;
}
