import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { dsaPage } from '../../../devices/ep/dsa/page.ts';

test('docs/dsa.md is what the tables say', () => {
  const page = readFileSync(new URL('../../../docs/dsa.md', import.meta.url), 'utf8');

  expect(page).toBe(dsaPage());
});
