/** Processes in a snapshot: taken where none runs, so that each is new, suspended or ended. */

import { TsvmmError } from '../../core/errors.ts';
import { defineState } from '../../state/define.ts';
import { count, list, text, u32 } from '../../state/schema.ts';
import type { SnapshotUnit } from '../../state/unit.ts';
import { loadRegisters, saveRegisters } from '../asyncify/cpu-image.ts';
import { Process, type ProcessState } from './process.ts';
import type { Processes } from './processes.ts';

export const PROCESSES_STATE = defineState('processes', 1, {
  syscallEntry: u32,
  pageFaultEntry: u32,
  list: list({
    pid: u32,
    program: text,
    rootLo: u32,
    rootHi: u32,
    levels: u32,
    state: text,
    status: u32,
    pasid: u32,
    /** What its system call or access gives when it is run again: `again`, or the result. */
    resume: text,
    bulkDone: count,
    frames: text,
    globals: list({ name: text, value: text }),
    table: list({ function: text }),
    tlb: list({ page: u32, lo: u32, hi: u32 }),
  }),
});

type Saved = ReturnType<typeof PROCESSES_STATE.fresh>['list'][number];

const STATES: readonly string[] = ['new', 'suspended', 'ended'] satisfies readonly ProcessState[];

export function processesUnit(processes: Processes): SnapshotUnit {
  return {
    id: 'processes',
    save: () =>
      PROCESSES_STATE.save({
        syscallEntry: processes.syscallEntry,
        pageFaultEntry: processes.pageFaultEntry,
        list: processes.list.map((process) => savedProcess(processes, process)),
      }),
    load(unit) {
      const state = PROCESSES_STATE.fresh();
      PROCESSES_STATE.load(state, unit, 'processes');
      processes.syscallEntry = state.syscallEntry;
      processes.pageFaultEntry = state.pageFaultEntry;
      for (const saved of state.list) loadProcess(processes, saved);
    },
  };
}

function savedProcess(processes: Processes, process: Process): Saved {
  const { pid, rootLo, rootHi, levels, state, status, pasid, bulkDone, resume } = process;
  return {
    ...{ pid, levels, state, bulkDone },
    program: process.image.name,
    rootLo: rootLo >>> 0,
    rootHi: rootHi >>> 0,
    status: status >>> 0,
    pasid: pasid >>> 0,
    resume: resume.kind === 'again' ? 'again' : String(resume.value),
    frames: Buffer.from(process.frames).toString('hex'),
    ...saveRegisters(processes.wiring(process)),
    tlb: process.tlb.entries().map((entry) => ({ ...entry })),
  };
}

function loadProcess(processes: Processes, saved: Saved): void {
  const image = processes.images.find((candidate) => candidate.name === saved.program);
  if (image === undefined) throw misfit(`is of a program '${saved.program}', which the guest does not carry`);
  if (!STATES.includes(saved.state)) throw misfit(`has the unknown state '${saved.state}'`);
  const { asyncifyStack, asyncifyEnd } = processes.layout;
  if (saved.frames.length / 2 > asyncifyEnd - asyncifyStack || /[^0-9a-f]/.test(saved.frames))
    throw misfit('has a bad call stack');
  if (saved.pid === 0 || processes.list.some((other) => other.pid === saved.pid))
    throw misfit(`has the bad pid ${saved.pid}`);
  if (saved.levels !== 4 && saved.levels !== 5) throw misfit(`has tables of ${saved.levels} levels`);
  const process = new Process(saved.pid, image, saved.rootLo | 0, saved.rootHi | 0, saved.levels);
  const wiring = processes.restore(process);
  loadRegisters(wiring, { globals: saved.globals, table: saved.table });
  process.state = saved.state as ProcessState;
  process.status = saved.status;
  process.pasid = saved.pasid;
  process.bulkDone = saved.bulkDone;
  process.frames = Uint8Array.from(Buffer.from(saved.frames, 'hex'));
  process.resume =
    saved.resume === 'again' ? { kind: 'again' } : { kind: 'result', value: Number(saved.resume) | 0 };
  for (const { page, lo, hi } of saved.tlb) process.tlb.set(page, lo | 0, hi);
}

function misfit(why: string): TsvmmError {
  return new TsvmmError({
    code: 'bad-state',
    object: 'processes',
    why: `a saved process ${why}`,
    mend: 'the snapshot is damaged or was made by another program',
  });
}
