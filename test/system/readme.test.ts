import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { guideSteps } from '../kit/guide.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** As a user types it. */
const run = spawnSync('npm', ['start'], { cwd: root, encoding: 'utf8' });
const printed = `${run.stdout}\n${run.stderr}`.split('\n');

test('the README shows lines that `npm start` prints, in their order', () => {
  const [shown] = guideSteps(readFileSync(join(root, 'README.md'), 'utf8')).filter(
    (s) => s.kind === 'output',
  );

  let at = -1;
  for (const line of shown!.text.trimEnd().split('\n')) {
    if (line === '...') continue;
    const next = printed.indexOf(line, at + 1);
    expect(next, line).toBeGreaterThan(at);
    at = next;
  }
  expect(run.status).toBe(0);
});

test('what `npm start` says to look inside with works', () => {
  const commands = printed.filter((line) => /^ {2}.*npx tsvmm /.test(line));
  const outputs = commands.map((line) => {
    const command = line.replace('npx tsvmm', `${process.execPath} bin/tsvmm.js`);
    return spawnSync('sh', ['-c', command], { cwd: root, encoding: 'utf8', input: 'info status\n' });
  });

  expect(outputs.map((ran) => ran.status)).toEqual([0, 0, 0]);
  expect(outputs[0]!.stdout).toContain('translates to 0x2005000');
  expect(outputs[1]!.stdout).toContain('VM status: prelaunch');
  expect(outputs[2]!.stderr).toContain('vtd_inv_desc');
});
