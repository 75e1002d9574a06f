// Runs the determinism test with other versions of Node beside the one that runs it:
//
//   node scripts/with-nodes.mjs [22 24 26]
//
// The npm package `node` brings them into a temporary directory.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const versions = process.argv.length > 2 ? process.argv.slice(2) : ['22', '24', '26'];
const temporary = mkdtempSync(join(tmpdir(), 'tsvmm-nodes-'));

try {
  const nodes = versions.map(install).filter((path) => path !== undefined);
  for (const node of nodes)
    console.log(`${execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()} ${node}`);
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const { status } = spawnSync(process.execPath, [vitest, 'run', '--project', 'system', 'determinism'], {
    cwd: root,
    env: { ...process.env, TSVMM_NODES: nodes.join(delimiter) },
    stdio: 'inherit',
  });
  process.exitCode = nodes.length < versions.length ? 1 : (status ?? 1);
} finally {
  rmSync(temporary, { recursive: true, force: true });
}

/** The binary of a version, or undefined with a line on stderr. Its preinstall script fetches it. */
function install(version) {
  const directory = join(temporary, version);
  mkdirSync(directory);
  writeFileSync(join(directory, 'package.json'), '{ "private": true }');
  const args = ['install', `node@${version}`, '--foreground-scripts', '--no-audit', '--no-fund'];
  spawnSync('npm', args, {
    cwd: directory,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32',
  });
  const binary = join(directory, 'node_modules/node/bin', process.platform === 'win32' ? 'node.exe' : 'node');
  if (existsSync(binary)) return binary;
  console.error(`node@${version} could not be installed`);
  return undefined;
}
