import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { guideSteps } from '../kit/guide.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'tsvmm-guides-'));
afterAll(() => rmSync(scratch, { recursive: true }));

// write-a-driver.md has a test of its own, which compares its output too.
const pages = readdirSync(join(root, 'docs/guide')).filter((name) => name !== 'write-a-driver.md');

describe.each(pages)('docs/guide/%s', (page) => {
  test('each of its commands does what the page says: it succeeds', () => {
    const dir = mkdtempSync(join(scratch, 'page-'));
    const steps = guideSteps(readFileSync(join(root, 'docs/guide', page), 'utf8'));

    for (const step of steps) {
      if (step.kind === 'file') writeFileSync(join(dir, step.name), step.text);
      if (step.kind !== 'command') continue;
      const command = step.text.replaceAll('npx tsvmm', `${process.execPath} ${join(root, 'bin/tsvmm.js')}`);
      // Tests of the repository run there.
      const cwd = command.startsWith('npx vitest') ? root : dir;
      const { status, stderr } = spawnSync('sh', ['-c', command], { cwd, encoding: 'utf8' });
      expect(status, `${step.text}\n${stderr}`).toBe(0);
    }
    expect(steps.some((s) => s.kind === 'command')).toBe(true);
  });
});
