import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { guideSteps } from '../kit/guide.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

test('the README shows lines that `npm start` prints, in their order', () => {
  const [shown] = guideSteps(readFileSync(join(root, 'README.md'), 'utf8')).filter(
    (s) => s.kind === 'output',
  );
  const run = spawnSync(process.execPath, [join(root, 'bin/tsvmm.js'), 'run', '--example', 'edu'], {
    cwd: root,
    encoding: 'utf8',
  });
  const printed = `${run.stdout}\n${run.stderr}`.split('\n');

  let at = -1;
  for (const line of shown!.text.trimEnd().split('\n')) {
    if (line === '...') continue;
    const next = printed.indexOf(line, at + 1);
    expect(next, line).toBeGreaterThan(at);
    at = next;
  }
  expect(run.status).toBe(0);
});
