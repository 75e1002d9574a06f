import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { vtdPage } from '../../../viommu/vtd/page.ts';

test('docs/vtd.md is what the tables of the model say (else: npm run gen)', () => {
  const page = readFileSync(new URL('../../../docs/vtd.md', import.meta.url), 'utf8');

  expect(page).toBe(vtdPage());
});
