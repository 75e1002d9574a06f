// Runs the determinism test with other versions of Node beside the one that runs it:
//
//   node scripts/with-nodes.mjs [22 24 26]
//   TSVMM_NODES="$(node scripts/with-nodes.mjs --install DIR)" npm test
//
// The npm package `node` brings them into a directory; the second form leaves them there and prints their paths.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const arguments_ = process.argv.slice(2);
const kept = arguments_[0] === '--install' ? arguments_[1] : undefined;
const named = kept === undefined ? arguments_ : arguments_.slice(2);
const versions = named.length > 0 ? named : ['22', '24', '26'];

if (kept === undefined) runTest();
else {
  const nodes = installAll(kept);
  console.log(nodes.join(delimiter));
  process.exitCode = nodes.length < versions.length ? 1 : 0;
}

function runTest() {
  const temporary = mkdtempSync(join(tmpdir(), 'tsvmm-nodes-'));
  try {
    const nodes = installAll(temporary);
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
}

function installAll(directory) {
  return versions.map((version) => install(directory, version)).filter((path) => path !== undefined);
}

/** The binary of a version, or undefined with a line on stderr. Its preinstall script fetches it. */
function install(parent, version) {
  const directory = join(parent, version);
  const binary = join(directory, 'node_modules/node/bin', process.platform === 'win32' ? 'node.exe' : 'node');
  if (existsSync(binary)) return binary;
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'package.json'), '{ "private": true }');
  const args = ['install', `node@${version}`, '--foreground-scripts', '--no-audit', '--no-fund'];
  spawnSync('npm', args, {
    cwd: directory,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32',
  });
  if (existsSync(binary)) return binary;
  console.error(`node@${version} could not be installed`);
  return undefined;
}
