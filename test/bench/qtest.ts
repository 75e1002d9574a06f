/**
 * The qtest socket as a client sees it: how long a command takes over a unix socket, against QEMU, and how long it takes
 * from the start of the program to its first reply, against a Node process that does nothing.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { median, type Probe, rounds, roundsWanted } from './kit/rounds.ts';
import { compare, figure, finish, skip } from './kit/row.ts';
import { qemuVersion } from './qemu/cost.ts';
import { Qtest } from './qemu/qtest.ts';

/** Commands of one round. */
const COMMANDS = 2000;
const START_ROUNDS = Math.max(21, roundsWanted());
const FIRST_REPLY = { factor: 1.3, plusMs: 50 };
const MACHINE = ['-machine', 'q35', '-m', '512', '-device', 'intel-iommu'] as const;

const root = process.env['BENCH_ROOT'] ?? process.cwd();
const binary = process.env['BENCH_VS'];

/** A register, a register that is written, and RAM. */
const LINES = {
  'readl, VT-d GSTS': 'readl 0xfed9001c',
  'writel, VT-d FEDATA': 'writel 0xfed9003c 0x21',
  'readl, RAM': 'readl 0x1000',
  'writel, RAM': 'writel 0x1000 0x21',
} as const;
type Name = keyof typeof LINES;
const NAMES = Object.keys(LINES) as Name[];

/** Reading an extra certificate file takes Node twice as long as all the rest of its start. */
function environment(): NodeJS.ProcessEnv {
  const { NODE_EXTRA_CA_CERTS: _certificates, NODE_OPTIONS: _options, ...env } = process.env;
  return env;
}

function ours(): Promise<Qtest> {
  const script = join(root, 'bin/qemu-system-x86_64.js');
  return Qtest.launch([process.execPath, script, ...MACHINE], undefined, environment());
}

function milliseconds(since: bigint): number {
  return Number(process.hrtime.bigint() - since) / 1e6;
}

function roundTrips(who: string, program: Qtest): Probe[] {
  return NAMES.map((name) => ({
    name: `${who}: ${name}`,
    async sample() {
      const start = process.hrtime.bigint();
      for (let i = 0; i < COMMANDS; i++) await program.ask(LINES[name]);
      return Number(process.hrtime.bigint() - start) / COMMANDS;
    },
  }));
}

async function commands(): Promise<void> {
  const tsvmm = await ours();
  const version = binary === undefined ? undefined : qemuVersion(binary);
  const qemu = version === undefined ? undefined : await Qtest.start(binary!, MACHINE);
  try {
    if (qemu === undefined) {
      const times = await rounds(roundTrips('tsvmm', tsvmm));
      for (const name of NAMES) figure(`qtest ${name}, round trip`, 'ns', times[`tsvmm: ${name}`]!);
      skip(
        "qtest against QEMU's",
        binary === undefined ? 'not asked for (--vs qemu-system-x86_64)' : `${binary} is not here`,
      );
      return;
    }
    const times = await rounds([...roundTrips('tsvmm', tsvmm), ...roundTrips('QEMU', qemu)]);
    const limit = { text: "<= 1.5x of QEMU's", ratio: 1.5 };
    for (const name of NAMES) {
      const baseline = { name: 'QEMU', values: times[`QEMU: ${name}`]! };
      compare(`qtest ${name}, round trip`, 'ns', times[`tsvmm: ${name}`]!, baseline, limit);
    }
  } finally {
    await tsvmm.stop();
    await qemu?.stop();
  }
}

async function firstReply(): Promise<number> {
  const start = process.hrtime.bigint();
  const program = await ours();
  await program.ask('endianness');
  const ms = milliseconds(start);
  await program.stop();
  return ms;
}

function emptyNode(): number {
  const start = process.hrtime.bigint();
  spawnSync(process.execPath, ['-e', '0'], { env: environment(), stdio: 'ignore' });
  return milliseconds(start);
}

async function start(): Promise<void> {
  const node = { name: 'node -e 0', sample: emptyNode };
  const machine = { name: 'tsvmm', sample: firstReply };
  const times = await rounds([node, machine], START_ROUNDS);
  const base = { name: 'node -e 0', values: times['node -e 0']! };
  const value = FIRST_REPLY.factor * median(base.values) + FIRST_REPLY.plusMs;
  const limit = { text: `<= ${FIRST_REPLY.factor}x of node -e 0 plus ${FIRST_REPLY.plusMs} ms`, value };
  compare('tsvmm qemu, start to first qtest reply', 'ms', times['tsvmm']!, base, limit);
}

await commands();
await start();
finish();
