import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { TsvmmError } from '../../../vmm/core/errors.ts';
import { embed, unpack } from '../../../vmm/replay/embed.ts';
import type { RecordHeader, RecordLine } from '../../../vmm/replay/format.ts';
import { LineChain } from '../../../vmm/replay/format.ts';
import { readRecord, unpacked } from '../../../vmm/replay/read-record.ts';
import { RecordFile } from '../../../vmm/replay/record-file.ts';
import { failurePath, RunRecorder } from '../../../vmm/replay/recorder.ts';
import { parseUntil } from '../../../vmm/replay/replay-guest.ts';
import { runs } from '../../kit/runs.ts';

const HEADER: RecordHeader = {
  format: 'tsvmm-record',
  version: 1,
  tsvmm: '0.1.0',
  rewriter: 1,
  machine: { machine: 'q35' },
  plugins: [],
  guest: {
    name: 'a.c',
    path: '/a.c',
    module: embed(Uint8Array.of(0, 0x61, 0x73, 0x6d)),
    stackLow: null,
    args: ['a.c', 'ä'],
    env: { A: 'b' },
    files: [{ path: '/f', ...embed(Uint8Array.of(1, 2)) }],
    fuel: 10,
    timeout: null,
  },
};
const AT = { run: 0, polls: 1, executed: 2, ns: 3 };
const STOP: RecordLine = { at: AT, monitor: 'stop' };
const DEL: RecordLine = { at: AT, qmp: { execute: 'device_del', arguments: { id: 'x' } } };
const END: RecordLine = { end: { how: 'exit', status: 0, ns: 5, instructions: 4, output: '00000000' } };

let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tsvmm-record-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** The bytes of a record with these lines. */
function record(...lines: readonly RecordLine[]): Buffer {
  const chain = new LineChain();
  return Buffer.concat([HEADER, ...lines].map((line) => chain.encode(line)));
}

function read(bytes: Uint8Array) {
  const path = join(dir, 'r.record');
  writeFileSync(path, bytes);
  return readRecord(path, z);
}

function refusal(bytes: Uint8Array): string {
  try {
    read(bytes);
  } catch (error) {
    if (error instanceof TsvmmError && error.exit === 2) return error.message.replace(dir, '');
    throw error;
  }
  return 'accepted';
}

describe('the file of a record', () => {
  test('reads as it was written', () => {
    expect(read(record(STOP, DEL, END))).toEqual({
      path: join(dir, 'r.record'),
      header: HEADER,
      commands: [STOP, DEL],
      end: (END as { end: unknown }).end,
    });
  });

  test('is JSON lines, each with the CRC-32 of its rest and of all before', () => {
    const lines = record({ cut: 0 }).toString('utf8').split('\n');

    expect(lines[0]).toMatch(/^\{"crc32":"[0-9a-f]{8}","format":"tsvmm-record","version":1,/);
    expect(lines[1]).toMatch(/^\{"crc32":"[0-9a-f]{8}","cut":0\}$/);
    expect(lines).toHaveLength(3);
  });

  test('commands that were gone back over and done otherwise are not in it', () => {
    expect(read(record(STOP, DEL, DEL, { cut: 1 }, STOP, END)).commands).toEqual([STOP, STOP]);
  });

  test('cut off at any byte it is refused, but between two lines it is one that was interrupted', () => {
    const whole = record(STOP, DEL, END);
    const ends = [...whole.entries()].filter(([, byte]) => byte === 10).map(([at]) => at + 1);

    fc.assert(
      fc.property(fc.integer({ min: 0, max: whole.length - 1 }), (length) => {
        const cut = whole.subarray(0, length);
        if (ends.includes(length)) expect(read(cut).end).toBeUndefined();
        else expect(refusal(cut)).toMatch(/^\/r\.record: is (no record|damaged)/);
      }),
    );
  });

  test('with any bit changed it is refused', () => {
    const whole = record(STOP, DEL, END);

    fc.assert(
      fc.property(fc.integer({ min: 0, max: whole.length * 8 - 1 }), (bit) => {
        const bytes = Buffer.from(whole);
        bytes[bit >> 3]! ^= 1 << (bit & 7);
        expect(refusal(bytes)).toMatch(/^\/r\.record: (is no record|is damaged|has format \d+, )/);
      }),
      { numRuns: runs(500) },
    );
  });

  test.each([
    ['a line twice', (lines: string[]) => [lines[0], lines[1], lines[1], lines[2], '']],
    ['two lines swapped', (lines: string[]) => [lines[0], lines[2], lines[1], lines[3], '']],
    ['a line left out', (lines: string[]) => [lines[0], lines[2], lines[3], '']],
  ])('with %s it is refused', (_, change) => {
    const lines = record(STOP, DEL, END).toString('utf8').split('\n');

    expect(refusal(Buffer.from(change(lines).join('\n')))).toMatch(
      /is damaged: line \d is not as it was written/,
    );
  });

  test.each<[string, unknown, string]>([
    [
      'a header that lacks something',
      [{ ...HEADER, tsvmm: undefined }],
      "line 1 is no header: 'tsvmm' is missing or wrong",
    ],
    [
      'a header with something more',
      [{ ...HEADER, more: 1 }],
      'line 1 is no header: it has members that do not belong there',
    ],
    ['a line of another kind', [HEADER, { hello: 1 }], 'line 2 does not belong there'],
    [
      'a negative place',
      [HEADER, { at: { ...AT, executed: -1 }, monitor: 'x' }],
      'line 2 does not belong there',
    ],
    ['something after its end', [HEADER, END, STOP], 'line 3 does not belong there'],
  ])('with %s it is refused, checksums or not', (_, lines, why) => {
    const chain = new LineChain();
    const bytes = Buffer.concat((lines as RecordLine[]).map((line) => chain.encode(line)));

    expect(refusal(bytes)).toBe(`/r.record: is damaged: ${why}; record the run again`);
  });

  test('what is embedded is known by its hash', () => {
    const good = embed(Buffer.from('guest'));

    expect(Buffer.from(unpack(good)!).toString()).toBe('guest');
    expect(good.sha256).toBe('84983c60f7daadc1cb8698621f802c0d9f9a3c3c295c810748fb048115c186ec');
    expect(unpack({ ...good, data: embed(Buffer.from('other')).data })).toBeUndefined();
    expect(unpack({ ...good, data: 'AAAA' })).toBeUndefined();
    expect(() => unpacked('r', 'guest', { ...good, data: embed(Buffer.from('other')).data })).toThrow(
      'r: is damaged: the guest in it is not the one of the run: its SHA-256 is not 84983c60',
    );
  });
});

describe('a record that is being written', () => {
  test('has its name with its first line, and every line as soon as it is there', () => {
    const path = join(dir, 'live.record');
    const file = RecordFile.create(path, HEADER);
    const first = readFileSync(path);
    file.append(STOP);
    const second = readFileSync(path);
    file.append(END);
    file.close();

    expect(read(first)).toMatchObject({ header: HEADER, commands: [] });
    expect(read(second).commands).toEqual([STOP]);
    expect(readFileSync(path)).toEqual(record(STOP, END));
    expect(readdirSync(dir).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  test('that cannot be made leaves nothing behind', () => {
    expect(() => RecordFile.create(join(dir, 'no', 'such'), HEADER)).toThrow('there is no such directory');
    expect(readdirSync(dir).filter((name) => name.startsWith('.tsvmm'))).toEqual([]);
  });

  test('in memory is written when it is wanted, the same', () => {
    const recorder = new RunRecorder(() => HEADER);
    const place = { run: 0, polls: 1, executed: 2, time: 3 };
    recorder.asked({ place, asked: { via: 'monitor', line: 'stop' } });
    recorder.asked({ place, asked: { via: 'qmp', execute: 'device_del', arguments: { id: 'x' } } });
    recorder.end({ how: 'exit', status: 0, ns: 5, instructions: 4 });
    const path = recorder.save(() => join(dir, 'kept.record'));

    expect(readFileSync(path)).toEqual(record(STOP, DEL, END));
    expect(recorder.save(() => 'never asked')).toBe(path);
  });

  test('names of failed runs are safe, and tell contents apart', () => {
    const failed = join(dir, 'failed');

    expect(failurePath(failed, "../a b'c.c", 'x')).toBe(join(failed, '.._a_b_c.c-2d711642b726.record'));
    expect(failurePath(failed, 'a.c', 'y')).not.toBe(failurePath(failed, 'a.c', 'x'));
  });
});

describe('--until', () => {
  test.each([
    ['vtd_dmar_fault', { glob: 'vtd_dmar_fault', count: 1 }],
    ['vtd_*#12', { glob: 'vtd_*', count: 12 }],
  ])('%s', (text, until) => {
    expect(parseUntil(text)).toEqual(until);
  });

  test.each(['', '#1', 'a#', 'a#0', 'a#x', 'a#1#2'])("'%s' is refused", (text) => {
    expect(() => parseUntil(text)).toThrow('is no event');
  });
});
