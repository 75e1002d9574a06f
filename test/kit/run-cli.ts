import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface CliRun {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Lines of stderr. */
  readonly lines: readonly string[];
}

export interface Cli {
  run(args: readonly string[], options?: CliOptions): CliRun;
  /** Its directory: bin/tsvmm.js is in it. */
  readonly directory: string;
  remove(): void;
}

export interface CliOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** The Node to run it with. */
  readonly node?: string;
}

/** Seconds after which a command that should have ended counts as hanging. */
const HANGS_AFTER = 280;

/** The built command line in a copy of its own: whoever builds meanwhile does not disturb the tests. */
export function copyOfCli(): Cli {
  const directory = mkdtempSync(join(tmpdir(), 'tsvmm-cli-'));
  for (const name of [
    'bin',
    'dist',
    'guest',
    'devices/vconfig/quirks.list',
    'vmm/host/hosts',
    'package.json',
  ]) {
    cpSync(join(root, name), join(directory, name), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
  return {
    directory,
    run: (args, options = {}) => runCli(join(directory, 'bin/tsvmm.js'), args, options),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

function runCli(script: string, args: readonly string[], { cwd = root, env = {}, node }: CliOptions): CliRun {
  const { status, stdout, stderr, error } = spawnSync(node ?? process.execPath, [script, ...args], {
    cwd,
    env: { ...process.env, NODE_OPTIONS: '', NO_COLOR: '1', ...env },
    encoding: 'utf8',
    timeout: HANGS_AFTER * 1000,
    maxBuffer: 1 << 28,
  });
  if (error !== undefined) throw error;
  return { status, stdout, stderr, lines: stderr.split('\n').filter((line) => line !== '') };
}
