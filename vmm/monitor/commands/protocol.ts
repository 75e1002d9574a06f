/** Commands about the protocol and the program itself. */

import { command, DONE, type MonitorCommand } from '../command.ts';
import { MonitorError } from '../error.ts';
import { introspection } from '../introspect.ts';
import { QEMU_VERSION } from '../protocol.ts';
import { ANY, arrayOf, EMPTY, INT, may, need, object, oneOf, STR } from '../types.ts';

/** @param all the whole table; a function, because these commands are in it */
export function protocolCommands(all: () => readonly MonitorCommand[]): readonly MonitorCommand[] {
  return [
    command({
      name: 'qmp_capabilities',
      summary: 'Leave the negotiation and accept commands',
      args: { enable: may(arrayOf(oneOf('oob')), 'capabilities to enable; none is offered') },
      result: EMPTY,
      // Of the connection, not of the machine: the QMP session answers it. This one is reached when it is called again.
      run: () => DONE,
    }),
    command({
      name: 'query-version',
      summary: 'The version',
      details: 'The QEMU version is the one whose QMP this is; the package names tsvmm.',
      args: {},
      result: object({
        qemu: object({ major: INT, minor: INT, micro: INT }),
        package: STR,
      }),
      run: ({ program }) => ({ qemu: QEMU_VERSION, package: `tsvmm-${program}` }),
      text: {
        name: 'info version',
        usage: '',
        show: (result) => (result as { package: string }).package,
      },
    }),
    command({
      name: 'query-commands',
      summary: 'The names of all commands',
      args: {},
      result: arrayOf(object({ name: STR })),
      run: () => all().map(({ name }) => ({ name })),
    }),
    command({
      name: 'query-qmp-schema',
      summary: 'Commands, events and their types, in the form QEMU has for it',
      args: {},
      result: arrayOf(ANY),
      run: () => introspection(all()),
    }),
    command({
      name: 'human-monitor-command',
      summary: 'Carry out a line of the text monitor',
      args: {
        'command-line': need(STR, 'the line'),
        'cpu-index': may(INT, 'the processor that addresses are of'),
      },
      result: STR,
      run(context, args) {
        if ((args['cpu-index'] ?? 0) !== 0)
          throw new MonitorError("Invalid parameter 'cpu-index', expected: a CPU number");
        // As QEMU has it: lines end as on a terminal.
        const text = context.execute(args['command-line'] as string);
        return text === '' ? '' : `${text.replaceAll('\n', '\r\n')}\r\n`;
      },
    }),
  ];
}
