import { spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { infoSchema, verdictSchema } from '../../vmm/cli/schemas.ts';
import { describeWithTool } from '../kit/outside-tool.ts';

const BIN = resolve('bin/tsvmm.js');
let dir = '';

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tsvmm-system-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function tsvmm(...args: string[]) {
  return spawnSync(process.execPath, [BIN, ...args], { cwd: dir, encoding: 'utf8' });
}

function shell(command: string) {
  return spawnSync('sh', ['-c', command], {
    cwd: dir,
    encoding: 'utf8',
    env: { ...process.env, BIN, NODE: process.execPath },
  });
}

function source(name: string, text: string): string {
  writeFileSync(join(dir, name), text);
  return name;
}

describe('the built command line', () => {
  test('a packaged example passes', () => {
    const ran = tsvmm('run', '--example', 'hello');

    expect(ran.status).toBe(0);
    expect(ran.stdout).toMatch(/^ok 1 /m);
    expect(ran.stderr).toMatch(/^tsvmm: passed hello\.wasm: tests: 1 passed; /m);
  });

  test('the flagship guest passes and its deliberate faults are explained', () => {
    const ran = tsvmm('run', '--example', 'edu');

    expect(ran.status).toBe(0);
    expect(ran.stderr).toContain('refused: fault 05h (LGN.2)');
  });

  test('--json of a real run follows the schema', () => {
    const ran = tsvmm('run', '--example', 'edu', '--json');

    expect(ran.stderr).toBe('');
    expect(z.parse(verdictSchema(z), JSON.parse(ran.stdout)).verdict).toBe('passed');
  });

  test('info --json of every topic follows the schema', () => {
    for (const topic of [
      'pci',
      'mtree',
      'iommu',
      'irq',
      'limits',
      'trace',
      'devices',
      'abi',
      'registers',
      'config',
    ]) {
      const ran = tsvmm('info', topic, '--json');
      const { views } = z.parse(infoSchema(z), JSON.parse(ran.stdout));
      expect(views.length, topic).toBeGreaterThan(0);
    }
  });

  test('a C file that knows nothing of tsvmm runs, its exit status is the verdict', () => {
    const file = source(
      'plain.c',
      '#include <stdio.h>\nint main(int c, char **v) { printf("%d %s\\n", c, v[1]); return 3; }\n',
    );
    const ran = tsvmm('run', file, '--', 'x y');

    expect(ran).toMatchObject({ status: 1, stdout: '2 x y\n' });
    expect(ran.stderr).toContain('tsvmm: failed plain.c: exit status 3');
  });

  test('a trace is the same byte for byte in two processes, as text and as ndjson', () => {
    for (const name of ['a.ndjson', 'b.ndjson', 'a.txt', 'b.txt']) {
      expect(tsvmm('run', '--example', 'edu', '-q', '--trace', 'vtd_*', '--trace-file', name).status).toBe(0);
    }
    const read = (name: string) => readFileSync(join(dir, name), 'utf8');

    expect(read('b.ndjson')).toBe(read('a.ndjson'));
    expect(read('b.txt')).toBe(read('a.txt'));
    expect(JSON.parse(read('a.ndjson').split('\n')[0]!)).toHaveProperty('event');
  });

  test('tsvmm new makes a project that passes at once', () => {
    expect(tsvmm('new', 'my-driver', '--viommu', 'intel').status).toBe(0);
    expect(tsvmm('new', 'my-driver').status).toBe(2);
    expect(tsvmm('run', 'my-driver/driver.c', '--config', 'my-driver/tsvmm.json')).toMatchObject({
      status: 0,
    });
  });

  test('a saved guest goes on in another process to the same end', () => {
    const whole = tsvmm('run', '--example', 'edu');
    const before = tsvmm('snapshot', 'save', '--example', 'edu', '--at', '2', '--out', 'snap');
    const after = tsvmm('snapshot', 'load', 'snap');

    expect([before.status, after.status]).toEqual([0, 0]);
    expect(before.stdout + after.stdout).toBe(whole.stdout);
    expect(tsvmm('snapshot', 'diff', 'snap', 'snap')).toMatchObject({ status: 0, stdout: '' });
  });

  test('a plugin from outside brings a device', () => {
    const file = source(
      'plugin.mjs',
      `export const plugin = { name: 'p', devices: [{
      name: 'nothing', summary: 'does nothing', defaults: { size: 1 },
      schema: (z) => z.strictObject({ size: z.number() }), create: () => { throw new Error('not built here'); } }] };`,
    );

    expect(tsvmm('run', '--plugin', file, '--device', 'help').stdout).toContain('nothing');
    expect(tsvmm('schema', 'machine', '--plugin', file).stdout).toContain('"nothing"');
  });
});

describe('what goes wrong is one clear line and the right exit code', () => {
  test.each([
    ['a missing file', () => ['run', 'nowhere.c'], 2, /^tsvmm: nowhere\.c: there is no such file; .*\n$/],
    [
      'no module',
      () => ['run', source('bad.wasm', 'text')],
      2,
      /^tsvmm: bad\.wasm: is not a WebAssembly module; .*\n$/,
    ],
    [
      'a wrong import',
      () => ['run', source('i.wat', '(module (import "env" "f" (func)) (memory 1) (func (export "main")))')],
      2,
      /^tsvmm: .*'env\.f'.*\n$/,
    ],
    [
      'text that is no WAT',
      () => ['run', source('t.wat', '(module\n(fun))')],
      2,
      /^tsvmm: t\.wat: line 2:2: .*\n$/,
    ],
    [
      'an unknown trace event',
      () => ['run', '--example', 'hello', '--trace', 'vtd_qqqqqq*'],
      2,
      /^tsvmm: --trace vtd_qqqqqq\*: .*\n$/,
    ],
    [
      'no directory for the trace',
      () => ['run', '--example', 'hello', '--trace', '*', '--trace-file', 'no/x.txt'],
      2,
      /^tsvmm: no\/x\.txt: its directory does not exist; .*\n$/,
    ],
    [
      'overlapping claims',
      () => ['run', '--example', 'hello', '--device', 'edu,addr=03', '--device', 'edu,addr=03'],
      2,
      /^tsvmm: .*\n$/,
    ],
  ] as const)('%s', (_, args, status, stderr) => {
    const ran = tsvmm(...args());

    expect(ran).toMatchObject({ status, stdout: '' });
    expect(ran.stderr).toMatch(stderr);
  });

  test('a compile error reaches the user as the compiler wrote it', () => {
    const ran = tsvmm('run', source('broken.c', 'int main(void) { return x; }\n'));

    expect(ran.status).toBe(2);
    expect(ran.stderr).toContain("broken.c:1:25: error: use of undeclared identifier 'x'");
    expect(ran.stderr).toMatch(/\ntsvmm: broken\.c: the guest does not compile\n$/);
  });

  test('a guest that loops for ever is stopped by --fuel and by --timeout', () => {
    const file = source('loop.c', 'int main(void) { for (volatile int i = 0;; i++) {} }\n');

    expect(tsvmm('run', file, '--fuel', '1M')).toMatchObject({ status: 4 });
    expect(tsvmm('run', file, '--timeout', '1ms')).toMatchObject({ status: 4 });
  });

  test('a full disk under stdout and under the trace', () => {
    expect(tsvmm('run', '--example', 'hello').status).toBe(0);
    const out = shell('"$NODE" "$BIN" run --example hello >/dev/full');
    const trace = tsvmm('run', '--example', 'edu', '--trace', '*', '--trace-file', '/dev/full', '-q');

    expect(out).toMatchObject({ status: 3, stderr: 'tsvmm: stdout: the disk is full; make room\n' });
    expect(trace).toMatchObject({ status: 3, stderr: 'tsvmm: /dev/full: the disk is full; make room\n' });
  });

  test('a reader that stops reading ends the run without a message', () => {
    const file = source('chatty.c', '#include <stdio.h>\nint main(void) { for (;;) puts("line"); }\n');
    const ran = shell(`("$NODE" "$BIN" run ${file}; echo "status $?" >&2) | head -1`);

    expect(ran).toMatchObject({ stdout: 'line\n', stderr: 'status 3\n' });
  });
});

test('the packed package works on its own, started through a link as npm makes it', () => {
  const packed = spawnSync('npm', ['pack', '--ignore-scripts', '--pack-destination', dir], {
    encoding: 'utf8',
  });
  expect(packed.status).toBe(0);
  const tarball = readdirSync(dir).find((name) => name.endsWith('.tgz'))!;
  const modules = join(dir, 'app', 'node_modules');
  mkdirSync(modules, { recursive: true });
  for (const name of readdirSync('node_modules')) {
    if (!name.startsWith('.')) symlinkSync(resolve('node_modules', name), join(modules, name));
  }
  expect(spawnSync('tar', ['xzf', join(dir, tarball), '-C', modules]).status).toBe(0);
  symlinkSync(join(modules, 'package', 'bin', 'tsvmm.js'), join(dir, 'tsvmm'));
  symlinkSync(join(modules, 'package'), join(modules, 'tsvmm'));
  source(
    'app/driver.c',
    '#include <tsvmm.h>\nint main(void) { report(1, "works"); return report_summary(0); }\n',
  );

  expect(shell('./tsvmm run --example hello')).toMatchObject({ status: 0 });
  expect(shell('./tsvmm run app/driver.c')).toMatchObject({ status: 0 });
});

describeWithTool('bash', 'the bash completion', (bash, toolTest) => {
  toolTest('offers options after a dash and commands before', () => {
    const complete = (words: string[]) =>
      spawnSync(
        bash,
        [
          '-c',
          `source <("$NODE" "$BIN" completion bash); COMP_WORDS=(${words.join(' ')}); COMP_CWORD=${words.length - 1}; _tsvmm; echo "\${COMPREPLY[*]}"`,
        ],
        { encoding: 'utf8', env: { ...process.env, BIN, NODE: process.execPath } },
      ).stdout.trim();

    expect(complete(['tsvmm', 'sn'])).toBe('snapshot');
    expect(complete(['tsvmm', 'snapshot', 'sa'])).toBe('save');
    expect(complete(['tsvmm', 'run', '--vio'])).toBe('--viommu');
    expect(complete(['tsvmm', 'run', '--firmware', 'r'])).toBe('raw');
  });
});
