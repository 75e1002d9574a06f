import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { guideSteps } from '../kit/guide.ts';
import { copyOfCli } from '../kit/run-cli.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const cli = copyOfCli();
const dir = mkdtempSync(join(tmpdir(), 'tsvmm-plugin-'));
afterAll(() => {
  cli.remove();
  rmSync(dir, { recursive: true, force: true });
});

const plugins = join(root, 'test/plugins');
const both = ['--plugin', join(plugins, 'tiny-iommu.mjs'), '--plugin', join(plugins, 'stamp.mjs')];
const machine = [...both, '--viommu', 'tiny', '--device', 'stamp'];
const window = join(plugins, 'window.c');

describe('a device and an IOMMU from outside', () => {
  test('are driven by a C guest', () => {
    const run = cli.run(['run', window, ...machine]);

    expect(run.status).toBe(0);
    expect(run.stdout).toMatch(/^ok 7 - writing 1 clears it\n1\.\.7$/m);
    expect(run.stderr).toMatch(/^iommu: write of 0x1000 by 00:02\.0 refused: fault 1 \(OUTSIDE\)/);
  });

  test('trace and explain as built-in ones do', () => {
    const run = cli.run(['run', window, ...machine, '--json', '--trace', 'tiny_*', '--trace', 'stamp_*']);

    expect(JSON.parse(run.stdout)).toMatchObject({
      verdict: 'passed',
      faults: [
        { iommu: 'iommu', requester: 0x10, address: '0x1000', access: 'write', code: '1', recorded: true },
      ],
    });
    expect(run.stderr.match(/stamp_done/g)).toHaveLength(3);
    expect(run.stderr.match(/tiny_fault bdf=00:02\.0 address=0x1000/g)).toHaveLength(1);
  });

  test('come from a machine description too, with their keys checked', () => {
    const config = cli.run(['run', ...machine, '--dump-config']).stdout;
    writeFileSync(join(dir, 'machine.json'), config);

    expect(JSON.parse(config)).toMatchObject({ viommu: { kind: 'tiny', base: 0xfed80000 } });
    expect(cli.run(['run', window, ...both, '--config', 'machine.json'], { cwd: dir }).status).toBe(0);
    expect(cli.run(['run', window, ...both, '--device', 'stamp,vendr=1'])).toMatchObject({
      status: 2,
      lines: ["tsvmm: --device stamp: there is no key 'vendr'; did you mean 'vendor'?"],
    });
  });

  test('are saved in the middle of the run and go on in a new process', () => {
    const saved = cli.run(['snapshot', 'save', window, ...machine, '--out', join(dir, 'saved'), '--at', '2']);
    const loaded = cli.run(['snapshot', 'load', join(dir, 'saved'), ...both]);

    expect(saved.stderr).toContain('saved');
    expect(loaded.status).toBe(0);
    expect(loaded.stdout).toContain('ok 7 - writing 1 clears it');
  });
});

describe('a bad plugin is refused in one line', () => {
  const device = (rest: string) =>
    `export const plugin = { name: 'x', devices: [{ name: 'thing', summary: '', defaults: {}, schema: (z) => z.strictObject({}), ${rest} }] };`;

  test.each([
    ['no record', 'export const x = 1;', "exports no 'plugin' record"],
    ['an empty record', 'export const plugin = {};', "exports no 'plugin' record"],
    ['a kind without create', device('create: 1'), "exports no 'plugin' record"],
    ['a syntax error', 'export const plugin = {', 'cannot be loaded: '],
    ['an exception', "throw new Error('boom');", 'cannot be loaded: boom'],
    ['an import that does not exist', "import { Nope } from 'tsvmm';", 'cannot be loaded: .*Nope'],
    ['a package that is missing', "import 'no-such-package';", 'cannot be loaded: .*no-such-package'],
    ['a create that throws', device("create() { throw new Error('no'); }"), "create of 'thing' fails: no"],
    [
      'a create that returns nothing',
      device('create() {}'),
      "create of 'thing' fails: it returns no 'device'",
    ],
  ])('%s', (_, text, why) => {
    writeFileSync(join(dir, 'bad.mjs'), text);
    const run = cli.run(['run', window, '--plugin', 'bad.mjs', '--device', 'thing'], { cwd: dir });

    expect(run).toMatchObject({
      status: 2,
      stdout: '',
      lines: [expect.stringMatching(new RegExp(`^tsvmm: bad\\.mjs: ${why}`))],
    });
  });

  test('a kind of a name that exists', () => {
    writeFileSync(join(dir, 'edu.mjs'), device('create() {}').replace("'thing'", "'edu'"));

    expect(cli.run(['run', window, '--plugin', 'edu.mjs'], { cwd: dir })).toMatchObject({
      status: 2,
      lines: ["tsvmm: x: brings a kind 'edu', which exists already; give it another name"],
    });
  });

  test('registers where another device has some', () => {
    const run = cli.run(['run', window, ...both, '--viommu', 'tiny,base=0xfec00000']);

    expect(run).toMatchObject({
      status: 2,
      lines: [expect.stringMatching(/^tsvmm: iommu: claims .* of ioapic/)],
    });
  });
});

describe('docs/guide/plugins.md', () => {
  const steps = guideSteps(readFileSync(join(root, 'docs/guide/plugins.md'), 'utf8'));
  const page = join(dir, 'page');
  mkdirSync(page);

  test('has the code that is tested here', () => {
    const files = steps.filter((step) => step.kind === 'file');

    expect(files.map((file) => file.name)).toEqual(['stamp.mjs', 'tiny-iommu.mjs', 'window.c']);
    for (const { name, text } of files) expect(text).toBe(readFileSync(join(plugins, name), 'utf8'));
  });

  test('works as printed', () => {
    let printed = '';
    for (const step of steps) {
      if (step.kind === 'file') writeFileSync(join(page, step.name), step.text);
      else if (step.kind === 'output') expect(printed).toContain(step.text);
      else {
        const [npx, command, ...args] = step.text.split(' ');
        const run = cli.run(args, { cwd: page });
        printed = run.stdout + run.stderr;
        expect([npx, command, run.status]).toEqual(['npx', 'tsvmm', 0]);
      }
    }
  });
});
