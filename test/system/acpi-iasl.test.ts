import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { checksumOf } from '../../firmware/acpi/header.ts';
import { iort } from '../../firmware/acpi/iort.ts';
import { placeTables } from '../../firmware/acpi/place.ts';
import { dumpFiles } from '../../firmware/dump.ts';
import { describeWithTool } from '../kit/outside-tool.ts';
import { SAMPLE_ARM_TABLES, SAMPLE_SVM_IORT, SAMPLE_TABLES } from '../kit/sample-acpi.ts';

const REGION = { rsdp: 0xf0000, base: 0x7fe0_0000, end: 0x7ff0_0000 };
const COMPLAINT = /warning|error|invalid|incorrect|unknown|unresolved|mismatch|not contain/i;

const files = dumpFiles(placeTables(SAMPLE_TABLES, REGION));
/** Those of an Arm machine beside them, under names of their own. */
const armFiles = dumpFiles(placeTables(SAMPLE_ARM_TABLES, REGION)).map(({ name, bytes }) => ({
  name: `arm-${name}`,
  bytes,
}));
const tables = [...files, ...armFiles].filter(({ name }) => !name.endsWith('rsdp.dat'));

/** iasl decompiles no RSDP (it has no table header), but it compiles one. */
const RSDP_SOURCE = `
[0008]                    Signature : "RSD PTR "
[0001]                     Checksum : 00
[0006]                       Oem ID : "TSVMM "
[0001]                     Revision : 02
[0004]                 RSDT Address : 00000000
[0004]                       Length : 00000024
[0008]                 XSDT Address : 000000007FE00000
[0001]            Extended Checksum : 00
[0003]                     Reserved : 000000
`;

/** iasl puts its own name and version into the creator fields: put ours back. */
function withOurCreator(compiled: Uint8Array, ours: Uint8Array): Uint8Array {
  const bytes = Uint8Array.from(compiled);
  bytes.set(ours.subarray(28, 36), 28);
  bytes[9] = 0;
  bytes[9] = checksumOf(bytes);
  return bytes;
}

describeWithTool('iasl', 'the dumped ACPI tables in real iasl', (iasl, test) => {
  let directory = '';
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'tsvmm-acpi-'));
    for (const { name, bytes } of [...files, ...armFiles]) writeFileSync(join(directory, name), bytes);
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  function run(...args: readonly string[]): string {
    const { status, stdout, stderr } = spawnSync(iasl, args, { cwd: directory, encoding: 'utf8' });
    const text = stdout + stderr;
    expect(status, text).toBe(0);
    return text;
  }
  const read = (name: string) => new Uint8Array(readFileSync(join(directory, name)));

  for (const { name, bytes } of tables) {
    const stem = name.replace('.dat', '');
    test(`${name} decompiles without a complaint and compiles to the same bytes`, () => {
      const decompiling = run('-d', name);
      const source = readFileSync(join(directory, `${stem}.dsl`), 'latin1');
      const compiling = run('-p', `new-${stem}`, `${stem}.dsl`);

      expect(decompiling).not.toMatch(COMPLAINT);
      // A complaint about a table's contents is a comment in the source.
      expect(source).not.toMatch(/\*{4}|\/\/ .*(warning|error|invalid|incorrect)|unknown/i);
      expect(compiling).toContain('0 Errors, 0 Warnings');
      expect(withOurCreator(read(`new-${stem}.aml`), bytes)).toEqual(bytes);
    });
  }

  // What is compiled again is not compared: to iasl before 2021 the identifiers of nodes are reserved.
  test('an IORT with page requests and PASIDs decompiles without a complaint', () => {
    writeFileSync(join(directory, 'svm-iort.dat'), iort(SAMPLE_SVM_IORT));

    const decompiling = run('-d', 'svm-iort.dat');
    const source = readFileSync(join(directory, 'svm-iort.dsl'), 'latin1');
    const compiling = run('-p', 'new-svm-iort', 'svm-iort.dsl');

    expect(decompiling).not.toMatch(COMPLAINT);
    expect(source).toMatch(/ATS Attribute.* : 0*7\n/);
    expect(compiling).toMatch(/ 0 Errors, [01] Warnings/);
  });

  test('rsdp.dat is what iasl makes of the same values', () => {
    writeFileSync(join(directory, 'rsdp-source.dsl'), RSDP_SOURCE);

    const compiling = run('-p', 'new-rsdp', 'rsdp-source.dsl');

    expect(compiling).toContain('0 Errors, 0 Warnings');
    expect(read('new-rsdp.aml')).toEqual(files.find(({ name }) => name === 'rsdp.dat')!.bytes);
  });

  test('a broken checksum would be noticed', () => {
    const broken = Uint8Array.from(tables[0]!.bytes);
    broken[9]! ^= 1;
    writeFileSync(join(directory, 'broken.dat'), broken);

    expect(run('-d', 'broken.dat') + readFileSync(join(directory, 'broken.dsl'), 'latin1')).toMatch(
      COMPLAINT,
    );
  });
});
