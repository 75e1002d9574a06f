import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { EXAMPLES, exampleMachine, examplePath, sha256 } from '../../guest/examples/manifest.ts';
import { renderProject, TEMPLATE_VIOMMUS } from '../../guest/template/render.ts';
import { addressMapOf } from '../../vmm/machine/platforms/platforms.ts';
import { compileC } from '../../vmm/vcpu/compile/compile.ts';
import { layoutAt } from '../../vmm/vcpu/compile/types.ts';
import { guideSteps } from '../kit/guide.ts';
import { describeWithTool } from '../kit/outside-tool.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'tsvmm-sdk-'));
afterAll(() => rmSync(scratch, { recursive: true }));

function tsvmm(args: readonly string[], cwd = root) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'bin/tsvmm.js'), ...args], {
    cwd,
    encoding: 'utf8',
  });
  return { status, stdout, stderr, failed: stdout.split('\n').filter((line) => line.startsWith('not ok')) };
}

const passed = { status: 0, failed: [] };

test('the SDK passes its own test in a guest', () => {
  expect(tsvmm(['run', 'test/system/guests/sdk-selftest.c'])).toMatchObject(passed);
});

test('a guest without the SDK may use names of the SDK for its own functions', () => {
  const file = join(scratch, 'own-names.c');
  writeFileSync(
    file,
    '#include <stdio.h>\nint alloc_page(void) { return 0; }\nint report(void) { return alloc_page(); }\n' +
      'int main(void) { puts("own"); return report(); }\n',
  );

  expect(tsvmm(['run', file])).toMatchObject({ status: 0, stdout: 'own\n' });
});

describe.each(EXAMPLES)('example %s', (name) => {
  test('passes as packaged, without a compiler', () => {
    const run = tsvmm(['run', examplePath(name, 'wasm')]);

    expect(run).toMatchObject(passed);
    expect(run.stdout).toMatch(/^1\.\.[1-9]/m);
  });

  test('compiles without a warning and passes', () => {
    const run = tsvmm(['run', examplePath(name, 'c')]);

    expect(run).toMatchObject(passed);
    expect(run.stderr).not.toMatch(/warning|error/);
  });
});

describe.each(['edu', 'stale-iotlb', 'irq-remap'])('example %s passes on other machines', (name) => {
  test.each([
    ['with caching mode', '--viommu', 'intel,caching-mode=on', '--device', 'edu'],
    ['with 39 bits', '--viommu', 'intel,aw-bits=39', '--device', 'edu'],
    [
      'behind a root port',
      '--viommu',
      'intel',
      '--device',
      'pcie-root-port,id=rp0',
      '--device',
      'edu,bus=rp0',
    ],
    ['with little memory', '--memory', '16M'],
  ])('%s', (_, ...options) => {
    expect(tsvmm(['run', '--example', name, ...options])).toMatchObject(passed);
  });
});

test.each([
  ['edu', 'without an IOMMU', 'not ok 2 - ACPI names an IOMMU', '--viommu', 'none'],
  ['edu', 'on a bus without addresses', 'not ok 1 - edu is on the bus', '--firmware', 'raw'],
  ['stale-iotlb', 'without an IOMMU', 'Bail out! edu behind an IOMMU', '--viommu', 'none'],
  ['irq-remap', 'without remapping', 'Bail out! edu behind a VT-d unit', '--viommu', 'intel,intremap=off'],
])('example %s %s says what it misses and fails', (name, _, text, ...options) => {
  const run = tsvmm(['run', '--example', name, ...options]);

  expect(run.status).toBe(1);
  expect(run.stdout).toContain(text);
});

test.each(TEMPLATE_VIOMMUS)('a new project with --viommu %s passes at once', (viommu) => {
  const dir = join(scratch, `project-${viommu}`);
  mkdirSync(dir);
  for (const { path, text } of renderProject('my-driver', viommu)) writeFileSync(join(dir, path), text);

  expect(tsvmm(['run', 'driver.c', '--config', 'tsvmm.json'], dir)).toMatchObject(passed);
});

describe('the guide works as printed', () => {
  const page = readFileSync(join(root, 'docs/guide/write-a-driver.md'), 'utf8');
  const dir = join(scratch, 'guide');
  mkdirSync(dir);
  let printed = '';

  test.each(guideSteps(page))('$kind $text', (step) => {
    if (step.kind === 'file') writeFileSync(join(dir, step.name), step.text);
    else if (step.kind === 'output') expect(printed).toContain(step.text);
    else {
      const [npx, command, ...args] = step.text.split(' ');
      const run = tsvmm(args, dir);
      printed = run.stdout + run.stderr;
      expect([npx, command, run.status, run.failed]).toEqual(['npx', 'tsvmm', 0, []]);
    }
  });
});

test.each(EXAMPLES)(
  '%s.wasm is what the bundled compiler makes of its source (else: npm run build:examples)',
  async (name) => {
    const { wasm, diagnostics } = await compileC({
      file: examplePath(name, 'c'),
      sdkDir: 'guest/sdk',
      layout: layoutAt(addressMapOf(exampleMachine(name)).ramBase),
    });

    expect(diagnostics).toBe('');
    expect(sha256(wasm)).toBe(sha256(readFileSync(join(root, examplePath(name, 'wasm')))));
  },
);

describeWithTool('clang', 'a stricter compiler', (clang, toolTest) => {
  const freestanding = [
    '-fsyntax-only',
    '--target=wasm32',
    '-std=gnu17',
    '-ffreestanding',
    '-Iguest/sdk/include',
  ];
  const strict = ['-Wall', '-Wextra', '-Werror'];
  const sources = (pattern: string) =>
    spawnSync('sh', ['-c', `ls ${pattern}`], { cwd: root, encoding: 'utf8' })
      .stdout.trim()
      .split('\n');

  toolTest('has nothing to say about the SDK and the examples', () => {
    const files = [
      ...sources('guest/sdk/src/*.c'),
      ...EXAMPLES.filter((name) => name !== 'hello' && name !== 'mmio-plain').map((name) =>
        examplePath(name, 'c'),
      ),
      'test/system/guests/sdk-selftest.c',
    ];
    const { status, stderr } = spawnSync(clang, [...freestanding, ...strict, ...files], {
      cwd: root,
      encoding: 'utf8',
    });

    expect(stderr).toBe('');
    expect(status).toBe(0);
  });

  toolTest('accepts each header on its own', () => {
    const headers = sources('guest/sdk/include/tsvmm/*.h').map((path) =>
      path.slice('guest/sdk/include/'.length),
    );
    const text = (header: string) => `#include <tsvmm/types.h>\n#include <${header}>\n#include <${header}>\n`;

    const complaints = headers.map(
      (header) =>
        spawnSync(clang, [...freestanding, ...strict, '-x', 'c', '-'], {
          cwd: root,
          input: text(header),
          encoding: 'utf8',
        }).stderr,
    );

    expect(complaints.filter((c) => c !== '')).toEqual([]);
  });
});
