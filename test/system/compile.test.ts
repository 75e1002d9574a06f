import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { TsvmmError } from '../../vmm/core/errors.ts';
import { type DiskCache, openCache } from '../../vmm/vcpu/cache/disk-cache.ts';
import { compileC } from '../../vmm/vcpu/compile/compile.ts';
import { type CompileRequest, VIRT_LAYOUT } from '../../vmm/vcpu/compile/types.ts';
import { exportedGlobal } from '../../vmm/vcpu/compile/wasm-exports.ts';
import { describeWithTool } from '../kit/outside-tool.ts';

const HELLO = `#include <stdio.h>
#include <stdint.h>
int main(int argc, char **argv) {
  volatile uint32_t *version = (uint32_t *)0xFED90000;
  printf("%s %x\\n", argv[0], *version);
  return 0;
}
`;

const home = process.cwd();
let dir: string;
let cacheDir: string;
let cache: DiskCache;
let printed: string;

beforeAll(() => {
  cacheDir = mkdtempSync(join(tmpdir(), 'tsvmm-compile-cache-'));
  cache = openCache({ dir: cacheDir });
});
afterAll(() => rmSync(cacheDir, { recursive: true, force: true }));
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tsvmm-compile-'));
  process.chdir(dir);
  printed = '';
});
afterEach(() => {
  process.chdir(home);
  rmSync(dir, { recursive: true, force: true });
});

function put(name: string, text: string): void {
  mkdirSync(dirname(join(dir, name)), { recursive: true });
  writeFileSync(join(dir, name), text);
}

function compile(request: Partial<CompileRequest> & { file: string }) {
  return compileC({ cache, onDiagnostics: (text) => (printed += text), ...request });
}

async function refusal(request: Partial<CompileRequest> & { file: string }): Promise<TsvmmError> {
  const error = await compile(request).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(TsvmmError);
  return error as TsvmmError;
}

function exportsOf(wasm: Uint8Array): string[] {
  return WebAssembly.Module.exports(new WebAssembly.Module(new Uint8Array(wasm)))
    .map((entry) => entry.name)
    .sort();
}

describe('bundled compiler', () => {
  test('a C file of the standard library alone compiles, and the second time comes from the cache', async () => {
    put('hello.c', HELLO);
    const stages: string[] = [];
    const cold = await compile({ file: 'hello.c', onProgress: (stage) => stages.push(stage) });
    expect(cold.cached).toBe(false);
    expect(stages).toEqual(['compiling', 'linking']);
    expect(exportsOf(cold.wasm)).toEqual([
      '__data_end',
      '__heap_base',
      '__indirect_function_table',
      '__stack_pointer',
      '_start',
      'memory',
    ]);
    const warm = await compile({ file: 'hello.c', onProgress: (stage) => stages.push(stage) });
    expect(warm.cached).toBe(true);
    expect(stages).toEqual(['compiling', 'linking']);
    expect(Buffer.from(warm.wasm).equals(Buffer.from(cold.wasm))).toBe(true);
    expect(printed).toBe('');
  });

  test('on q35 the stack ends below the ROM area and statics start at 1 MiB, so that overflow leaves RAM', async () => {
    put('main.c', 'int big[4] = {1}; int main(void) { return big[0]; }');
    const { wasm, stackLow } = await compile({ file: 'main.c' });
    expect(exportedGlobal(wasm, '__stack_pointer')).toBe(0x80000);
    expect(exportedGlobal(wasm, '__data_end')).toBeGreaterThan(0x100000);
    expect(exportedGlobal(wasm, '__heap_base')).toBeGreaterThan(0x100000);
    expect(stackLow).toBeUndefined();
  });

  test('on virt the stack lies above the statics and its low end is told', async () => {
    put('main.c', 'int big[4] = {1}; int main(void) { return big[0]; }');
    const { wasm, stackLow } = await compile({ file: 'main.c', layout: VIRT_LAYOUT });
    expect(stackLow).toBeGreaterThanOrEqual(exportedGlobal(wasm, '__data_end')!);
    expect(stackLow).toBeGreaterThan(0x40100000);
    expect(exportedGlobal(wasm, '__stack_pointer')).toBe(stackLow! + 0x80000);
  });

  test('diagnostics name the file as typed and the refusal is one line', async () => {
    put('drv/my driver.c', 'int main(void) { int unused; return nothing; }\n');
    mkdirSync(join(dir, 'sub'));
    process.chdir(join(dir, 'sub'));
    const error = await refusal({ file: '../drv/my driver.c' });
    expect(error.code).toBe('compile-failed');
    expect(error.exit).toBe(2);
    expect(error.message).toBe('../drv/my driver.c: the guest does not compile');
    expect(printed).toBe(`../drv/my driver.c:1:37: error: use of undeclared identifier 'nothing'
    1 | int main(void) { int unused; return nothing; }
      |                                     ^~~~~~~
1 error generated.
`);
  });

  test('warnings are shown on a warm start too', async () => {
    put('warn.c', 'int main(void) { int unused; return 0; }\n');
    const cold = await compile({ file: 'warn.c' });
    const once = printed;
    printed = '';
    const warm = await compile({ file: 'warn.c' });
    expect(once).toContain('warn.c:1:22: warning: unused variable');
    expect(printed).toBe(once);
    expect([cold.cached, warm.cached]).toEqual([false, true]);
  });

  test('headers beside the file, above it and of the same name in both places are kept apart', async () => {
    put('top.h', '#define TOP 40\n');
    put('drv/top.h', '#define BESIDE 2\n');
    put(
      'drv/main.c',
      '#include "../top.h"\n#include "top.h"\nint main(void) { return TOP + BESIDE - 42; }\n',
    );
    const { wasm } = await compile({ file: join(dir, 'drv/main.c') });
    expect(exportsOf(wasm)).toContain('_start');
  });

  test('a changed header is noticed, an unrelated file is not', async () => {
    put('value.h', '#define VALUE 1\n');
    put('main.c', '#include "value.h"\nint main(void) { return VALUE; }\n');
    await compile({ file: 'main.c' });
    put('other.h', '#define VALUE 3\n');
    expect((await compile({ file: 'main.c' })).cached).toBe(true);
    put('value.h', '#define VALUE 2\n');
    expect((await compile({ file: 'main.c' })).cached).toBe(false);
  });

  test('an SDK is found, compiled along, and named independently of its place', async () => {
    put(
      'sdk/include/kit.h',
      'int kit(void);\n#define IMPORT(n) __attribute__((import_module("tsvmm"), import_name(#n)))\nIMPORT(wfi) void tsvmm_wfi(void);\n',
    );
    put(
      'sdk/src/kit.c',
      '#include <kit.h>\n#include "part.h"\nint kit(void) { tsvmm_wfi(); return PART; }\n',
    );
    put('sdk/src/part.h', '#define PART 0\n');
    put('main.c', '#include <kit.h>\nint main(void) { return kit(); }\n');
    const { wasm } = await compile({ file: 'main.c', sdkDir: join(dir, 'sdk') });
    const module = new WebAssembly.Module(new Uint8Array(wasm));
    expect(WebAssembly.Module.imports(module)).toContainEqual({
      module: 'tsvmm',
      name: 'wfi',
      kind: 'function',
    });
    expect(Buffer.from(wasm).includes('sdk/src/kit.c')).toBe(true);
    expect(Buffer.from(wasm).includes(dir)).toBe(false);
  });

  test("an SDK's objects serve another guest, from another directory, with other flags", async () => {
    put('sdk/include/kit.h', 'int kit(void);\n');
    put('sdk/src/kit.c', '#include <kit.h>\nint kit(void) { int unused; return 0; }\n');
    put('one/main.c', '#include <kit.h>\nint main(void) { return kit(); }\n');
    put('two/main.c', '#include <kit.h>\nint main(void) { return kit() + 1; }\n');
    const installed = openCache({ dir: join(dir, 'installed') });
    process.chdir(join(dir, 'one'));
    await compile({ file: 'main.c', sdkDir: '../sdk', cache: installed });
    expect(printed).toContain('sdk/src/kit.c:2:21: warning: unused variable');
    mkdirSync(join(dir, 'elsewhere'));
    renameSync(join(dir, 'sdk'), join(dir, 'elsewhere/sdk'));
    process.chdir(join(dir, 'two'));
    const writes: string[] = [];
    const fresh: DiskCache = { dir: undefined, get: () => undefined, put: (kind) => writes.push(kind) > 0 };
    const sdkDir = '../elsewhere/sdk';
    await compile({ file: 'main.c', sdkDir, defines: ['X'], cache: fresh, prebuilt: installed });
    expect(writes).toEqual(['obj', 'wasm']);
  });

  test('several files link together, and only the changed one is compiled again', async () => {
    put('a.c', 'int b(void); int main(void) { return b(); }\n');
    put('b.c', 'int b(void) { int unused; return 0; }\n');
    await compile({ file: 'a.c', extraFiles: ['b.c'] });
    put('a.c', 'int b(void); int main(void) { return b() + 1; }\n');
    printed = '';
    const again = await compile({ file: 'a.c', extraFiles: ['b.c'] });
    expect(again.cached).toBe(false);
    expect(printed).toContain('b.c:1:19: warning');
  });

  test('a call that does not match the definition is a link error', async () => {
    put('a.c', 'int b(int); int main(void) { return b(1); }\n');
    put('b.c', 'int b(void) { return 0; }\n');
    const error = await refusal({ file: 'a.c', extraFiles: ['b.c'] });
    expect(error.code).toBe('link-failed');
    expect(error.exit).toBe(2);
    expect(printed).toContain('function signature mismatch: b');
  });

  test('an undefined function is a link error that names it', async () => {
    put('a.c', 'int missing(int); int main(void) { return missing(1); }\n');
    expect((await refusal({ file: 'a.c' })).message).toBe('a.c: the guest does not link');
    expect(printed).toContain('undefined symbol: missing');
  });

  test('a missing file and a directory are one line', async () => {
    expect((await refusal({ file: 'nowhere.c' })).message).toBe('nowhere.c: no such file');
    expect((await refusal({ file: '.' })).message).toBe('.: is a directory');
  });

  test('a freestanding guest has no C library and exports main', async () => {
    put('bare.c', '#include <stdint.h>\nint main(void) { return *(volatile uint8_t *)0; }\n');
    const { wasm } = await compile({ file: 'bare.c', freestanding: true });
    expect(exportsOf(wasm)).toContain('main');
    expect(WebAssembly.Module.imports(new WebAssembly.Module(new Uint8Array(wasm)))).toEqual([]);
  });

  test('defines and optimisation reach the compiler', async () => {
    put(
      'd.c',
      '#if VALUE != 7\n#error VALUE\n#endif\n#ifdef __OPTIMIZE__\n#error optimised\n#endif\nint main(void) { return 0; }\n',
    );
    await compile({ file: 'd.c', defines: ['VALUE=7'], optimise: '0' });
    expect(printed).toBe('');
  });

  test('a guest compiles where the cache cannot be written', async () => {
    put('hello.c', HELLO);
    const built = await compile({ file: 'hello.c', cache: openCache({ dir: '/dev/full/x' }) });
    expect(built.cached).toBe(false);
  });
});

describe('system compiler', () => {
  test('a compiler that is not there, or has no linker or C library, is refused in one line', async () => {
    put('hello.c', HELLO);
    expect((await refusal({ file: 'hello.c', cc: 'clang-of-nowhere' })).message).toBe(
      'clang-of-nowhere: no such compiler in PATH; install clang, or leave --cc out to use the bundled compiler',
    );
    const missing = await refusal({ file: 'hello.c', cc: './cc' });
    expect([missing.code, missing.exit]).toEqual(['cc-missing', 3]);
    put('bin/cc', '#!/bin/sh\nexit 1\n');
    execFileSync('chmod', ['+x', 'bin/cc']);
    const path = process.env['PATH'];
    process.env['PATH'] = '';
    const noLinker = await refusal({ file: 'hello.c', cc: './bin/cc' });
    process.env['PATH'] = path;
    expect(noLinker.code).toBe('cc-no-linker');
  });

  test('a compiler without the WebAssembly target is refused in one line', async () => {
    put('bare.c', 'int main(void) { return 0; }\n');
    put(
      'bin/cc',
      '#!/bin/sh\necho "error: unable to create target: \'No available targets are compatible\'" >&2\nexit 1\n',
    );
    execFileSync('chmod', ['+x', 'bin/cc']);
    symlinkSync('cc', 'bin/wasm-ld');
    const error = await refusal({ file: 'bare.c', cc: './bin/cc', freestanding: true });
    expect([error.code, error.exit]).toEqual(['cc-no-wasm', 3]);
  });

  describeWithTool('clang', 'clang', (_path, test) => {
    test('a freestanding guest compiles, warnings come verbatim, and the second time is cached', async () => {
      put('bare.c', 'int main(void) { int unused; return 0; }\n');
      const cold = await compile({ file: 'bare.c', cc: 'clang', freestanding: true });
      expect(exportsOf(cold.wasm)).toContain('main');
      expect(printed).toContain('bare.c:1:22: warning: unused variable');
      expect((await compile({ file: 'bare.c', cc: 'clang', freestanding: true })).cached).toBe(true);
      expect(exportedGlobal(cold.wasm, '__stack_pointer')).toBe(0x80000);
    });

    test('on virt the stack lies above the statics', async () => {
      put('bare.c', 'int big[4] = {1}; int main(void) { return big[0]; }\n');
      const built = await compile({ file: 'bare.c', cc: 'clang', freestanding: true, layout: VIRT_LAYOUT });
      expect(built.stackLow).toBeGreaterThan(0x40100000);
    });

    test('errors come verbatim and leave nothing behind', async () => {
      put('bad.c', 'int main(void) { return nothing; }\n');
      const error = await refusal({ file: 'bad.c', cc: 'clang', freestanding: true });
      expect(error.message).toBe('bad.c: the guest does not compile');
      expect(printed).toContain("bad.c:1:25: error: use of undeclared identifier 'nothing'");
    });
  });

  describeWithTool('clang', 'clang with a C library', (_path, test) => {
    const libc = ['wasm32-wasip1', 'wasm32-wasi'].some((triple) =>
      existsSync(join(process.env['WASI_SYSROOT'] ?? '/usr', 'lib', triple, 'libc.a')),
    );
    test(
      libc
        ? 'compiles a C file of the standard library alone, or names what is missing'
        : 'is asked for where there is none',
      async () => {
        put('hello.c', HELLO);
        const outcome = await compile({ file: 'hello.c', cc: 'clang' }).then(
          (built) => exportsOf(built.wasm).includes('_start'),
          (error: TsvmmError) => error.code,
        );
        // Debian packs the C library and the compiler's own runtime apart.
        expect(libc ? [true, 'cc-no-builtins'] : ['cc-no-wasi-libc']).toContain(outcome);
      },
    );
  });
});

test('the cache holds whole entries only', () => {
  const names = execFileSync('ls', ['-A', cacheDir], { encoding: 'utf8' }).trim().split('\n');
  expect(names.filter((name) => !/^(wasm|obj)-[0-9a-f]{32}$/.test(name))).toEqual([]);
  expect(readFileSync(join(cacheDir, names[0]!)).subarray(0, 8).toString()).toBe('TSVMCAC2');
});
