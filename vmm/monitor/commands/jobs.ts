/** Snapshots of the machine, as jobs. */

import { loadMachineSnapshot, saveMachineSnapshot } from '../../machine/snapshot-machine.ts';
import { command, DONE, type MonitorCommand, type MonitorContext, type Values } from '../command.ts';
import { MonitorError } from '../error.ts';
import { arrayOf, BOOL, EMPTY, INT, may, need, object, STR } from '../types.ts';

const SNAPSHOT_ARGS = {
  'job-id': need(STR, 'name of the job'),
  tag: need(STR, 'directory of the snapshot'),
};

export const JOB_COMMANDS: readonly MonitorCommand[] = [
  command({
    name: 'snapshot-save',
    summary: 'Save the machine as a job',
    details:
      "The tag is a directory, as 'tsvmm snapshot load' reads it. There are no block devices, hence no vmstate and devices arguments. A guest that is being run can be saved where it waits only: 'tsvmm snapshot save'.",
    args: { ...SNAPSHOT_ARGS, force: may(BOOL, 'replace a snapshot that is there') },
    result: EMPTY,
    run(context, args) {
      noGuest(context, 'saved');
      const options = { program: context.program, force: args['force'] === true };
      context.jobs.run(args['job-id'] as string, 'snapshot-save', () =>
        saveMachineSnapshot(context.machine, args['tag'] as string, options),
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
    args: SNAPSHOT_ARGS,
    result: EMPTY,
    run(context, args) {
      noGuest(context, 'loaded');
      context.jobs.run(args['job-id'] as string, 'snapshot-load', () =>
        loadMachineSnapshot(context.machine, args['tag'] as string),
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
  const error = jobs.all.find((job) => job.id === id)?.error;
  jobs.dismiss(id);
  return error === undefined ? '' : `Error: ${error}`;
}

/** The stack of a guest is the host's own: it can be saved only where the guest was built to be unwound. */
function noGuest({ control }: MonitorContext, what: string): void {
  if (!control.hasGuest) return;
  throw new MonitorError(
    `the guest cannot be ${what} from here; use 'tsvmm snapshot save' and 'tsvmm snapshot load'`,
  );
}
