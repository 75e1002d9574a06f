import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { renderProject } from '../../../guest/template/render.ts';
import { guideSteps } from '../../kit/guide.ts';

const page = readFileSync(new URL('../../../docs/guide/write-a-driver.md', import.meta.url), 'utf8');

test('the whole driver of the page is the one that tsvmm new makes', () => {
  const driver = guideSteps(page).find((step) => step.kind === 'file' && step.name === 'driver.c');

  expect(driver?.text).toBe(renderProject('driver', 'intel').find((file) => file.path === 'driver.c')?.text);
});

test('every file of the page is run by a later command of it', () => {
  const steps = guideSteps(page);

  for (const [i, step] of steps.entries()) {
    if (step.kind !== 'file') continue;
    const later = steps.slice(i + 1).filter((s) => s.kind === 'command');
    expect(later.some((s) => s.text.startsWith(`npx tsvmm run ${step.name}`))).toBe(true);
  }
});

test('the programs of the page come in the order of its sections', () => {
  expect(
    guideSteps(page)
      .filter((step) => step.kind === 'file')
      .map((step) => step.name),
  ).toEqual(['hello.c', 'registers.c', 'factorial.c', 'driver.c', 'both.c']);
});
