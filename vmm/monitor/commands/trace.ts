/** Commands about trace events. */

import { command, DONE, type MonitorCommand, type MonitorContext } from '../command.ts';
import { MonitorError } from '../error.ts';
import { arrayOf, BOOL, EMPTY, INT, may, need, object, oneOf, STR } from '../types.ts';
import { eventNames } from './control.ts';

export const TRACE_COMMANDS: readonly MonitorCommand[] = [
  command({
    name: 'trace-event-get-state',
    summary: 'Which trace events are switched on',
    args: { name: need(STR, 'name of the events; * and ? match') },
    result: arrayOf(object({ name: STR, state: oneOf('unavailable', 'disabled', 'enabled') })),
    run: (context, args) =>
      matching(context, args['name'] as string).map((name) => ({
        name,
        state: context.trace.isEnabled(name) ? 'enabled' : 'disabled',
      })),
    text: {
      name: 'info trace-events',
      usage: '[GLOB]',
      parse: (rest) => ({ name: rest === '' ? '*' : rest }),
      show: (result) =>
        (result as { name: string; state: string }[])
          .map(({ name, state }) => `${name} : state ${state === 'enabled' ? 1 : 0}`)
          .join('\n'),
      complete: eventNames,
    },
  }),
  command({
    name: 'trace-event-set-state',
    summary: 'Switch trace events on or off',
    details: 'Events that are on are printed to stderr and to text monitors.',
    args: {
      name: need(STR, 'name of the events; * and ? match'),
      enable: need(BOOL, 'on or off'),
      'ignore-unavailable': may(BOOL, 'no error for names that nothing matches'),
      vcpu: may(INT, 'the processor; there is only 0'),
    },
    result: EMPTY,
    run(context, args) {
      const name = args['name'] as string;
      const names =
        args['ignore-unavailable'] === true ? context.trace.matching(name) : matching(context, name);
      if ((args['vcpu'] ?? 0) !== 0) throw new MonitorError('CPU index is invalid');
      context.trace.set(names, args['enable'] as boolean);
      return DONE;
    },
    text: { name: 'trace-event', usage: 'GLOB on|off', show: () => '', complete: eventNames },
  }),
];

function matching({ trace }: MonitorContext, glob: string): readonly string[] {
  const names = trace.matching(glob);
  if (names.length === 0) throw new MonitorError(`unknown event "${glob}"`);
  return names;
}
