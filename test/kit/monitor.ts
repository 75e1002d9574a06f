import * as zod from 'zod';
import { SMMUV3 } from '../../viommu/smmuv3/kind.ts';
import { completeOptions } from '../../vmm/bus/iommu.ts';
import { builtinRegistry } from '../../vmm/machine/builtin.ts';
import type { MachineConfig } from '../../vmm/machine/config.ts';
import { idleControl } from '../../vmm/monitor/idle.ts';
import { Monitor } from '../../vmm/monitor/monitor.ts';
import { bootedMachine } from './machine.ts';

/** A QMP client in this process. */
export class QmpClient {
  readonly #received: unknown[] = [];
  readonly #connection: ReturnType<Monitor['openQmp']>;

  constructor(monitor: Monitor) {
    this.#connection = monitor.openQmp((text) => {
      if (!text.endsWith('\r\n')) throw new Error(`no line end after ${text}`);
      this.#received.push(JSON.parse(text));
    });
  }

  send(bytes: string | Uint8Array): void {
    this.#connection.input(typeof bytes === 'string' ? Buffer.from(bytes) : bytes);
  }

  /** What has come since the last call. */
  take(): unknown[] {
    return this.#received.splice(0);
  }

  /** Everything that one message brings, events too. */
  ask(message: unknown): unknown[] {
    this.take();
    this.send(`${JSON.stringify(message)}\n`);
    return this.take();
  }

  #answer(execute: string, args?: object) {
    const answers = this.ask({ execute, ...(args === undefined ? {} : { arguments: args }) });
    return answers.find((a) => !Object.hasOwn(a as object, 'event')) as {
      return?: unknown;
      error?: { class: string; desc: string };
    };
  }

  value(execute: string, args?: object): unknown {
    const { return: value, error } = this.#answer(execute, args);
    if (error !== undefined) throw new Error(error.desc);
    return value;
  }

  fails(execute: string, args?: object): { class: string; desc: string } {
    const { error } = this.#answer(execute, args);
    if (error === undefined) throw new Error(`${execute} succeeded`);
    return error;
  }

  close(): void {
    this.#connection.close();
  }
}

interface Options {
  readonly negotiate?: boolean;
  /** An empty root port rp0 instead of the devices of `bootedMachine`. */
  readonly devices?: readonly 'rp'[];
  readonly viommu?: null;
  /** virt has an SMMUv3 with everything that shared virtual memory uses. */
  readonly machine?: 'virt';
}

const VIRT = {
  machine: 'virt',
  viommu: { kind: 'smmuv3', options: { ...completeOptions(SMMUV3, { svm: true }) } },
} as const;

/** A machine without a guest, its monitor and one client. */
export function idleMonitor(options: Options = {}) {
  const devices: MachineConfig['devices'] | undefined = options.devices?.map((kind, i) => ({
    kind: 'pcie-root-port',
    id: `${kind}${i}`,
    options: {},
  }));
  const log: string[] = [];
  const monitor: Monitor = new Monitor({
    machine: bootedMachine({
      ...(devices === undefined ? {} : { devices }),
      ...(options.viommu === null ? { viommu: null } : {}),
      ...(options.machine === undefined ? {} : VIRT),
    }),
    registry: builtinRegistry(),
    zod: () => zod,
    program: '0.0.1',
    control: idleControl('prelaunch', () => void log.push('quit')),
  });
  const open = () => {
    const client = new QmpClient(monitor);
    if (options.negotiate === false) return client;
    client.ask({ execute: 'qmp_capabilities' });
    return client;
  };
  return { monitor, client: open(), open, log };
}
