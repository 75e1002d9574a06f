import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { openCache } from '../../vmm/vcpu/cache/disk-cache.ts';
import { compileC } from '../../vmm/vcpu/compile/compile.ts';
import { openSymbols } from '../../vmm/vcpu/symbols/symbols.ts';
import { readSections } from '../../vmm/vcpu/symbols/wasm-reader.ts';
import { describeWithTool } from '../kit/outside-tool.ts';

const SOURCE = `#include <stdio.h>
#include <stdlib.h>
#include <stdint.h>
struct node { struct node *next; uint32_t key; };
static struct node *heads[64];
static inline uint32_t hash(uint32_t x) { x ^= x >> 16; x *= 0x85ebca6b; return x ^ x >> 13; }
static struct node *find(uint32_t key) {
  for (struct node *n = heads[hash(key) & 63]; n; n = n->next)
    if (n->key == key) return n;
  return NULL;
}
static int cmp(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
__attribute__((noinline)) static void insert(uint32_t key) {
  if (find(key)) return;
  struct node *n = malloc(sizeof *n);
  n->key = key;
  n->next = heads[hash(key) & 63];
  heads[hash(key) & 63] = n;
}
int main(int argc, char **argv) {
  uint32_t v[100];
  for (int i = 0; i < 100; i++) { v[i] = hash(i * argc); insert(v[i]); }
  qsort(v, 100, 4, cmp);
  printf("%s %p\\n", argv[0], (void *)find(v[3]));
  return 0;
}
`;

const home = process.cwd();
let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tsvmm-symbols-'));
  process.chdir(dir);
  writeFileSync('guest.c', SOURCE);
});
afterAll(() => {
  process.chdir(home);
  rmSync(dir, { recursive: true, force: true });
});

describeWithTool('llvm-symbolizer', 'source frames agree with llvm-symbolizer', (tool, test) => {
  for (const optimise of ['0', '2', 's'] as const) {
    test(`at every instruction byte of a guest compiled with -O${optimise}`, async () => {
      const { wasm } = await compileC({ file: 'guest.c', optimise, cache: openCache({ dir: null }) });
      writeFileSync('guest.wasm', wasm);
      const code = readSections(wasm).find(({ id }) => id === 10)!;
      const offsets = Array.from({ length: Math.min(1500, code.end - code.start) }, (_, i) => i);
      const symbols = openSymbols(wasm);
      const ours = offsets.map((offset) =>
        symbols
          .frames(code.start + offset)
          .map((f) => `${f.function}\n${f.file}:${f.line}:${f.column ?? 0}`)
          .join('\n'),
      );
      const theirs = symbolize(tool, offsets);
      const known = offsets.filter((i) => isComparable(theirs[i]!));
      expect(known.length).toBeGreaterThan(300);
      expect(known.map((i) => ours[i])).toEqual(known.map((i) => theirs[i]));
    });
  }
});

/** The library has no debug information, and code of no line (0) has no place we would show. */
const isComparable = (text: string): boolean =>
  !text.startsWith('??') && !text.includes('??:') && !text.includes(':0:');

function symbolize(tool: string, offsets: readonly number[]): string[] {
  const args = [
    '--obj=guest.wasm',
    '--output-style=LLVM',
    ...offsets.map((offset) => `0x${offset.toString(16)}`),
  ];
  const output = execFileSync(tool, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
  return output.split('\n\n').map((text) =>
    text
      .trim()
      .replace(/^(\.\/)+/gm, '')
      // It prefers the linker's name of main to the source's.
      .replace(/^__main_argc_argv$/gm, 'main'),
  );
}
