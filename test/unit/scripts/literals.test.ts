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

  test.each([
    ['a parameter', 'function f(P: number) { return P; }'],
    ['a parameter in a pattern', 'const f = ({ a: [P] }) => P;'],
    ['the rest of a pattern', 'const f = ([, ...P]) => P;'],
    ['a parameter that another one needs', 'function f(P, q = P) {}'],
    ['a variable of the block', '{ let P = 2; use(P); }'],
    ['a variable of the function, named in a block of it', 'function f() { { var P = 2; } return P; }'],
    ['a variable of a case', 'switch (x) { case 1: const P = 2; case 2: use(P); }'],
    ['the variable of a loop', 'for (let P = 0; P < 3; P++) use(P);'],
    ['the element of a loop', 'for (const P of x) use(P);'],
    ['the key of a loop', 'for (const [P] in x) use(P);'],
    ['a caught error', 'try {} catch (P) { use(P); }'],
    ['a function in a block', '{ use(P); function P() {} }'],
    ['a class in a block', '{ class P {} use(P); }'],
    ['a function by its own name', 'const f = function P() { return P; };'],
    ['a class by its own name', 'const c = class P { f() { return P; } };'],
    ['a variable of a static block', 'class C { static { if (x) { var P = 2; } use(P); } }'],
    ['a parameter of a method', 'class C { f(P) { return P; } }'],
    ['a parameter of a constructor', 'class C { constructor(readonly P = 2) { use(P); } }'],
    ['a member of an enumeration', 'enum E { P = 2, Q = P | 4 }'],
    ['a member of an enumeration with quotes', "enum E { 'P' = 2, Q = P | 4 }"],
    ['a variable of a namespace', 'namespace N { export const P = 2; use(P); }'],
    ['a label', 'P: for (;;) { if (x) continue P; break P; }'],
    ['an interface that another one extends', 'interface I extends P {}'],
    ['an interface that a class implements', 'class C implements P {}'],
    ['a type parameter', 'function f<P>(a: P): a is P {}'],
    ['a member of a class', 'class C { P = 2; #P = 3; get() { return this.P; } }'],
    ['what is exported', 'export { P, P as R };'],
  ])('the same name of %s stays, and what comes behind it is the number', (_, text) => {
    expect(changed(`const P = 1;\n${text}\nuse(P);`)).toBe(`const P = 1;\n${text}\nuse(1);`);
  });

  test.each([
    ['the default of a parameter', 'function f(q = P) {}', 'function f(q = 1) {}'],
    ['the default of a pattern', 'const { a = P } = x;', 'const { a = 1 } = x;'],
    ['a computed name', 'const o = { [P]: 2 };', 'const o = { [1]: 2 };'],
    ['the value of an enumeration', 'enum E { A = P }', 'enum E { A = 1 }'],
    ['a case', 'switch (x) { case P: }', 'switch (x) { case 1: }'],
    ['a statement with a label', 'a: while (P) break a;', 'a: while (1) break a;'],
    ['a function beside one that has the name', 'f((P) => P, () => P);', 'f((P) => P, () => 1);'],
    ['a block before one that has the name', '{ use(P); } { let P; }', '{ use(1); } { let P; }'],
    ['the list of a loop', 'for (const a of [P]) use(a, P);', 'for (const a of [1]) use(a, 1);'],
    ['a template', 'use(`$' + '{P}`);', 'use(`$' + '{1}`);'],
    ['the field of a class', 'class C { P = P; static Q = P; }', 'class C { P = 1; static Q = 1; }'],
    ['what has the type of that name', 'const a = P as P satisfies P;', 'const a = 1 as P satisfies P;'],
  ])('%s has the number', (_, text, expected) => {
    expect(changed(`const P = 1;\n${text}`)).toBe(`const P = 1;\n${expected}`);
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

    expect(changed(`${text}\nuse(C.CODE);`)).toBe(`${text}\nuse(8);`);
  });

  test('modules that import each other end', () => {
    writeFileSync(join(dir, 'a.ts'), "import { B } from './b.ts';\nexport const A = 1;");
    writeFileSync(join(dir, 'b.ts'), "import { A } from './a.ts';\nexport const B = 2;");
    expect(changed("import { A } from './a.ts';\nimport { B } from './b.ts';\nuse(A, B);")).toContain(
      'use(1, 2)',
    );
  });
});
