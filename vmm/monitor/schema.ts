/** `tsvmm schema monitor`: every command with its arguments and result, and every event with its data. */

import type { Zod } from '../core/zod.ts';
import { EVENTS } from './events.ts';
import { COMMANDS } from './table.ts';
import { type Members, type Type, zodOf } from './types.ts';

export function monitorSchema(z: Zod) {
  const members = (list: Members, open: boolean) => zodOf(z, { kind: 'object', members: list, open } as Type);
  const commands = COMMANDS.map(({ name, summary, args, open, result }) => {
    const shape = z.strictObject({ arguments: members(args, open === true), return: zodOf(z, result) });
    return [name, shape.describe(summary)] as const;
  });
  const events = Object.entries(EVENTS).map(
    ([name, { doc, data }]) => [name, members(data, false).describe(doc)] as const,
  );
  return z
    .strictObject({
      commands: z.strictObject(Object.fromEntries(commands)),
      events: z.strictObject(Object.fromEntries(events)),
    })
    .describe('the commands and events of the monitor, by name');
}
