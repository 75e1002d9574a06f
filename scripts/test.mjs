// `npm test`: every test, unit and system, with the coverage of viommu/ and vmm/vcpu/. The last line counts.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const results = join(root, 'coverage/results.json');
rmSync(results, { force: true });

// With the package's API; the system tests themselves build only the command line again.
const built = node('scripts/build.mjs');
const tested = node(
  'node_modules/vitest/vitest.mjs',
  'run',
  '--coverage',
  '--reporter=default',
  '--reporter=json',
  `--outputFile.json=${results}`,
  ...process.argv.slice(2),
);
const counts = readCounts();
console.log(`\n${counts.text}`);
process.exitCode = built === 0 && tested === 0 && counts.complete ? 0 : 1;

function node(script, ...args) {
  return spawnSync(process.execPath, [join(root, script), ...args], { cwd: root, stdio: 'inherit' }).status;
}

function readCounts() {
  if (!existsSync(results)) return { complete: false, text: 'the tests did not run to their end' };
  const r = JSON.parse(readFileSync(results, 'utf8'));
  const skipped = r.numPendingTests + r.numTodoTests;
  const files = r.testResults.length;
  return {
    complete: r.numPassedTests > 0,
    text: `${files} files: ${r.numPassedTests} passed, ${r.numFailedTests} failed, ${skipped} skipped`,
  };
}
