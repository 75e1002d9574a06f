/** Control of a machine on which no guest runs. */

import type { Monitor } from './monitor.ts';
import { IdleControl, type RunStatus } from './run-control.ts';

/** @param onQuit called after clients were told */
export function idleControl(status: RunStatus, onQuit: () => void): (monitor: Monitor) => IdleControl {
  return (monitor) =>
    new IdleControl(
      status,
      {
        reset() {
          monitor.machine.resetDevices();
          monitor.emit('RESET', { guest: false, reason: 'host-qmp-system-reset' });
        },
        quit() {
          monitor.emit('SHUTDOWN', { guest: false, reason: 'host-qmp-quit' });
          onQuit();
        },
      },
      (event) => monitor.emit(event),
    );
}
