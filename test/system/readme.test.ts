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

const excerpts = guideSteps(readFileSync(join(root, 'README.md'), 'utf8')).filter((s) => s.kind === 'output');

/** Where the lines of an excerpt stand in what was printed, in their order; -1 for one that is not there. */
function places(excerpt: string, lines: readonly string[]): number[] {
  let at = -1;
  return excerpt
    .trimEnd()
    .split('\n')
    .filter((line) => line !== '...')
    .map((line) => {
      at = lines.indexOf(line, at + 1);
      return at;
    });
}

test('the README shows lines that `npm start` prints, in their order', () => {
  expect(run.status).toBe(0);
  expect(places(excerpts[0]!.text, printed)).not.toContain(-1);
});

test('the README shows how the edu example explains its faults', () => {
  const edu = spawnSync(process.execPath, ['bin/tsvmm.js', 'run', '--example', 'edu'], {
    cwd: root,
    encoding: 'utf8',
  });

  expect(places(excerpts[1]!.text, edu.stderr.split('\n'))).not.toContain(-1);
});

test('what `npm start` says to look inside with works', () => {
  const commands = printed.filter((line) => /^ {2}.*npx tsvmm /.test(line));
  const outputs = commands.map((line) => {
    const command = line.replace('npx tsvmm', `${process.execPath} bin/tsvmm.js`);
    return spawnSync('sh', ['-c', command], { cwd: root, encoding: 'utf8', input: 'info status\n' });
  });

  expect(outputs.map((ran) => ran.status)).toEqual([0, 0, 0]);
  expect(outputs[0]!.stdout).toContain('translates to 0xc34000');
  expect(outputs[1]!.stdout).toContain('VM status: prelaunch');
  expect(outputs[2]!.stderr).toContain('pasid_table_write');
});
