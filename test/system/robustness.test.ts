import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { copyOfCli } from '../kit/run-cli.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const cli = copyOfCli();
const dir = mkdtempSync(join(tmpdir(), 'tsvmm-robust-'));
afterAll(() => {
  cli.remove();
  rmSync(dir, { recursive: true, force: true });
});

const GOOD = 'int main(void) { return 0; }';
const hello = readFileSync(join(root, 'guest/examples/hello/hello.wasm'));

/** Writes the guest and runs it in the scratch directory. */
function guest(name: string, text: string | Uint8Array, ...options: string[]) {
  writeFileSync(join(dir, name), text);
  return cli.run(['run', name, ...options], { cwd: dir });
}

/** One line on stderr that begins as every refusal does; the code says who has to mend it. */
function refusal(why: string, status: 2 | 3 = 2) {
  return { status, stdout: '', lines: [expect.stringMatching(`^tsvmm: .*${why}`)] };
}

describe('a guest that is none', () => {
  test.each([
    ['a missing file', 'missing.c', 'missing.c: there is no such file'],
    ['a missing module', 'missing.wasm', 'missing.wasm: there is no such file'],
    ['a directory', '.', 'is a directory'],
  ])('%s', (_, file, why) => {
    expect(cli.run(['run', file], { cwd: dir })).toMatchObject(refusal(why));
  });

  test('no guest', () => {
    expect(cli.run(['run'])).toMatchObject(refusal('needs a guest'));
  });

  test.each([
    ['an empty C file', 'empty.c', '', "empty.c: defines no 'main'"],
    ['an empty module', 'empty.wasm', '', 'is not a WebAssembly module'],
    ['an empty text', 'empty.wat', '', 'empty.wat: no memory'],
    ['a file of no known kind', 'text.txt', 'hello', 'is not a WebAssembly module'],
    ['no memory', 'nomem.wat', '(module (func (export "main")))', 'nomem.wat: no memory'],
    [
      'no entry',
      'noentry.wat',
      '(module (memory 1) (func (export "go")))',
      "exports neither '_start' nor 'main'",
    ],
    ['a syntax error', 'syntax.wat', '(module\n (func (i32.foo)))', 'syntax.wat: line 2:.*i32.foo'],
    ['a 64-bit memory', 'wide.wat', '(module (memory i64 1) (func (export "main")))', '64-bit memories'],
    [
      'more memory than there is',
      'big.wat',
      '(module (memory 9000) (func (export "main")))',
      'needs addresses up to',
    ],
    [
      'data beyond RAM',
      'data.wat',
      '(module (memory 1) (data (i32.const 0x7fff0000) "x") (func (export "main")))',
      'outside of RAM',
    ],
    [
      'a foreign import',
      'foreign.wat',
      '(module (import "env" "f" (func)) (memory 1) (func (export "main")))',
      "imports 'env.f', which nothing provides",
    ],
    [
      'an unknown import of the ABI',
      'unknown.wat',
      '(module (import "tsvmm" "wfo" (func)) (memory 1) (func (export "main")))',
      'import tsvmm.wfo does not exist',
    ],
    [
      'an import of the wrong type',
      'type.wat',
      '(module (import "tsvmm" "wfi" (func (param i32))) (memory 1) (func (export "main")))',
      'import tsvmm.wfi is declared as',
    ],
    [
      'an unknown import of WASI',
      'wasi.wat',
      '(module (import "wasi_snapshot_preview1" "fd_raed" (func)) (memory 1) (func (export "main")))',
      "fd_raed', which nothing provides",
    ],
  ])('%s', (_, name, text, why) => {
    expect(guest(name, text)).toMatchObject(refusal(why));
  });

  test.each([1, 4, 5, 8, 9, 20, 100, 1000, hello.length - 1])('a module cut after %i bytes', (length) => {
    expect(guest('cut.wasm', hello.subarray(0, length))).toMatchObject(refusal('cut.wasm: '));
  });

  test('a compile error: the compiler says what, and one line of ours', () => {
    const run = guest('error.c', 'int main(void) { return x; }');

    expect(run).toMatchObject({ status: 2, stdout: '' });
    expect(run.stderr).toMatch(/^error\.c:1:25: error: use of undeclared identifier 'x'/);
    expect(run.lines.filter((line) => line.startsWith('tsvmm: '))).toHaveLength(1);
    expect(run.lines.at(-1)).toBe('tsvmm: error.c: the guest does not compile');
  });

  test('an undefined symbol: the linker says which', () => {
    const run = guest('link.c', 'int missing(void); int main(void) { return missing(); }');

    expect(run).toMatchObject({ status: 2, stdout: '' });
    expect(run.stderr).toContain('undefined symbol: missing');
    expect(run.lines.at(-1)).toBe('tsvmm: link.c: the guest does not link');
  });
});

describe('options that cannot be', () => {
  test.each([
    ['an unknown option', ['--trcae', 'x'], "--trcae: is no option of 'tsvmm run'; did you mean '--trace'"],
    ['an unknown kind', ['--viommu', 'inetl'], "no vIOMMU kind 'inetl'; did you mean 'intel'"],
    ['an unknown key', ['--device', 'edu,dma_maks=1'], "no key 'dma_maks'; did you mean 'dma_mask'"],
    ['an impossible value', ['--viommu', 'intel,aw-bits=40'], 'aw-bits'],
    ['a switch that is none', ['--viommu', 'intel,intremap=maybe'], "'maybe' is neither on nor off"],
    [
      'a slot that is taken',
      ['--device', 'edu,addr=3', '--device', 'edu,addr=3'],
      'edu1: slot 3.0 belongs to edu0',
    ],
    ['an id twice', ['--device', 'edu,id=a', '--device', 'edu,id=a'], 'two devices have this id'],
    ['a bus that is missing', ['--device', 'edu,bus=x'], "no bus 'x'"],
    ['an IOMMU over the I/O APIC', ['--viommu', 'intel,base=0xfec00000'], 'iommu: claims .* of ioapic'],
    ['an IOMMU over RAM', ['--viommu', 'intel,base=0x100000'], 'iommu: claims .* of RAM'],
    ['an IOMMU where BARs go', ['--viommu', 'intel,base=0xe0000000'], 'iommu: claims .* PCI BARs'],
    ['an IOMMU over ECAM', ['--viommu', 'intel,base=0xb0000000'], 'iommu: claims .* of ecam'],
    ['no RAM', ['--memory', '0'], 'is not a RAM size'],
    ['an event that does not exist', ['--trace', 'nope'], 'no such event'],
    ['a trace into a directory', ['--trace', '*', '--trace-file', '.'], 'is a directory'],
    ['a trace to nowhere', ['--trace', '*', '--trace-file', 'no/dir'], 'its directory does not exist'],
    ['tables to nowhere', ['--dump-acpi', '/proc/tsvmm'], '/proc/tsvmm: '],
    ['tables under a file', ['--dump-acpi', 'good.c/x'], 'good.c/x: '],
    ['a file that is missing', ['--file', '/a=/nonexistent'], '/nonexistent: there is no such file'],
    ['a description that is missing', ['--config', 'no.json'], 'no.json: there is no such file'],
    ['a plugin that is missing', ['--plugin', 'no.js'], 'no.js: there is no such file'],
  ])('%s', (_, options, why) => {
    expect(guest('good.c', GOOD, ...options)).toMatchObject(refusal(why));
  });

  test('a compiler that is not installed is for the host to mend', () => {
    expect(guest('good.c', GOOD, '--cc', '/nonexistent/clang')).toMatchObject(
      refusal('/nonexistent/clang: ', 3),
    );
  });

  test('with --json the refusal is an object on stdout as well', () => {
    const run = guest('good.c', GOOD, '--json', '--viommu', 'x');

    expect(JSON.parse(run.stdout)).toMatchObject({
      verdict: 'error',
      exitCode: 2,
      error: { code: 'unknown-kind' },
    });
    expect(run.lines).toHaveLength(1);
  });
});

describe('a guest that goes wrong ends in a report', () => {
  const crash = (reason: string, frame: string) => ({
    status: 1,
    stderr: expect.stringMatching(`^guest crashed: ${reason}[\\s\\S]*guest stack:\n {2}#0 ${frame}`),
  });

  test('a loop without end', () => {
    const run = guest('loop.c', 'int main(void) { for (volatile int i = 0;; i++) ; }', '--fuel', '50M');

    expect(run.status).toBe(4);
    expect(run.stderr).toMatch(
      /^guest hung: out of fuel after \d+ instructions\n[\s\S]*#0 main \(loop\.c:1\)/,
    );
  });

  test('a loop without end that waits', () => {
    const run = guest(
      'wait.c',
      '#include <tsvmm.h>\nint main(void) { for (;;) cpu_relax(); }',
      '--timeout',
      '5s',
    );

    expect(run.status).toBe(4);
    expect(run.stderr).toMatch(/^guest hung: out of virtual time after 5000000000 ns/);
  });

  test('an interrupt that never comes', () => {
    const run = guest('wfi.c', '#include <tsvmm.h>\nint main(void) { wfi(); return 0; }');

    expect(run.status).toBe(4);
    expect(run.stderr).toMatch(/^guest hung: waits for an interrupt, and nothing is scheduled/);
  });

  test('recursion without end that fills the C stack', () => {
    const text = `int f(int n) { volatile char room[200]; room[n & 127] = n; return n < 0 ? n : f(n + 1) + room[3]; }
int main(void) { return f(0); }`;
    const run = guest('deep.c', text);

    expect(run).toMatchObject(crash('stack overflow: the C stack is used up', 'f \\(deep\\.c:1\\)'));
    expect(run.stderr).toMatch(/\.\.\. \d+ more frames of the same/);
  });

  test('a local array larger than the stack', () => {
    const text = 'int main(int n, char **v) { volatile int room[1 << 20]; room[n] = 1; return v == 0; }';

    expect(guest('array.c', text)).toMatchObject(crash('stack overflow: the C stack is used up', 'main'));
  });

  test('recursion without end of functions that need no memory', () => {
    const text = `int (*volatile next)(int);
int f(int n) { return next(n + 1) + 1; }
int main(void) { next = f; return f(0); }`;

    expect(guest('endless.c', text)).toMatchObject(
      crash('stack overflow: recursion without end', 'f \\(endless\\.c:2\\)'),
    );
  });

  test.each([
    ['a null function pointer', '((void (*)(void))p)()', 0, 'call of a bad function pointer: NULL'],
    [
      'a function pointer that is none',
      '((void (*)(void))p)()',
      0xdeadbeef,
      'call of a bad function pointer',
    ],
    [
      'a store to nowhere',
      '*(volatile int *)p = 1',
      0xf0000000,
      '4-byte store to an address nothing is mapped at 0xf0000000',
    ],
    [
      'a load from nowhere',
      '(void)*(volatile short *)p',
      0x90000000,
      '2-byte load from an address nothing is mapped at 0x90000000',
    ],
    [
      'a store just below NULL',
      '*(volatile int *)p = 1',
      0xfffffff8,
      '4-byte store to an address nothing is mapped at 0xfffffff8',
    ],
    ['abort()', 'abort()', 0, 'called abort\\(\\)'],
    ['__builtin_trap()', '__builtin_trap()', 0, 'executed unreachable code'],
    ['a failed assertion', 'assert(p)', 0, 'an assertion failed'],
  ])('%s', (_, statement, value, reason) => {
    const text = `#include <assert.h>
#include <stdlib.h>
int main(void) { volatile unsigned p = ${value >>> 0}u; ${statement}; return 0; }`;
    const run = guest('wrong.c', text);

    expect(run.status).toBe(1);
    expect(run.stderr).toMatch(new RegExp(`guest crashed: ${reason}`));
    expect(run.stderr).toMatch(/#\d main \(wrong\.c:3\)/);
  });

  test('a guest that overwrites all its memory', () => {
    const text = `int main(void) { for (volatile char *p = 0; p < (char *)0x1000000; p++) *p = -1; return 0; }`;

    expect([0, 1]).toContain(guest('all.c', text, '--memory', '16M').status);
  });

  test('a wild store into each page of the address space above RAM', () => {
    const text = `#include <tsvmm.h>
int main(int n, char **v) { u32 seed = (u32)strlen(v[1]); (void)n;
 tsvmm_mmio_write(0x8000000ull + 0x1000ull * 7919 * seed % 0xf8000000ull, 4, 0xffffffff); return 0; }`;

    const codes = Array.from({ length: 12 }, (_, i) => guest('page.c', text, '--', 'x'.repeat(i + 1)).status);

    expect(codes.filter((code) => code !== 0 && code !== 1)).toEqual([]);
  });
});

describe('random values all over the register space', () => {
  const options = [
    '--viommu',
    'intel,device-iotlb=on,eim=on,protected-memory=on,fault-records=4',
    ...[
      '--device',
      'pcie-root-port,id=rp0',
      '--device',
      'edu,bus=rp0,dma_delay_ns=50',
      '--device',
      'iommu-testdev',
    ],
    ...['--device', 'edu,dma_mask=0xffffffffffffffff,dma_delay_ns=10', '--quiet', '--fuel', '100G'],
  ];
  const fuzz = (seed: string, operations: string) =>
    cli.run(['run', 'test/guests/fuzz.c', ...options, '--', seed, operations], { cwd: root });
  // TSVMM_FUZZ=10000000 takes a minute.
  const operations = process.env['TSVMM_FUZZ'] ?? '50000';

  test.each(['1', '2', '3', '4'])(`end in a pass: seed %s, ${operations} operations`, (seed) => {
    const run = fuzz(seed, operations);

    expect(run.stdout).toContain('ok 1 - the machine is still there');
    expect(run.status).toBe(0);
  });

  test('do the same twice with one seed', () => {
    expect(fuzz('5', '20000')).toEqual(fuzz('5', '20000'));
  });

  test('on every kind of unit', () => {
    const units = [
      'intel,aw-bits=39,caching-mode=on',
      'intel,aw-bits=57,invalidation=async',
      'intel,cache=none',
      'none',
    ];
    const codes = units.map(
      (unit) =>
        cli.run(['run', 'test/guests/fuzz.c', '--viommu', unit, '--', '6', '20000'], { cwd: root }).status,
    );

    expect(codes).toEqual([0, 0, 0, 0]);
  });
});

describe('a full disk', () => {
  const disk = join(dir, 'disk');
  const mounted = mountTiny(disk);
  afterAll(() => {
    if (mounted) execFileSync('umount', [disk]);
  });
  const onDisk = mounted ? test : test.skip;
  if (!mounted) console.log('SKIPPED: needs to mount a tmpfs (3 tests)');

  /** With 4 KiB free. */
  function onFullDisk(args: readonly string[], env = {}) {
    const filler = join(disk, 'filler');
    writeFileSync(filler, new Uint8Array(60 * 1024));
    const run = cli.run(args, { cwd: dir, env });
    rmSync(filler);
    const left = readdirSync(disk, { recursive: true }).map(String);
    for (const name of readdirSync(disk)) rmSync(join(disk, name), { recursive: true });
    return { ...run, left };
  }

  onDisk('leaves no half trace', () => {
    const run = onFullDisk(['run', '--example', 'edu', '--trace', '*', '--trace-file', 'disk/trace.ndjson']);

    expect(run.status).toBe(3);
    expect(run.lines.at(-1)).toMatch(/^tsvmm: disk\/trace\.ndjson: /);
    expect(run.left).toEqual([]);
  });

  onDisk('leaves no half table', () => {
    const run = onFullDisk(['run', '--dump-acpi', 'disk/acpi']);

    expect(run).toMatchObject({ status: 3, lines: [expect.stringMatching(/^tsvmm: disk\/acpi\//)] });
    expect(run.left.filter((name) => name.includes('tmp'))).toEqual([]);
  });

  onDisk('for the cache only costs time', () => {
    const run = onFullDisk(['run', '--example', 'hello'], { TSVMM_CACHE_DIR: join(disk, 'cache') });

    expect(run.status).toBe(0);
    expect(run.left.filter((name) => name.includes('tmp'))).toEqual([]);
  });
});

/** A disk of 64 KiB; false where this user may not mount one. */
function mountTiny(at: string): boolean {
  mkdirSync(at);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tsvmm-test', at], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
