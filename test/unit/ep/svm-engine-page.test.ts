import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { svmEnginePage } from '../../../devices/ep/svm-engine-page.ts';

test('docs/svm-engine.md is what the tables say', () => {
  const page = readFileSync(new URL('../../../docs/svm-engine.md', import.meta.url), 'utf8');

  expect(page).toBe(svmEnginePage());
});
