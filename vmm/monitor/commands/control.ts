/** Commands that run, stop, reset and end the machine. */

import { command, DONE, type MonitorCommand, type MonitorContext } from '../command.ts';
import { MonitorError } from '../error.ts';
import { BOOL, EMPTY, INT, may, need, object, oneOf, STR } from '../types.ts';

const quiet = () => '';

export const CONTROL_COMMANDS: readonly MonitorCommand[] = [
  command({
    name: 'query-status',
    summary: 'Whether the machine runs',
    args: {},
    result: object({
      running: BOOL,
      status: oneOf('prelaunch', 'running', 'paused', 'shutdown'),
    }),
    run: ({ control }) => ({ running: control.status === 'running', status: control.status }),
    text: {
      name: 'info status',
      usage: '',
      show: (result) => `VM status: ${(result as { status: string }).status}`,
    },
  }),
  command({
    name: 'stop',
    summary: 'Stop the machine',
    details: 'The guest stops between two instructions.',
    args: {},
    result: EMPTY,
    run: ({ control }) => done(() => control.stop()),
    text: { name: 'stop', usage: '', show: quiet },
  }),
  command({
    name: 'cont',
    summary: 'Let the machine run',
    args: {},
    result: EMPTY,
    run: ({ control }) => done(() => control.cont()),
    text: { name: 'cont', usage: '', show: quiet },
  }),
  command({
    name: 'x-tsvmm-step',
    summary: 'Let the guest run until trace events have happened, then stop it',
    details:
      'Every declared trace event counts, whether it is printed or not. The guest stops after the instruction that caused the last one.',
    args: { count: may(INT, 'how many; 1 if absent') },
    result: EMPTY,
    run({ control }, { count = 1 }) {
      if ((count as number) < 1) throw new MonitorError("Parameter 'count' expects a positive number");
      return done(() => control.step(count as number));
    },
    text: { name: 'step', usage: '[N]', show: quiet },
  }),
  command({
    name: 'x-tsvmm-run-until',
    summary: 'Let the guest run until a trace event happens, then stop it',
    args: { event: need(STR, 'name of the event; * and ? match') },
    result: EMPTY,
    run({ control, trace }, args) {
      const glob = args['event'] as string;
      if (trace.matching(glob).length === 0) throw new MonitorError(`no trace event matches '${glob}'`);
      return done(() => control.runUntil(glob));
    },
    text: { name: 'run-until', usage: 'GLOB', show: quiet, complete: eventNames },
  }),
  command({
    name: 'x-tsvmm-reverse-step',
    summary: 'Take the machine back to before the last trace events',
    details:
      'As many events as step counts have then not happened; what step would do is undone. The run is repeated up to there: what it printed and traced is not printed and traced again.',
    args: { count: may(INT, 'how many; 1 if absent') },
    result: EMPTY,
    run({ control }, { count = 1 }) {
      if ((count as number) < 1) throw new MonitorError("Parameter 'count' expects a positive number");
      return done(() => control.reverse({ to: 'step', events: count as number }));
    },
    text: { name: 'reverse-step', usage: '[N]', show: quiet },
  }),
  command({
    name: 'x-tsvmm-reverse-until',
    summary: 'Take the machine back to where a trace event happened last',
    details: 'Where the guest stands because of such an event, the one before it is meant.',
    args: { event: need(STR, 'name of the event; * and ? match') },
    result: EMPTY,
    run({ control, trace }, args) {
      const glob = args['event'] as string;
      if (trace.matching(glob).length === 0) throw new MonitorError(`no trace event matches '${glob}'`);
      return done(() => control.reverse({ to: 'event', glob }));
    },
    text: { name: 'reverse-until', usage: 'GLOB', show: quiet, complete: eventNames },
  }),
  command({
    name: 'x-tsvmm-reverse-continue',
    summary: "Take the machine back to before the guest's first instruction",
    args: {},
    result: EMPTY,
    run: ({ control }) => done(() => control.reverse({ to: 'start' })),
    text: { name: 'reverse-continue', usage: '', show: quiet },
  }),
  command({
    name: 'system_reset',
    summary: 'Reset the machine',
    args: {},
    result: EMPTY,
    changes: true,
    run: ({ control }) => done(() => control.reset()),
    text: { name: 'system_reset', usage: '', show: quiet },
  }),
  command({
    name: 'quit',
    summary: 'End tsvmm',
    args: {},
    result: EMPTY,
    changes: true,
    run: ({ control }) => done(() => control.quit()),
    text: { name: 'quit', usage: '', show: quiet },
  }),
];

function done(act: () => void): typeof DONE {
  act();
  return DONE;
}

export function eventNames({ trace }: MonitorContext): readonly string[] {
  return trace.matching('*');
}
