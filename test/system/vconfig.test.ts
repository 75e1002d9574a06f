import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { lspciText } from '../../devices/vconfig/render.ts';
import { buildSpace, REAL } from '../kit/config-spaces.ts';
import { describeWithTool } from '../kit/outside-tool.ts';
import { type Cli, copyOfCli } from '../kit/run-cli.ts';

const scratch = mkdtempSync(join(tmpdir(), 'tsvmm-vconfig-'));
let cli: Cli;
beforeAll(() => {
  cli = copyOfCli();
  for (const [name, device] of Object.entries(REAL)) {
    const { name: slot, title, bytes } = buildSpace(device);
    writeFileSync(join(scratch, name), lspciText(slot, title, bytes));
  }
});
afterAll(() => {
  cli.remove();
  rmSync(scratch, { recursive: true });
});
const run = (...args: readonly string[]) => cli.run(['vconfig', ...args], { cwd: scratch });

describe('a fleet of unlike vendors', () => {
  test('is planned, checked, shown and compared', () => {
    const planned = run('plan', 'dsa', 'fiji', '-o', 'plan.json');
    const checked = run('check', 'plan.json', 'dsa', 'fiji', '--json');
    const shown = run('show', '--plan', 'plan.json', 'fiji', '--json');

    expect([planned.status, planned.stderr]).toEqual([0, '']);
    expect(planned.stdout).toContain('09:00.0 1002:7300\n  loses vendor: dsa:6a:01.0 does not have it\n');
    expect(JSON.parse(checked.stdout)).toMatchObject({
      fits: true,
      devices: [{ device: 'dsa:6a:01.0', fits: true }, { fits: true }],
    });
    expect(JSON.parse(shown.stdout).spaces[0].capabilities.map((one: { key: string }) => one.key)).toEqual([
      'pcie',
      'pm',
      'aer',
      'ats',
      'pasid',
      'pri',
    ]);
    expect(run('diff', 'plan.json', 'plan.json')).toMatchObject({ status: 0, stdout: '' });
  });

  test('a device that does not fit ends with 1, and says why', () => {
    run('plan', 'dsa', '-o', 'dsa.json');
    const { status, stdout } = run('check', 'dsa.json', 'fiji');

    expect(status).toBe(1);
    expect(stdout).toContain('fiji:09:00.0: does not fit\n');
    expect(stdout).toContain('  pasid: the plan has PASIDs of 20 bits, the device of 16\n');
  });

  test('registers in the way of each other end with 1, and are named', () => {
    writeFileSync(join(scratch, 'quirks'), '8086:0b25 100-7ff # low\n1002:7300 800-fff # high\n');
    const { status, stderr } = run('plan', 'dsa', 'fiji', '--want', 'pasid', '--vconfig-quirks', 'quirks');

    expect([status, stderr.split('\n').slice(2, -1)]).toEqual([
      1,
      [
        '  dsa:6a:01.0 8086:0b25 has registers at 100-7ff (quirk list)',
        '  fiji:09:00.0 1002:7300 has registers at 800-fff (quirk list)',
      ],
    ]);
  });
});

test.each([
  ['no dump', ['plan'], 2, "tsvmm: tsvmm vconfig plan: needs DUMP; see 'tsvmm help vconfig plan'"],
  ['a dump that is not there', ['plan', 'nothing'], 2, 'tsvmm: nothing: there is no such file'],
  [
    'an unknown wish',
    ['plan', 'dsa', '--want', 'pasit'],
    2,
    "tsvmm: --want: there is no 'pasit'; did you mean 'pasid'?",
  ],
  ['a dump as a plan', ['check', 'dsa', 'dsa'], 2, 'tsvmm: dsa: is no JSON: '],
  [
    'a device that no dump has',
    ['show', 'dsa', '--device', '6a:01.1'],
    2,
    "tsvmm: --device: no dump has a device 6a:01.1; did you mean '6a:01.0'?",
  ],
  [
    'nothing to show',
    ['show'],
    2,
    'tsvmm: tsvmm vconfig show: has nothing to show; give a DUMP, or --plan PLAN, or both',
  ],
  [
    'a base plan with another policy',
    ['plan', 'dsa', '--base', 'plan.json', '--want', 'pasid'],
    2,
    'tsvmm: --want: does not go with --base: the plan keeps the policy it was made with; leave out one of them',
  ],
  [
    'a plan with a view',
    ['show', '--plan', 'plan.json', 'dsa', '--view', 'vfio'],
    2,
    'tsvmm: --view: does not go with --plan: a plan is a view of its own',
  ],
  [
    'JSON with a format',
    ['show', 'dsa', '--json', '--format', 'map'],
    2,
    'tsvmm: --format: does not go with --json',
  ],
  [
    'a plan alone with a device',
    ['show', '--plan', 'plan.json', '--device', '6a:01.0'],
    2,
    'tsvmm: --device: does not go with --plan: without a dump there is no device',
  ],
  [
    'a plan and a dump to compare',
    ['diff', 'plan.json', 'dsa'],
    2,
    'tsvmm: dsa: is not of the same sort as plan.json; give two plans, or two dumps',
  ],
])('%s is one line', (_, args, status, message) => {
  run('plan', 'dsa', '-o', 'plan.json');
  const result = run(...args);

  expect([result.status, result.lines.length]).toEqual([status, 1]);
  expect(result.lines[0]).toContain(message);
});

test('a plan that was tampered with is refused, and the file stays', () => {
  run('plan', 'dsa', '-o', 'plan.json');
  const plan = JSON.parse(readFileSync(join(scratch, 'plan.json'), 'utf8'));
  const tampered = (change: object) => {
    writeFileSync(join(scratch, 'bad.json'), JSON.stringify({ ...plan, ...change }));
    return run('check', 'bad.json', 'dsa').lines;
  };
  const [first, ...rest] = plan.capabilities;

  expect(tampered({ version: 2 })).toEqual([
    "tsvmm: bad.json at version: invalid input: expected 1; see 'tsvmm schema vconfig-plan'",
  ]);
  expect(tampered({ capabilities: [{ ...first, offset: rest[0].offset }, ...rest] })).toEqual([
    `tsvmm: bad.json: ${first.key} and ${rest[0].key} overlap`,
  ]);
  expect(tampered({ extra: 1 })[0]).toContain('tsvmm: bad.json: unrecognized key');
});

describeWithTool('lspci', 'real lspci reads what tsvmm writes', (lspci, toolTest) => {
  const decode = (file: string) => {
    const { stdout, stderr } = spawnSync(lspci, ['-F', file, '-vvv'], { cwd: scratch, encoding: 'utf8' });
    return { text: stdout, errors: stderr.replace(/^lspci: Unable to load libkmod.*\n/m, '') };
  };

  toolTest('every synthesised space decodes without error, with the capabilities of the plan', () => {
    for (const name of Object.keys(REAL)) {
      if (name === 'broken') continue;
      run('plan', name, '-o', 'one.json');
      writeFileSync(
        join(scratch, 'virtual'),
        run('show', '--plan', 'one.json', name, '--format', 'lspci').stdout,
      );
      const { text, errors } = decode('virtual');
      const plan = JSON.parse(readFileSync(join(scratch, 'one.json'), 'utf8')) as {
        capabilities: { offset: number; chain: string; version: number }[];
      };
      const found = [...text.matchAll(/Capabilities: \[([0-9a-f]+)/g)].map((match) =>
        Number.parseInt(match[1] as string, 16),
      );

      expect([name, errors, found]).toEqual([name, '', plan.capabilities.map(({ offset }) => offset)]);
      expect(text).not.toMatch(/<chain (broken|looped)>|unknown capability/i);
    }
  });

  toolTest("PASID, ATS and PRI are decoded with the plan's values", () => {
    run('plan', 'dsa', '-o', 'one.json');
    writeFileSync(
      join(scratch, 'virtual'),
      run('show', '--plan', 'one.json', 'dsa', '--format', 'lspci').stdout,
    );

    expect(decode('virtual').text).toMatch(
      /PASIDCap: Exec- Priv\+, Max PASID Width: 14\n\s+PASIDCtl: Enable- Exec- Priv-/,
    );
  });
});
