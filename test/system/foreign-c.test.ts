import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { runC } from '../kit/run-c.ts';
import { copyOfCli } from '../kit/run-cli.ts';

const source = 'test/guests/foreign.c';
const cli = copyOfCli();
const dir = mkdtempSync(join(tmpdir(), 'tsvmm-foreign-'));
afterAll(() => {
  cli.remove();
  rmSync(dir, { recursive: true, force: true });
});

const EXPECTED = `args: 3 [one] [two words]
env: COLOUR=blue MISSING=not there
file: 20 + 22 = 42
heap: x, 0.333, 1099511627776
vtd: version 1.0
edu: 010000ed, liveness edcba987
edu: 10! = 3628800
`;

test('the source includes nothing of tsvmm', () => {
  const text = readFileSync(fileURLToPath(new URL(`../../${source}`, import.meta.url)), 'utf8');

  expect(text.match(/#include.*/g)).toEqual([
    '#include <stdint.h>',
    '#include <stdio.h>',
    '#include <stdlib.h>',
    '#include <string.h>',
  ]);
});

test('a C program with stdio and pointers runs from the command line, with arguments, environment and a file', () => {
  writeFileSync(join(dir, 'numbers'), '20 22\n');
  const options = ['--env', 'COLOUR=blue', '--file', `/data/numbers.txt=${join(dir, 'numbers')}`];

  const run = cli.run(['run', source, ...options, '--', 'one', 'two words']);

  expect(run.status).toBe(0);
  expect(run.stdout).toBe(`${EXPECTED}and stderr\n`);
  expect(run.stderr).toMatch(/^tsvmm: passed foreign\.c: /);
});

test('its exit status decides', () => {
  const run = cli.run(['run', source, '--', '1', '2', '3']);

  expect(run.status).toBe(1);
  expect(run.stdout).toContain('no file\n');
  expect(run.stderr).toMatch(/^tsvmm: failed foreign\.c: exit status 7/);
});

test('in this process, with its file as bytes', async () => {
  const files = new Map([['/data/numbers.txt', Buffer.from('1 2')]]);

  const run = await runC(source, { files, env: { COLOUR: 'red' } });

  expect(run.end).toEqual({ kind: 'exit', status: 0 });
  expect(run.console).toContain('file: 1 + 2 = 3\n');
});
