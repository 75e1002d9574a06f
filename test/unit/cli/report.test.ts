import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sampleRun } from '../report/sample-run.ts';
import { tsvmm } from './fake-backend.ts';

const { inside, verdict } = sampleRun();

let dir = '';
let data = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tsvmm-report-'));
  data = join(dir, 'run.json');
  writeFileSync(data, JSON.stringify(sampleRun()));
});
afterAll(() => rmSync(dir, { recursive: true }));

const fresh = (name: string) => {
  const path = join(dir, name);
  rmSync(path, { force: true });
  return path;
};
const dataOf = (page: string) => JSON.parse(/application\/json">(.*?)<\/script>/.exec(page)![1]!);

describe('run --report', () => {
  test('writes a page with the verdict, the console and what the machine saw, and tells the verdict as ever', async () => {
    const page = fresh('a.html');

    const ran = await tsvmm(['run', 'driver.c', '--report', page], {
      console: ['1..1\n', 'ok 1\n'],
      outcome: { inside },
    });

    expect(ran).toMatchObject({ code: 0, stdout: '1..1\nok 1\n' });
    expect(ran.stderr).toContain('tsvmm: passed driver.c');
    expect(ran.requests[0]!.report).toEqual({ globs: [] });
    expect(dataOf(readFileSync(page, 'utf8'))).toMatchObject({
      tsvmmRun: 1,
      verdict: { verdict: 'passed', guest: 'driver.c', console: '1..1\nok 1\n' },
      machine: { machine: 'q35' },
      inside,
    });
  });

  test('to .json leaves the data, of which report makes the same page', async () => {
    const [page, json, again] = [fresh('b.html'), fresh('b.json'), fresh('b2.html')];
    const fake = { console: ['ok 1\n1..1\n'], outcome: { inside } };
    await tsvmm(['run', 'driver.c', '--report', page], fake);
    await tsvmm(['run', 'driver.c', '--report', json], fake);

    const made = await tsvmm(['report', json, '-o', again]);

    expect(made).toMatchObject({ code: 0, stdout: '', stderr: '' });
    expect(readFileSync(again, 'utf8')).toBe(readFileSync(page, 'utf8'));
  });

  test('hands the globs of --trace on', async () => {
    const ran = await tsvmm(['run', 'driver.c', '--report', fresh('c.html'), '--trace', 'pci_*'], {
      outcome: { inside },
    });

    expect(ran.requests[0]!.report).toEqual({ globs: ['pci_*'] });
  });

  test('is refused before the run where no file can be', async () => {
    const folder = join(dir, 'folder');
    mkdirSync(folder);

    const nowhere = await tsvmm(['run', 'driver.c', '--report', join(dir, 'missing/a.html')]);
    const directory = await tsvmm(['run', 'driver.c', '--report', folder]);

    expect([nowhere.code, nowhere.requests.length]).toEqual([2, 0]);
    expect(nowhere.stderr).toMatch(/^tsvmm: .*missing\/a\.html: its directory does not exist; .*\n$/);
    expect([directory.code, directory.requests.length]).toEqual([2, 0]);
    expect(directory.stderr).toMatch(/is a directory/);
  });
});

describe('report', () => {
  test('makes a page of what a run left, and nothing else beside it', async () => {
    const page = fresh('d.html');
    const before = readdirSync(dir);

    const made = await tsvmm(['report', data, '-o', page]);

    expect(made).toMatchObject({ code: 0, stdout: '', stderr: '' });
    expect(dataOf(readFileSync(page, 'utf8'))).toEqual(sampleRun());
    expect(readdirSync(dir).sort()).toEqual([...before, 'd.html'].sort());
  });

  test('writes into what is no file, and through a link', async () => {
    const [target, link] = [fresh('target.html'), fresh('link.html')];
    writeFileSync(target, 'old');
    symlinkSync(target, link);

    const toNull = await tsvmm(['report', data, '-o', '/dev/null']);
    const toLink = await tsvmm(['report', data, '-o', link]);

    expect([toNull.code, toLink.code]).toEqual([0, 0]);
    expect(statSync('/dev/null').isCharacterDevice()).toBe(true);
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(readFileSync(target, 'utf8')).toContain('<!doctype html>');
  });

  test('with --json prints the verdict of that run', async () => {
    const made = await tsvmm(['report', data, '-o', fresh('e.html'), '--json']);

    expect(JSON.parse(made.stdout)).toEqual(verdict);
  });

  test('of a guest runs it', async () => {
    const page = fresh('f.html');

    const ran = await tsvmm(['report', 'driver.c', '-o', page, '--seed', '7'], {
      outcome: { inside, exitStatus: 3 },
    });

    expect(ran.code).toBe(1);
    expect(ran.requests[0]!.config.seed).toBe(7);
    expect(dataOf(readFileSync(page, 'utf8')).verdict).toMatchObject({ verdict: 'failed', exitStatus: 3 });
  });

  test.each([
    ['a file that is not there', undefined, 'there is no such file'],
    ['text', 'hello', 'it is not JSON'],
    ['other JSON', '{"tsvmmRun": 1}', 'is not what a run leaves'],
    ['of another version', '{"tsvmmRun": 99}', 'tsvmmRun'],
    ['an empty file', '', 'it is not JSON'],
    ['null', 'null', 'is not what a run leaves'],
  ])('refuses %s in one line and writes nothing', async (_, text, why) => {
    const [bad, page] = [fresh('bad.json'), fresh('g.html')];
    if (text !== undefined) writeFileSync(bad, text);

    const made = await tsvmm(['report', bad, '-o', page]);

    expect(made.code).toBe(2);
    expect(made.stderr).toMatch(/^tsvmm: [^\n]*bad\.json: [^\n]*\n$/);
    expect(made.stderr).toContain(why);
    expect(existsSync(page)).toBe(false);
  });

  test.each([
    ['--seed', ['--seed', '2']],
    ['--trace', ['--trace', '*']],
    ['ARGS', ['--', 'x']],
  ])('refuses %s beside what a run left', async (object, args) => {
    const made = await tsvmm(['report', data, '-o', fresh('h.html'), ...args]);

    expect(made.code).toBe(2);
    expect(made.stderr).toContain(`tsvmm: ${object}: is for a run`);
  });

  test('without a guest says so', async () => {
    const made = await tsvmm(['report', '-o', fresh('i.html')]);

    expect(made.code).toBe(2);
    expect(made.stderr).toContain('tsvmm report: needs a guest');
  });
});

describe('--trace-format', () => {
  test('chrome needs a file, and any format needs something to trace', async () => {
    const noFile = await tsvmm(['run', 'a.c', '--trace', '*', '--trace-format', 'chrome']);
    const noTrace = await tsvmm(['run', 'a.c', '--trace-format', 'chrome']);

    expect([noFile.code, noFile.stderr]).toEqual([
      2,
      'tsvmm: --trace-format chrome: is for a file; add --trace-file trace.json\n',
    ]);
    expect([noTrace.code, noTrace.stderr]).toEqual([
      2,
      "tsvmm: --trace-format: nothing is traced; add --trace '*'\n",
    ]);
  });

  test('chrome writes one JSON object, whatever the name of the file', async () => {
    const file = fresh('trace.txt');

    await tsvmm(['run', 'a.c', '--trace', '*', '--trace-format', 'chrome', '--trace-file', file]);

    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({
      displayTimeUnit: 'ns',
      otherData: { clock: 'virtual time', droppedEvents: 0 },
      traceEvents: [],
    });
  });

  test('a run that is refused leaves no trace file', async () => {
    const file = fresh('none.json');

    await tsvmm(['run', 'a.c', '--trace', '*', '--trace-format', 'chrome', '--trace-file', file], {
      throws: new Error('x'),
    });

    expect(existsSync(file)).toBe(false);
  });
});
