import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TsvmmError } from '../../../vmm/core/errors.ts';
import {
  checkTarget,
  readSnapshot,
  type Snapshot,
  type WriteOptions,
  writeSnapshot,
} from '../../../vmm/state/container.ts';
import { type ContainerFs, DISK } from '../../../vmm/state/container-fs.ts';
import type { Json } from '../../../vmm/state/schema.ts';
import { runs } from '../../kit/runs.ts';

let scratch: string;
let dir: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'tsvmm-container-'));
  dir = join(scratch, 'snap');
});
afterEach(() => rmSync(scratch, { recursive: true }));

function sample(): Snapshot {
  return {
    program: '1.2.3',
    config: { machine: 'q35', memory: 4096 },
    units: new Map([
      ['edu0', { kind: 'edu', version: 1, body: { status: '0x00000080' } }],
      ['clock', { kind: 'clock', version: 2, body: { now: 12 } }],
    ]),
    files: new Map([
      ['ram.bin', Uint8Array.of(1, 2, 3, 4)],
      ['wasi.bin', new Uint8Array(0)],
    ]),
  };
}

function refusal(act: () => unknown): TsvmmError {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(TsvmmError);
    expect((error as TsvmmError).message).not.toContain('\n');
    return error as TsvmmError;
  }
  throw new Error('was not refused');
}

function edit(name: string, change: (text: string) => string): void {
  const path = join(dir, name);
  writeFileSync(path, change(readFileSync(path, 'latin1')), 'latin1');
}

describe('a snapshot on disk', () => {
  test('is a directory with a manifest, the config, the state and the files', () => {
    writeSnapshot(dir, sample());
    expect(readdirSync(dir).sort()).toEqual([
      'config.json',
      'manifest.json',
      'ram.bin',
      'state.json',
      'wasi.bin',
    ]);
    const manifest = JSON.parse(readFileSync(join(dir, 'manifest.json'), 'utf8'));
    expect(manifest).toMatchObject({
      format: 'tsvmm-snapshot',
      version: 1,
      tsvmm: '1.2.3',
      units: [
        { id: 'edu0', kind: 'edu', version: 1 },
        { id: 'clock', kind: 'clock', version: 2 },
      ],
    });
    // CRC-32 of 01 02 03 04 and of nothing (ITU-T V.42).
    expect(manifest.files.slice(2)).toEqual([
      { name: 'ram.bin', bytes: 4, crc32: '0xb63cfbcd' },
      { name: 'wasi.bin', bytes: 0, crc32: '0x00000000' },
    ]);
    expect(readdirSync(scratch)).toEqual(['snap']);
  });

  test('is read as it was written', () => {
    writeSnapshot(dir, sample());
    expect(readSnapshot(dir)).toEqual(sample());
  });

  test('whatever its units hold, is read as it was written', () => {
    const body = fc.jsonValue({ noUnicodeString: false }) as fc.Arbitrary<Json>;
    const unit = fc.record({ kind: fc.string(), version: fc.nat(), body });
    const units = fc.dictionary(
      fc.string().filter((id) => id !== '__proto__'),
      unit,
    );
    const files = fc.dictionary(fc.stringMatching(/^[a-z][a-z0-9-]{0,8}\.bin$/), fc.uint8Array());
    fc.assert(
      fc.property(units, files, body, (u, f, config) => {
        const snapshot = {
          program: '1',
          config,
          units: new Map(Object.entries(u)),
          files: new Map(Object.entries(f)),
        };
        writeSnapshot(dir, snapshot, { force: true });
        // JSON has no negative zero.
        expect(JSON.stringify([...readSnapshot(dir).units])).toEqual(JSON.stringify([...snapshot.units]));
        expect(readSnapshot(dir).files).toEqual(snapshot.files);
      }),
      { numRuns: runs(60) },
    );
  });

  test('can be named by a link to it', () => {
    writeSnapshot(dir, sample());
    symlinkSync(dir, join(scratch, 'link'));
    expect(readSnapshot(join(scratch, 'link'))).toEqual(sample());
  });
});

describe('a damaged snapshot is refused:', () => {
  beforeEach(() => writeSnapshot(dir, sample()));

  test('any byte of any file changed', () => {
    for (const name of readdirSync(dir)) {
      const path = join(dir, name);
      const good = readFileSync(path);
      for (let i = 0; i < good.length; i++) {
        const bad = Buffer.from(good);
        bad[i]! ^= 1 << (i % 8);
        writeFileSync(path, bad);
        const { code, exit } = refusal(() => readSnapshot(dir));
        expect(['snapshot-damaged', 'snapshot-foreign', 'snapshot-newer']).toContain(code);
        expect(exit).toBe(2);
      }
      writeFileSync(path, good);
    }
    expect(readSnapshot(dir)).toEqual(sample());
  });

  test('any file cut short anywhere, or longer', () => {
    for (const name of readdirSync(dir)) {
      const path = join(dir, name);
      const good = readFileSync(path);
      for (let n = 0; n < good.length; n++) {
        writeFileSync(path, good.subarray(0, n));
        expect(refusal(() => readSnapshot(dir)).object).toBe(path);
      }
      writeFileSync(path, Buffer.concat([good, Buffer.of(10)]));
      expect(refusal(() => readSnapshot(dir)).object).toBe(path);
      writeFileSync(path, good);
    }
  });

  test('a file that is missing', () => {
    rmSync(join(dir, 'ram.bin'));
    expect(refusal(() => readSnapshot(dir)).message).toBe(
      `${dir}/ram.bin: is missing; save the snapshot again`,
    );
  });

  test('a file that is a directory', () => {
    rmSync(join(dir, 'ram.bin'));
    mkdirSync(join(dir, 'ram.bin'));
    expect(refusal(() => readSnapshot(dir)).message).toContain('ram.bin: is not a file');
  });

  test('a file too many', () => {
    copyFileSync(join(dir, 'ram.bin'), join(dir, 'more.bin'));
    expect(refusal(() => readSnapshot(dir)).message).toContain('more.bin: is not of this snapshot');
  });

  test.each([
    ['a unit that the manifest does not list', '"clock"', '"other"', 'unit'],
    ['a file outside of the snapshot', '"ram.bin"', '"../ram.bin"', 'not complete'],
    ['a file named twice', '"wasi.bin"', '"ram.bin"', 'not complete'],
  ])('%s, checksums made to fit', (_title, from, to, why) => {
    const text = readFileSync(join(dir, 'manifest.json'), 'utf8').replace(from, to);
    const { crc32: _old, ...manifest } = JSON.parse(text);
    const body = `${JSON.stringify(manifest, undefined, 1)}\n`;
    const sum = crc32Of(Buffer.from(body));
    writeFileSync(
      join(dir, 'manifest.json'),
      `${JSON.stringify({ ...manifest, crc32: sum }, undefined, 1)}\n`,
    );
    expect(refusal(() => readSnapshot(dir)).message).toContain(why);
  });
});

/** CRC-32 bit by bit (ITU-T V.42), independent of the code under test. */
function crc32Of(bytes: Uint8Array): string {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return `0x${(~crc >>> 0).toString(16).padStart(8, '0')}`;
}

describe('what is no snapshot of this program is refused:', () => {
  test('nothing', () => {
    expect(refusal(() => readSnapshot(dir)).message).toBe(
      `${dir}: there is no such snapshot; give a directory that 'snapshot save' made`,
    );
  });

  test('a file', () => {
    writeFileSync(dir, 'x');
    expect(refusal(() => readSnapshot(dir)).message).toContain('is a file; a snapshot is a directory');
  });

  test.each(['{}', '[]', '{"format":"other"}', '"tsvmm-snapshot"'])(
    'a directory with manifest %s',
    (json) => {
      mkdirSync(dir);
      writeFileSync(join(dir, 'manifest.json'), json);
      expect(refusal(() => readSnapshot(dir)).code).toBe('snapshot-foreign');
    },
  );

  test('a directory without a manifest', () => {
    mkdirSync(dir);
    expect(refusal(() => readSnapshot(dir)).code).toBe('snapshot-foreign');
  });

  test('one of a newer tsvmm, which is named', () => {
    writeSnapshot(dir, { ...sample(), program: '9.0.0' });
    edit('manifest.json', (text) => text.replace('"version": 1', '"version": 2'));
    expect(refusal(() => readSnapshot(dir)).message).toBe(
      `${dir}: has format version 2, and this tsvmm reads version 1; load it with tsvmm 9.0.0`,
    );
  });
});

describe('writing', () => {
  test('is refused where something is, and says how to go on', () => {
    writeSnapshot(dir, sample());
    expect(refusal(() => writeSnapshot(dir, sample())).message).toBe(
      `${dir}: is there already; give another -o, or --force`,
    );
    expect(refusal(() => checkTarget(scratch, { force: true })).message).toContain(
      'exists and is no snapshot',
    );
  });

  test('is refused where there is no directory to put it in', () => {
    const error = refusal(() => checkTarget(join(scratch, 'no', 'snap')));
    expect([error.exit, error.message]).toEqual([
      2,
      `${join(scratch, 'no', 'snap')}: there is no directory to put it in; make it first`,
    ]);
  });

  test('with force replaces a snapshot as a whole', () => {
    writeSnapshot(dir, sample());
    writeSnapshot(dir, { ...sample(), files: new Map() }, { force: true });
    expect(readdirSync(dir).sort()).toEqual(['config.json', 'manifest.json', 'state.json']);
    expect(readdirSync(scratch)).toEqual(['snap']);
  });

  /** The n-th call of any kind fails. */
  function failing(n: number, code: string): { fs: ContainerFs; calls: () => number } {
    let calls = 0;
    const fs = Object.fromEntries(
      Object.entries(DISK).map(([name, call]) => [
        name,
        (...args: never[]) => {
          const changes = ['mkdirSync', 'openSync', 'writeSync', 'fsyncSync', 'renameSync'].includes(name);
          if (changes && ++calls === n) throw Object.assign(new Error(code), { code });
          return (call as (...a: never[]) => unknown)(...args);
        },
      ]),
    ) as unknown as ContainerFs;
    return { fs, calls: () => calls };
  }

  test.each([
    ['a new one', undefined],
    ['over an old one', { force: true }],
  ])('leaves nothing half done when the disk fills up: %s', (_title, options: WriteOptions | undefined) => {
    const counting = failing(0, '');
    const before: Snapshot = { ...sample(), program: '0.0.1' };
    if (options !== undefined) writeSnapshot(dir, before);
    writeSnapshot(dir, sample(), { ...options, fs: counting.fs });
    let refused = 0;
    for (let n = 1; n <= counting.calls(); n++) {
      rmSync(dir, { recursive: true });
      if (options !== undefined) writeSnapshot(dir, before);
      const { fs } = failing(n, 'ENOSPC');
      try {
        writeSnapshot(dir, sample(), { ...options, fs });
        // Not every failure is one: a directory need not be syncable.
        expect(readSnapshot(dir)).toEqual(sample());
      } catch (error) {
        refused++;
        const { message, exit } = error as TsvmmError;
        expect([message, exit]).toEqual([
          `${dir}: cannot be written: the disk is full; nothing was left behind`,
          3,
        ]);
        expect(readdirSync(scratch).filter((name) => name !== 'snap')).toEqual([]);
        if (options === undefined) expect(readdirSync(scratch)).toEqual([]);
        else expect(readSnapshot(dir)).toEqual(before);
      }
      if (!readdirSync(scratch).includes('snap')) mkdirSync(dir);
    }
    expect(refused).toBeGreaterThan(10);
  });

  test.each([
    ['EROFS', 'the file system is read-only'],
    ['EACCES', 'permission is denied'],
    ['EDQUOT', 'the disk quota is used up'],
    ['EIO', 'EIO'],
  ])('says why in words: %s', (code, why) => {
    const { fs } = failing(1, code);
    expect(refusal(() => writeSnapshot(dir, sample(), { fs })).message).toContain(
      `cannot be written: ${why}`,
    );
  });

  test('goes on where the system writes less than was asked', () => {
    const fs = { ...DISK, writeSync: (fd: number, b: Uint8Array, o: number) => DISK.writeSync(fd, b, o, 1) };
    writeSnapshot(dir, sample(), { fs });
    expect(readSnapshot(dir)).toEqual(sample());
  });
});
