import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { describeHost } from '../../../../vmm/host/model/host.ts';
import { parseHost } from '../../../../vmm/host/model/parse.ts';
import { builtinRegistry } from '../../../../vmm/machine/builtin.ts';

const registry = builtinRegistry();
const kinds = (name: string, source: string) => registry.pci(name, source);
const DIRECTORY = 'vmm/host/hosts';

const load = (name: string) => {
  const file = `${DIRECTORY}/${name}.json`;
  return describeHost(parseHost(z, kinds, JSON.parse(readFileSync(file, 'utf8')), file), file, kinds);
};

describe('every host that ships', () => {
  const names = readdirSync(DIRECTORY).map((file) => file.replace(/\.json$/, ''));

  test('there are at least six', () => {
    expect(names.length).toBeGreaterThanOrEqual(6);
  });

  test.each(names)('%s is read, and called as its file', (name) => {
    expect(load(name).file.name).toBe(name);
  });
});
