import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import {
  errorSchema,
  infoSchema,
  snapshotDiffSchema,
  verdictSchema,
  versionSchema,
} from '../../../vmm/cli/schemas.ts';
import { EXIT, TsvmmError } from '../../../vmm/core/errors.ts';
import { tsvmm } from './fake-backend.ts';

const FAULT = {
  iommu: 'iommu',
  requester: 0x10,
  pasid: -1,
  address: '0x1000',
  access: 'write',
  code: '05h',
  name: 'LGN.2',
  why: 'W=0',
  steps: [],
  recorded: true,
} as const;

let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tsvmm-cli-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

describe('what goes where', () => {
  test('the console is stdout byte for byte, the verdict is one line on stderr', async () => {
    const ran = await tsvmm(['run', 'driver.c'], { console: ['1..1\n', 'ok 1\n'] });

    expect(ran).toMatchObject({ code: 0, stdout: '1..1\nok 1\n' });
    expect(ran.stderr).toBe(
      'tsvmm: passed driver.c: tests: 1 passed; 1.50 us of virtual time, 1200 instructions\n',
    );
  });

  test('--quiet leaves nothing on stderr', async () => {
    expect(await tsvmm(['run', 'driver.c', '-q'])).toMatchObject({ code: 0, stdout: '', stderr: '' });
  });

  test('progress is shown and taken away on a terminal only', async () => {
    const onTerminal = await tsvmm(['run', 'driver.c'], { interactive: true });
    const inPipe = await tsvmm(['run', 'driver.c']);

    expect(onTerminal.stderr).toContain('\r\x1b[Kcompiling driver.c\r\x1b[K');
    expect(inPipe.stderr).not.toContain('\x1b');
  });

  test('colour is used when the host wants it', async () => {
    expect((await tsvmm(['run', 'driver.c'], { color: true })).stderr).toContain('\x1b[32mpassed\x1b[0m');
  });

  test('a DMA fault explains itself on stderr', async () => {
    const ran = await tsvmm(['run', 'driver.c'], { outcome: { faults: [FAULT] } });

    expect(ran.stderr).toContain('iommu: write of 0x1000 by 00:02.0 refused: fault 05h (LGN.2)');
  });

  test('of many faults the first are explained and the others counted', async () => {
    const ran = await tsvmm(['run', 'driver.c'], {
      outcome: { faults: Array.from({ length: 25 }, () => FAULT) },
    });

    expect(ran.stderr.match(/refused/g)).toHaveLength(20);
    expect(ran.stderr).toContain('tsvmm: 5 more DMA faults are not shown; --json lists them');
  });

  test('a reader that has gone is no bug and gets no message', async () => {
    const ran = await tsvmm(['run', 'driver.c'], { console: ['text'], closed: true });

    expect(ran).toMatchObject({ code: EXIT.hostRefused, stderr: '' });
  });
});

describe('verdict and exit code', () => {
  test.each([
    ['exit status 0 without TAP', {}, 0, 'passed'],
    ['exit status 3', { outcome: { exitStatus: 3 } }, 1, 'failed driver.c: exit status 3'],
    ['a test failed', { console: ['1..1\nnot ok 1 - irq\n'] }, 1, 'failed driver.c: 1 test failed (1 irq)'],
    ['a test is missing', { console: ['1..2\nok 1\n'] }, 1, 'failed driver.c: 2 tests planned, 1 run'],
    [
      'a crash',
      { outcome: { end: 'crashed', reason: 'bad store', report: 'REPORT' } },
      1,
      'REPORT\ntsvmm: crashed driver.c: bad store',
    ],
    ['a hang', { outcome: { end: 'hung', reason: 'out of fuel' } }, 4, 'hung driver.c: out of fuel'],
  ] as const)('%s', async (_, fake, code, text) => {
    const ran = await tsvmm(['run', 'driver.c'], fake);

    expect(ran.code).toBe(code);
    expect(ran.stderr).toContain(text);
  });

  test('a refusal is one line and its own exit code', async () => {
    const throws = new TsvmmError({
      code: 'x',
      object: 'disk',
      why: 'is full',
      mend: 'make room',
      exit: EXIT.hostRefused,
    });

    expect(await tsvmm(['run', 'driver.c'], { throws })).toMatchObject({
      code: 3,
      stdout: '',
      stderr: 'tsvmm: disk: is full; make room\n',
    });
  });

  test('anything else is a bug with its stack', async () => {
    const ran = await tsvmm(['run', 'driver.c'], { throws: new RangeError('broken') });

    expect(ran.code).toBe(70);
    expect(ran.stderr).toMatch(
      /^tsvmm: internal error; this is a bug in tsvmm, please report it.*\nRangeError: broken\n\s+at /,
    );
  });
});

describe('--json is one object that follows its schema', () => {
  test('of a run, with the console inside', async () => {
    const ran = await tsvmm(['run', 'driver.c', '--json'], {
      console: ['ok 1\n', '1..1\n'],
      outcome: { faults: [FAULT] },
    });

    const verdict = z.parse(verdictSchema(z), JSON.parse(ran.stdout));
    expect(verdict).toMatchObject({
      verdict: 'passed',
      exitCode: 0,
      console: 'ok 1\n1..1\n',
      tap: { passed: 1 },
    });
    expect(ran.stderr).toBe('');
  });

  test('of a crash and of a refused command line', async () => {
    const outcome = { end: 'crashed', reason: 'bad store', report: 'REPORT' } as const;
    const crash = await tsvmm(['run', 'driver.c', '--json'], { outcome });
    const refused = await tsvmm(['run', '--json', '--sed', '1']);

    expect(z.parse(verdictSchema(z), JSON.parse(crash.stdout)).exitStatus).toBe(null);
    expect(z.parse(errorSchema(z), JSON.parse(refused.stdout)).error.code).toBe('unknown-option');
  });

  test('of info, snapshot diff and version', async () => {
    const info = await tsvmm(['info', 'pci', '--json']);
    const diff = await tsvmm(['snapshot', 'diff', 'a', 'b', '--json']);
    const version = await tsvmm(['version', '--json']);

    expect(z.parse(infoSchema(z), JSON.parse(info.stdout)).topic).toBe('pci');
    expect(z.parse(snapshotDiffSchema(z), JSON.parse(diff.stdout)).same).toBe(false);
    expect(diff.code).toBe(1);
    expect(z.parse(versionSchema(z), JSON.parse(version.stdout)).node).toBe(process.versions.node);
  });
});

describe('the request that a command line makes', () => {
  test('guest arguments, environment, files and limits', async () => {
    const host = join(dir, 'input.txt');
    writeFileSync(host, 'hello');
    const ran = await tsvmm([
      ...[
        'run',
        'dir/driver.c',
        '--env',
        'A=b=c',
        '--file',
        `/in=${host}`,
        '--fuel',
        '5k',
        '--timeout',
        '2s',
      ],
      ...['--cc', 'clang', '--', '-v'],
    ]);

    expect(ran.requests[0]).toMatchObject({
      guest: { file: 'dir/driver.c', cc: 'clang', args: ['driver.c', '-v'], env: { A: 'b=c' } },
      limits: { fuel: 5000, timeoutNs: 2_000_000_000 },
    });
    expect(ran.requests[0]?.guest.files.get('/in')).toEqual(readFileSync(host));
  });

  test('machine options make the machine', async () => {
    const ran = await tsvmm([
      ...['run', 'a.c', '-m', '64M', '--seed', '7', '--firmware', 'raw', '--viommu', 'none'],
      ...['--device', 'edu,dma_mask=0xffffffff,id=e', '--device', 'iommu-testdev,addr=05.0'],
    ]);

    expect(ran.requests[0]?.config).toMatchObject({
      memory: 67108864,
      seed: 7,
      firmware: 'raw',
      viommu: null,
      devices: [
        { kind: 'edu', id: 'e', options: { dma_mask: 0xffffffff } },
        { kind: 'iommu-testdev', id: 'iommu-testdev0', addr: '05.0' },
      ],
    });
  });

  test('--dump-config prints what --config reads to the same machine', async () => {
    const line = ['--viommu', 'intel,caching-mode=on', '--device', 'edu,id=x', '-m', '32M'];
    const dumped = await tsvmm(['run', '--dump-config', ...line]);
    const file = join(dir, 'machine.json');
    writeFileSync(file, dumped.stdout);
    const fromOptions = await tsvmm(['run', 'a.c', ...line]);
    const fromFile = await tsvmm(['run', 'a.c', '--config', file]);

    expect(fromFile.requests[0]?.config).toEqual(fromOptions.requests[0]?.config);
  });

  test('--dump-acpi without a guest writes the tables and ends', async () => {
    const ran = await tsvmm(['run', '--dump-acpi', join(dir, 'acpi')]);

    expect(ran).toMatchObject({ code: 0, requests: [] });
    expect([...readFileSync(join(dir, 'acpi', 'dmar.dat'))]).toEqual([1, 2, 3]);
  });
});

describe('bad input is one clear line', () => {
  test.each([
    [['run'], 'tsvmm run: needs a guest; name a .c, .wat or .wasm file, or use --example'],
    [['run', '--example', 'edo'], "--example: there is no example 'edo'; did you mean 'edu'?"],
    [['run', 'a.c', '--device', 'edo'], "--device: there is no device kind 'edo'; did you mean 'edu'?"],
    [
      ['run', 'a.c', '--device', 'edu,dma_msk=1'],
      "--device edu: there is no key 'dma_msk'; did you mean 'dma_mask'?",
    ],
    [
      ['run', 'a.c', '--device', 'edu,addr=xx'],
      "--device edu: addr: 'xx' is not possible; write slot.function, such as 03.0",
    ],
    [
      ['run', 'a.c', '--device', 'edu,id=x', '--device', 'edu,id=x'],
      'x: two devices have this id; give each its own id=',
    ],
    [['run', 'a.c', '--viommu', 'intle'], "--viommu: there is no vIOMMU kind 'intle'; did you mean 'intel'?"],
    [['run', 'a.c', '--viommu', 'none,pt=on'], '--viommu none: takes no keys; write none'],
    [
      ['run', 'a.c', '--viommu', 'intel,pt=maybe'],
      "--viommu intel: pt: 'maybe' is neither on nor off; write on or off",
    ],
    [['run', 'a.c', '--memory', '3M5'], "--memory: '3M5' is not a size; write 64M"],
    [['run', 'a.c', '--config', '/nowhere.json'], '/nowhere.json: there is no such file'],
    [['run', 'a.c', '--file', '/a=/nowhere'], '/nowhere: there is no such file; check --file'],
    [
      ['run', 'a.c', '--plugin', '/nowhere.js'],
      "/nowhere.js: there is no such file; export { name, devices, iommus } as 'plugin'",
    ],
    [['run', 'a.c', '--trace-file', 'x'], "--trace-file: nothing is traced; add --trace '*'"],
    [['snapshot', 'save', 'a.c'], 'tsvmm snapshot save: needs a directory to write to; add --out DIR'],
    [['snapshot', 'save', 'a.c', '--out', 'd', '--at', '0'], '--at: counts from 1; write --at 1'],
    [['info', 'irq', '--lspci'], "--lspci: 'irq' has no such form; write tsvmm info pci --lspci"],
    [['help', 'rum'], "tsvmm help: there is no command 'rum'; did you mean 'run'?"],
  ])('%j', async (argv, message) => {
    expect(await tsvmm(argv)).toMatchObject({ code: 2, stdout: '', stderr: `tsvmm: ${message}\n` });
  });

  test('a number out of range is refused by the schema of its kind', async () => {
    const ran = await tsvmm(['run', 'a.c', '--viommu', 'intel,fault-records=99']);

    expect(ran.code).toBe(2);
    expect(ran.stderr).toMatch(/^tsvmm: --viommu intel: fault-records: .*; see '--viommu intel,help'\n$/);
  });
});

test('a failed write of the trace leaves no file behind', async () => {
  const file = join(dir, 'trace.txt');
  const throws = new TsvmmError({ code: 'x', object: 'o', why: 'w' });

  await tsvmm(['run', 'a.c', '--trace', '*', '--trace-file', file], { throws });

  expect(() => readFileSync(file)).toThrow('ENOENT');
});
