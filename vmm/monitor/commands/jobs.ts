/** Snapshots of the machine, as jobs. */

import { resolve } from 'node:path';
import { checkSaveable } from '../../machine/snapshot-check.ts';
import { loadMachineSnapshot, saveMachineSnapshot } from '../../machine/snapshot-machine.ts';
import { checkTarget } from '../../state/container.ts';
import { command, DONE, type MonitorCommand, type MonitorContext, type Values } from '../command.ts';
import { MonitorError } from '../error.ts';
import { arrayOf, BOOL, EMPTY, INT, may, named, need, object, STR } from '../types.ts';

const SNAPSHOT_ARGS = {
  'job-id': need(STR, 'name of the job'),
  tag: need(STR, 'directory of the snapshot'),
  vmstate: named(STR, 'directory that the tag is relative to; the working directory if absent'),
  devices: named(arrayOf(STR), 'block devices that are part of it: there are none to name'),
};

/** Where the snapshot is. @throws MonitorError in QEMU's words for a block device */
function directoryOf(args: Values): string {
  const [device] = (args['devices'] ?? []) as readonly string[];
  if (device !== undefined) throw new MonitorError(`No block device node '${device}'`);
  const tag = args['tag'] as string;
  if (tag === '') throw new MonitorError("Parameter 'tag' expects a directory");
  const vmstate = args['vmstate'] as string | undefined;
  return vmstate === undefined ? tag : resolve(vmstate, tag);
}

export const JOB_COMMANDS: readonly MonitorCommand[] = [
  command({
    name: 'snapshot-save',
    summary: 'Save the machine as a job',
    details:
      "The tag is a directory, as 'tsvmm snapshot load' reads it. There are no block devices: vmstate, which names one in QEMU, is the directory that snapshots are kept in. A guest is saved where it waits or yields next: the job runs until then, and fails when the guest ends before.",
    args: { ...SNAPSHOT_ARGS, force: may(BOOL, 'replace a snapshot that is there') },
    result: EMPTY,
    run(context, args) {
      const { control, jobs } = context;
      const options = { program: context.program, force: args['force'] === true };
      const dir = directoryOf(args);
      if (control.hasGuest) {
        checkSaveable(context.machine);
        checkTarget(dir, options);
        const job = jobs.begin(args['job-id'] as string, 'snapshot-save');
        control.save({ dir, force: options.force, done: (error) => jobs.end(job, error) });
        return DONE;
      }
      jobs.run(args['job-id'] as string, 'snapshot-save', () =>
        saveMachineSnapshot(context.machine, dir, options),
      );
      return DONE;
    },
    text: {
      name: 'savevm',
      usage: 'DIR [force=on]',
      parse: (rest) => jobArgs('savevm', rest),
      show: jobOutcome,
    },
  }),
  command({
    name: 'snapshot-load',
    summary: 'Make the machine what a snapshot of it says, as a job',
    details:
      'The snapshot is of the same machine. A guest in it goes on from where it was saved, in place of the one that runs.',
    args: SNAPSHOT_ARGS,
    result: EMPTY,
    changes: true,
    run(context, args) {
      const { control, machine } = context;
      const dir = directoryOf(args);
      context.jobs.run(args['job-id'] as string, 'snapshot-load', () =>
        control.hasGuest ? control.load(dir) : loadMachineSnapshot(machine, dir),
      );
      return DONE;
    },
    text: { name: 'loadvm', usage: 'DIR', parse: (rest) => jobArgs('loadvm', rest), show: jobOutcome },
  }),
  command({
    name: 'query-jobs',
    summary: 'The jobs and how they stand',
    args: {},
    result: arrayOf(
      object({
        id: STR,
        type: STR,
        status: STR,
        'current-progress': INT,
        'total-progress': INT,
        'error?': STR,
      }),
    ),
    run: ({ jobs }) =>
      jobs.all.map(({ id, type, status, error }) => ({
        id,
        type,
        status,
        'current-progress': status === 'concluded' ? 1 : 0,
        'total-progress': 1,
        ...(error === undefined ? {} : { error }),
      })),
    text: {
      name: 'info jobs',
      usage: '',
      show: (result) =>
        (result as { id: string; type: string; status: string; error?: string }[])
          .map((j) => `${j.id} ${j.type} ${j.status}${j.error === undefined ? '' : `: ${j.error}`}`)
          .join('\n'),
    },
  }),
  command({
    name: 'job-dismiss',
    summary: 'Forget a job that is over',
    args: { id: need(STR, 'name of the job') },
    result: EMPTY,
    run({ jobs }, args) {
      jobs.dismiss(args['id'] as string);
      return DONE;
    },
  }),
];

function jobArgs(name: string, rest: string) {
  const [tag = '', option, ...more] = rest.split(/\s+/);
  if (tag === '' || more.length > 0 || (option !== undefined && option !== 'force=on'))
    throw new MonitorError(`usage: ${name} DIR${name === 'savevm' ? ' [force=on]' : ''}`);
  return { 'job-id': `${name} ${tag}`, tag, ...(option === undefined ? {} : { force: true }) };
}

/** People wait for it: how it went is said at once, and the job is forgotten. */
function jobOutcome(_result: unknown, args: Values, { jobs }: MonitorContext): string {
  const id = args['job-id'] as string;
  const job = jobs.all.find((j) => j.id === id);
  if (job?.status === 'running') {
    job.unwatched = true;
    return 'to be saved where the guest waits next';
  }
  const error = job?.error;
  jobs.dismiss(id);
  return error === undefined ? '' : `Error: ${error}`;
}
