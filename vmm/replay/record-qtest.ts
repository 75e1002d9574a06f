/** Sessions of qtest and QMP clients, recorded. */

import type { MachineConfig } from '../machine/config.ts';
import type { QtestRecorder } from '../qtest/server.ts';
import { headerOf } from './header.ts';
import { RunRecorder } from './recorder.ts';

/** @throws TsvmmError when the file cannot be written */
export function recordQtest(config: MachineConfig | null, program: string, file: string): QtestRecorder {
  const recorder = new RunRecorder(() => headerOf({ program, config, plugins: [] }));
  recorder.toFile(file);
  return {
    command: (ns, qtest) => recorder.line({ ns, qtest }),
    reply: (text) => recorder.printed(Buffer.from(`${text}\n`, 'latin1')),
    asked: (ns, asked) =>
      // Clients speak QMP here; a line of the text monitor comes inside of it.
      asked.via === 'qmp' &&
      recorder.line({ ns, qmp: { execute: asked.execute, arguments: asked.arguments } }),
    ended: (ns) => recorder.end({ how: 'closed', status: null, ns, instructions: 0 }),
  };
}
