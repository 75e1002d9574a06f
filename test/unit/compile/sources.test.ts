import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TsvmmError } from '../../../vmm/core/errors.ts';
import { SourceReader, sdkSources } from '../../../vmm/vcpu/compile/sources.ts';
import type { UnitOptions } from '../../../vmm/vcpu/compile/types.ts';

const OPTIONS: UnitOptions = {
  optimise: '2',
  defines: [],
  includeDirs: [],
  freestanding: false,
  color: false,
  cwd: '/',
  debugPrefixes: [],
};
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tsvmm-sources-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function put(name: string, text: string): string {
  mkdirSync(dirname(join(dir, name)), { recursive: true });
  writeFileSync(join(dir, name), text);
  return join(dir, name);
}

function filesOf(main: string, includeDirs: string[] = []): string[] {
  const reader = new SourceReader({ ...OPTIONS, cwd: dir, includeDirs });
  return reader
    .unit(join(dir, main))
    .files.map((file) => relative(dir, file.path))
    .sort();
}

describe('files a unit may include', () => {
  test('quoted ones beside the file and below, through each other, cycles included', () => {
    put('main.c', '#include "a.h"\n');
    put('a.h', '#pragma once\n  #  include "sub/b.h"\n');
    put('sub/b.h', '#include "../a.h"\n#include "c.h"\n');
    put('sub/c.h', '');
    put('other.h', '');
    expect(filesOf('main.c')).toEqual(['a.h', 'main.c', 'sub/b.h', 'sub/c.h']);
  });

  test('angled ones from include directories only, system headers are not ours', () => {
    put('main.c', '#include <kit.h>\n#include <stdio.h>\n#include <beside.h>\n');
    put('inc/kit.h', '#include "part.h"\n');
    put('inc/part.h', '');
    put('beside.h', '');
    expect(filesOf('main.c', ['inc'])).toEqual(['inc/kit.h', 'inc/part.h', 'main.c']);
  });

  test('directives are found after comments and line splices, and embedded files count', () => {
    put(
      'main.c',
      '/* #include "no.h" */ #include "no2.h"\n/* x\n*/#include "a.h"\n#inc\\\nlude "b.h"\n#embed "data.bin"\n',
    );
    for (const name of ['a.h', 'b.h', 'data.bin', 'no.h']) put(name, '');
    expect(filesOf('main.c')).toEqual(['a.h', 'b.h', 'data.bin', 'main.c']);
  });

  test('a string that looks like a comment hides nothing', () => {
    put('main.c', '#define GLOB "drv/*"\n#include "a.h"\n#include /* the other */ "b.h"\n/* end */\n');
    for (const name of ['a.h', 'b.h']) put(name, '');
    expect(filesOf('main.c')).toEqual(['a.h', 'b.h', 'main.c']);
  });

  test('a computed include takes every header in reach', () => {
    put('main.c', '#include CONFIG_HEADER\n');
    put('x.h', '');
    put('y.inc', '');
    put('z.txt', '');
    put('inc/w.h', '');
    expect(filesOf('main.c', ['inc'])).toEqual(['inc/w.h', 'main.c', 'x.h', 'y.inc']);
  });

  test('names need not be ASCII, and directories are no headers', () => {
    put('main.c', '#include "größe.h"\n#include "sub"\n');
    put('größe.h', '');
    mkdirSync(join(dir, 'sub'));
    expect(filesOf('main.c')).toEqual(['größe.h', 'main.c']);
  });
});

test('a missing main file is named as typed', () => {
  expect(() => new SourceReader(OPTIONS).unit('no/where.c')).toThrow(
    new TsvmmError({ code: 'source-unreadable', object: 'no/where.c', why: 'no such file' }),
  );
});

test("an SDK's sources come sorted; a directory without any has none", () => {
  put('sdk/src/b.c', '');
  put('sdk/src/a.c', '');
  put('sdk/src/a.h', '');
  expect(sdkSources(join(dir, 'sdk'))).toEqual(['a.c', 'b.c']);
  expect(sdkSources(dir)).toEqual([]);
});
