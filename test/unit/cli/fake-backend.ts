import type { Backend, RunOutcome, RunRequest } from '../../../vmm/cli/backend.ts';
import type { Context } from '../../../vmm/cli/context.ts';
import { dispatch } from '../../../vmm/cli/dispatch.ts';
import { OutputClosed } from '../../../vmm/cli/host.ts';
import { builtinRegistry } from '../../../vmm/machine/builtin.ts';

export interface FakeRun {
  /** What the guest prints, piece by piece. */
  readonly console?: readonly string[];
  readonly outcome?: Partial<RunOutcome>;
  readonly throws?: unknown;
  /** The terminal and the environment that tsvmm finds. */
  readonly interactive?: boolean;
  readonly color?: boolean;
  /** Nobody reads stdout. */
  readonly closed?: boolean;
}

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly requests: readonly RunRequest[];
}

/** Runs a command line against a machine that does as told. */
export async function tsvmm(argv: readonly string[], fake: FakeRun = {}): Promise<Ran> {
  let stdout = '';
  let stderr = '';
  const requests: RunRequest[] = [];
  const text = (data: string | Uint8Array) =>
    typeof data === 'string' ? data : Buffer.from(data).toString('utf8');
  const context: Context = {
    host: {
      env: {},
      cwd: process.cwd(),
      interactive: fake.interactive ?? false,
      color: fake.color ?? false,
      outColor: false,
      out: (data) => {
        if (fake.closed) throw new OutputClosed('stdout');
        stdout += text(data);
      },
      err: (data) => {
        stderr += text(data);
      },
    },
    backend: async () => fakeBackend(fake, requests),
    accepted: async () => undefined,
  };
  const code = await dispatch(argv, context);
  return { code, stdout, stderr, requests };
}

function fakeBackend(fake: FakeRun, requests: RunRequest[]): Backend {
  const play = async (request: RunRequest): Promise<RunOutcome> => {
    requests.push(request);
    request.observer.stage('compiling');
    if (fake.throws !== undefined) throw fake.throws;
    for (const piece of fake.console ?? []) request.observer.console(new TextEncoder().encode(piece));
    return { end: 'exited', exitStatus: 0, virtualNs: 1500, instructions: 1200, faults: [], ...fake.outcome };
  };
  return {
    registry: builtinRegistry,
    views: () => [
      { name: 'pci', doc: 'functions', json: () => [{ bdf: '00:00.0' }], text: () => '00:00.0 host' },
    ],
    acpi: () => [{ name: 'dmar.dat', bytes: Uint8Array.of(1, 2, 3) }],
    run: play,
    save: (request) => play(request),
    resume: async () => ({ end: 'exited', exitStatus: 0, virtualNs: 0, instructions: 0, faults: [] }),
    recordGlance: async () => ({ guest: 'a.wasm', seed: 1, machine: {} }),
    replay: async () => ({ end: 'exited', exitStatus: 0, virtualNs: 0, instructions: 0, faults: [] }),
    inspect: async (dir) => ({
      open: true,
      execute: (line) => (line === 'bad' ? 'Error: bad' : `${dir}: ${line}`),
      complete: () => [],
    }),
    diff: async (a, b) => (a === b ? [] : [{ path: 'edu0.regs.STATUS', a: '0x0', b: '0x1' }]),
  };
}
