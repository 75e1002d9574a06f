import { Bug, TsvmmError } from '../core/errors.ts';
import { didYouMean } from '../core/suggest.ts';
import type { ProcessHost } from '../vcpu/process/no-processes.ts';
import type { ProcessCpu, Processes } from '../vcpu/process/processes.ts';
import { Asyncify } from '../vcpu/run/asyncify.ts';
import { useBranchHints } from '../vcpu/run/branch-hints.ts';
import type { GuestEnd } from '../vcpu/run/exit.ts';
import type { Symbolize } from '../vcpu/run/provenance.ts';
import { symbolizer, symbolizerOfAll } from '../vcpu/run/symbolize.ts';
import { Vcpu } from '../vcpu/run/vcpu.ts';
import type { Wasi } from '../vcpu/wasi/wasi.ts';
import type { GuestModule } from './guest-module.ts';
import type { Machine } from './machine.ts';
import { planRam } from './ram-plan.ts';

/** CLOCK_REALTIME at power-on: 2024-01-01T00:00:00Z, so that runs can be repeated. */
const REALTIME_AT_START_NS = 1_704_067_200_000_000_000n;
const WASI = 'wasi_snapshot_preview1';

export interface SessionOptions {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly files?: ReadonlyMap<string, Uint8Array>;
  readonly stdout: (bytes: Uint8Array) => void;
  readonly stderr: (bytes: Uint8Array) => void;
  readonly stdin?: (size: number) => Uint8Array;
  /** Instructions after which the guest counts as hung. */
  readonly fuelLimit: number;
  /** Virtual time in ns after which it does. */
  readonly timeLimit?: number;
}

/** One guest on one machine, from boot to its end. */
export class Session {
  readonly machine: Machine;
  readonly guest: GuestModule;
  readonly vcpu: Vcpu;
  readonly instance: WebAssembly.Instance;
  readonly wasi: Wasi | undefined;
  /** User processes, where the guest carries programs. */
  readonly processes: Processes | undefined;

  private constructor(
    machine: Machine,
    guest: GuestModule,
    vcpu: Vcpu,
    instance: WebAssembly.Instance,
    wasi: Wasi | undefined,
    processes: Processes | undefined,
  ) {
    this.machine = machine;
    this.guest = guest;
    this.vcpu = vcpu;
    this.instance = instance;
    this.wasi = wasi;
    this.processes = processes;
  }

  /** Builds the vCPU, loads the guest into RAM and the firmware around it. @throws TsvmmError */
  static async open(machine: Machine, guest: GuestModule, options: SessionOptions): Promise<Session> {
    checkImports(guest);
    entryOf(guest);
    const plan = planRam(machine.platform.map, machine.ram.size, guest.rewritten, machine.reservedBase);
    const vcpu: Vcpu = new Vcpu({
      ram: machine.ram,
      mmio: machine.mmio,
      ports: machine.ports,
      clock: machine.clock,
      interrupts: machine.platform.interrupts,
      console: options.stdout,
      symbolize: await symbolizeOf(guest),
      busMaster: () => machine.memory.writer,
      fuelLimit: options.fuelLimit,
      ...(options.timeLimit === undefined ? {} : { timeLimit: options.timeLimit }),
    });
    const opened = await openWasi(machine, guest, options, vcpu);
    const wasi = opened?.wasi;
    const module = compile(guest.rewritten.wasm, guest.file);
    const user = await openProcesses(machine, guest);
    const instance = vcpu.load({
      module,
      platform: { rsdp: plan.rsdp, heapStart: plan.heapStart, heapEnd: plan.heapEnd },
      table: guest.rewritten.table,
      stackPointer: guest.rewritten.stackPointer,
      imports: wasi === undefined ? {} : { [wasi.module]: wasi.functions as WebAssembly.ModuleImports },
      ...(opened === undefined ? {} : { exitStatus: opened.exitStatus }),
      ...(user === undefined ? {} : { processes: user.start }),
    });
    if (guest.stackLow !== undefined) vcpu.guardStack(guest.stackLow);
    machine.provenance.follow(vcpu.stores);
    machine.bootFirmware(plan);
    return new Session(machine, guest, vcpu, instance, wasi, user?.processes());
  }

  /** Runs from the entry point to the end; with `resume`, from where the guest was suspended. */
  run(resume = false): GuestEnd {
    const { ram } = this.machine;
    const asyncify = this.guest.suspendable
      ? new Asyncify(this.instance, ram.memory, ram.layout, resume)
      : undefined;
    const { start } = this.guest.rewritten;
    if (start !== undefined && !resume) {
      const end = this.vcpu.run(start);
      if (end.kind !== 'exit' || end.status !== 0) return end;
    }
    return this.vcpu.run(entryOf(this.guest), asyncify);
  }
}

interface OpenedProcesses {
  readonly start: (cpu: ProcessCpu) => ProcessHost;
  readonly processes: () => Processes | undefined;
}

/** User mode is loaded only for guests that carry programs. */
async function openProcesses(machine: Machine, guest: GuestModule): Promise<OpenedProcesses | undefined> {
  const { programs } = guest;
  if (programs === undefined) return undefined;
  if (!machine.ram.layout.userMode) throw new Bug('a machine without room for user processes');
  const { Processes } = await import('../vcpu/process/processes.ts');
  const walker = await machine.platform.pageWalker(machine.ram);
  let processes: Processes | undefined;
  return {
    start(cpu) {
      processes = new Processes(cpu, programs, walker, (image) =>
        compile(image.rewritten.wasm, `program ${image.name}`),
      );
      return processes.host();
    },
    processes: () => processes,
  };
}

async function symbolizeOf(guest: GuestModule): Promise<Symbolize> {
  const kernel = symbolizer(guest.original, guest.rewritten);
  if (guest.programs === undefined) return kernel;
  const { PROGRAM_MODULE } = await import('../vcpu/process/program.ts');
  const programs = guest.programs.map(
    ({ wasm, rewritten }, i) => [`${PROGRAM_MODULE}${i}`, symbolizer(wasm, rewritten)] as const,
  );
  return symbolizerOfAll(kernel, new Map(programs));
}

interface OpenedWasi {
  readonly wasi: Wasi;
  readonly exitStatus: (error: unknown) => number | undefined;
}

/** WASI is loaded only for guests that import it. */
async function openWasi(
  machine: Machine,
  guest: GuestModule,
  options: SessionOptions,
  vcpu: Vcpu,
): Promise<OpenedWasi | undefined> {
  const imports = guest.rewritten.imports.filter((i) => i.module === WASI).map((i) => i.name);
  if (imports.length === 0) return undefined;
  const { createWasi, wasiExitStatus } = await import('../vcpu/wasi/wasi.ts');
  const { ram, clock, rng } = machine;
  const wasi = await createWasi({
    args: options.args,
    env: options.env,
    stdout: options.stdout,
    stderr: options.stderr,
    imports,
    clock: { nowNs: () => clock.now, realtimeAtStartNs: REALTIME_AT_START_NS },
    sleepNs: (ns) => vcpu.delay(ns),
    random: (target) => rng.fill(target),
    memory: {
      u8: ram.u8,
      base: ram.base,
      end: ram.end,
      wrote: (address, bytes) => ram.wrote(address, bytes),
    },
    ...(options.files === undefined ? {} : { files: options.files }),
    ...(options.stdin === undefined ? {} : { stdin: options.stdin }),
  });
  const unknown = imports.find((name) => !(name in wasi.functions));
  if (unknown !== undefined)
    throw badImport(guest.file, WASI, unknown, didYouMean(unknown, Object.keys(wasi.functions)));
  return { wasi, exitStatus: wasiExitStatus };
}

/** Imports of `tsvmm` were checked by the rewriter, those of WASI are when it is opened; there are no others. */
function checkImports(guest: GuestModule): void {
  const foreign = guest.rewritten.imports.find((i) => i.module !== 'tsvmm' && i.module !== WASI);
  if (foreign !== undefined) {
    throw badImport(
      guest.file,
      foreign.module,
      foreign.name,
      `a guest may import from 'tsvmm' and '${WASI}'`,
    );
  }
}

function badImport(file: string, module: string, name: string, mend: string): TsvmmError {
  return new TsvmmError({
    code: 'unknown-import',
    object: file,
    why: `imports '${module}.${name}', which nothing provides`,
    mend,
  });
}

function entryOf(guest: GuestModule): string {
  const names = guest.rewritten.exports.filter((e) => e.kind === 'func').map((e) => e.name);
  const entry = ['_start', 'main'].find((name) => names.includes(name));
  // What the linker puts in the place of a main that the C library calls and nobody defines.
  if (entry !== undefined && guest.rewritten.functionNames.includes('undefined_weak:main')) {
    throw new TsvmmError({
      code: 'no-entry',
      object: guest.file,
      why: "defines no 'main'",
      mend: "define 'int main(void)'",
    });
  }
  if (entry === undefined) {
    throw new TsvmmError({
      code: 'no-entry',
      object: guest.file,
      why: "exports neither '_start' nor 'main'",
      mend: "define 'int main(void)', or export one of the two",
    });
  }
  return entry;
}

function compile(wasm: Uint8Array<ArrayBuffer>, file: string): WebAssembly.Module {
  useBranchHints();
  try {
    return new WebAssembly.Module(wasm);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TsvmmError({ code: 'bad-guest-module', object: file, why: `does not compile: ${why}`, cause });
  }
}
