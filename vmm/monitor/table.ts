/** Every command of the monitor. Adding one here adds its QMP and text forms, help, completion, schemas and documentation. */

import type { MonitorCommand } from './command.ts';
import { CONTROL_COMMANDS } from './commands/control.ts';
import { DEVICE_COMMANDS } from './commands/devices.ts';
import { JOB_COMMANDS } from './commands/jobs.ts';
import { LOOK_COMMANDS } from './commands/look.ts';
import { MEMORY_COMMANDS } from './commands/memory.ts';
import { PCI_COMMANDS } from './commands/pci.ts';
import { protocolCommands } from './commands/protocol.ts';
import { TRACE_COMMANDS } from './commands/trace.ts';

export const COMMANDS: readonly MonitorCommand[] = [
  ...protocolCommands(() => COMMANDS),
  ...CONTROL_COMMANDS,
  ...LOOK_COMMANDS,
  ...MEMORY_COMMANDS,
  ...DEVICE_COMMANDS,
  ...PCI_COMMANDS,
  ...TRACE_COMMANDS,
  ...JOB_COMMANDS,
];

const BY_NAME: ReadonlyMap<string, MonitorCommand> = new Map(COMMANDS.map((c) => [c.name, c]));

export function findCommand(name: string): MonitorCommand | undefined {
  return BY_NAME.get(name);
}
