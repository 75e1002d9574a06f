import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const { withLiterals } = (await import(new URL('../../../scripts/literals.mjs', import.meta.url).href)) as {
  withLiterals: (text: string, path: string) => string;
};

let dir: string;
let modules = 0;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tsvmm-literals-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

/** What a module becomes that has a name of its own, since modules are remembered. */
function changed(text: string): string {
  return withLiterals(text, join(dir, `module${modules++}.ts`));
}

describe('numbers named at the top of a module', () => {
  test('a use becomes the number, the declaration stays', () => {
    expect(changed('const P = 0x10;\nexport const f = (x: number) => x & P;')).toBe(
      'const P = 0x10;\nexport const f = (x: number) => x & 16;',
    );
  });

  test('expressions of numbers are worked out, negative ones in parentheses', () => {
    const text = 'const A = 1 << 4;\nconst B = ~(A | 1);\nuse(A, 3 - B, 2 ** 3);';
    expect(changed(text)).toBe('const A = 1 << 4;\nconst B = ~(16 | 1);\nuse(16, 3 - (-18), 2 ** 3);');
  });

  test('properties, types and patterns of the same name stay', () => {
    const text = 'const P = 1;\ntype T = typeof P;\nuse(x.P, { P: 2 }, { P });\nconst { P: q } = x;';
    expect(changed(text)).toBe(
      'const P = 1;\ntype T = typeof P;\nuse(x.P, { P: 2 }, { P: 1 });\nconst { P: q } = x;',
    );
  });

  test('a name that a parameter has as well stays', () => {
    const text = 'const P = 1;\nfunction f(P: number) { return P; }\nuse(P);';
    expect(changed(text)).toBe(text);
  });

  test('what may change or is no number stays', () => {
    const text = "let n = 1;\nconst s = 'a';\nconst z = -0;\nconst m = f();\nuse(n, s, z, m);";
    expect(changed(text)).toBe(text);
  });
});

describe('numbers of other modules', () => {
  test('imported under another name, through a constant that is made of them', () => {
    writeFileSync(join(dir, 'bits.ts'), 'export const BIT = 8;');
    writeFileSync(join(dir, 'masks.ts'), "import { BIT } from './bits.ts';\nexport const MASK = BIT - 1;");
    const text = "import { MASK as M } from './masks.ts';\nuse(M);";
    expect(changed(text)).toBe("import { MASK as M } from './masks.ts';\nuse(7);");
  });

  test('of a module that is imported as a whole', () => {
    writeFileSync(join(dir, 'codes.ts'), "export const CODE = 8;\nexport const TEXT = 'a';");
    const text =
      "import * as C from './codes.ts';\nuse(C.CODE, x.C.CODE, C.TEXT);\nconst D = C.CODE + 1;\nuse(D);";
    expect(changed(text)).toBe(
      "import * as C from './codes.ts';\nuse(8, x.C.CODE, C.TEXT);\nconst D = 8 + 1;\nuse(9);",
    );
  });

  test('but not where something else has the name of such a module', () => {
    writeFileSync(join(dir, 'codes.ts'), 'export const CODE = 8;');
    const text = "import * as C from './codes.ts';\nfunction f(C) { return C.CODE; }";

    expect(changed(text)).toBe(text);
  });

  test('modules that import each other end', () => {
    writeFileSync(join(dir, 'a.ts'), "import { B } from './b.ts';\nexport const A = 1;");
    writeFileSync(join(dir, 'b.ts'), "import { A } from './a.ts';\nexport const B = 2;");
    expect(changed("import { A } from './a.ts';\nimport { B } from './b.ts';\nuse(A, B);")).toContain(
      'use(1, 2)',
    );
  });
});
