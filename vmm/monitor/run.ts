/** A run with monitors attached: as vmm/machine runs a guest, but held, stepped, reset and ended from outside. */

import type { MachineConfig } from '../machine/config.ts';
import type { GuestModule } from '../machine/guest-module.ts';
import { Machine } from '../machine/machine.ts';
import type { Registry } from '../machine/registry.ts';
import { type RunGuestOptions, type RunResult, resultOf } from '../machine/run-guest.ts';
import { Session } from '../machine/session.ts';
import { stateUnit } from '../machine/snapshot-units.ts';
import { VCPU_STATE } from '../vcpu/run/state.ts';
import { MonitorChannel } from './channel.ts';
import type { Endpoint } from './endpoint.ts';
import { GuestControl } from './guest-control.ts';
import { loadZodNow } from './load-zod.ts';
import { Monitor } from './monitor.ts';
import { MonitorServer } from './serve.ts';

export interface MonitorRequest {
  readonly endpoints: readonly Endpoint[];
  /** Hold the guest before its first instruction. */
  readonly held: boolean;
  readonly program: string;
  /** Answers to stdin. */
  readonly out: (text: string) => void;
  /** Lines of traces, where no text client reads them. */
  readonly print: (line: string) => void;
  /** Told where the monitors are, once they are. */
  readonly listening: (endpoints: readonly Endpoint[]) => void;
}

/** @throws TsvmmError for what the host got wrong, addresses included */
export async function runMonitored(
  config: MachineConfig,
  registry: Registry,
  guest: GuestModule,
  options: RunGuestOptions,
  request: MonitorRequest,
): Promise<RunResult> {
  const machine = new Machine(config, registry);
  options.prepare?.(machine);
  let session = await Session.open(machine, guest, options);
  let control!: GuestControl;
  const monitor = new Monitor({
    machine,
    registry,
    zod: loadZodNow,
    program: request.program,
    print: request.print,
    moreUnits: () => {
      const { s, executed } = session.vcpu;
      return [stateUnit('vcpu', VCPU_STATE, { ...s, executed })];
    },
    control: (m) => (control = new GuestControl(m, request.held)),
  });
  const channel = MonitorChannel.open(request.endpoints);
  const server = new MonitorServer(channel, monitor, request.out, () => control.stepping);
  request.listening(channel.listening);
  try {
    for (;;) {
      const result = runOnce(session, control, server);
      if (result.end.kind !== 'stopped' || result.end.reason !== 'reset') return result;
      session = await restart(session, options);
      monitor.emit('RESET', { guest: false, reason: 'host-qmp-system-reset' });
    }
  } finally {
    server.finish();
  }
}

function runOnce(session: Session, control: GuestControl, server: MonitorServer): RunResult {
  control.attach(session.vcpu);
  const poll = () => {
    control.settle();
    if (server.pending) server.handle();
    hold(control, server);
    return control.end;
  };
  session.vcpu.supervisor = { poll };
  const end = poll() ?? session.run();
  if (end.kind !== 'stopped' || end.reason !== 'reset') control.ended(end);
  // What was asked while the guest ran to its end is answered.
  if (server.pending) server.handle();
  return resultOf(session, end);
}

/** Commands are carried out here for as long as the guest is to stand still. */
function hold(control: GuestControl, server: MonitorServer): void {
  while (control.held) {
    // Nobody is there to let it go on, and nobody can come.
    if (!server.attended) control.quit();
    else {
      if (!server.pending) server.wait();
      server.handle();
    }
  }
}

/** The machine as a system reset leaves it, with the guest loaded anew. Memory is cleared: the guest's image is all of it. */
async function restart(session: Session, options: RunGuestOptions): Promise<Session> {
  const { machine, guest } = session;
  machine.resetDevices();
  machine.ram.clear();
  return Session.open(machine, guest, options);
}
