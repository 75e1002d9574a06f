import { describe, expect, test } from 'vitest';
import { TsvmmError } from '../../../vmm/core/errors.ts';
import type { SavedUnit } from '../../../vmm/state/define.ts';
import type { Json } from '../../../vmm/state/schema.ts';
import { createWasi, type Wasi } from '../../../vmm/vcpu/wasi/wasi.ts';

const PAGE = 65536;
const FILES = ['path_open', 'fd_read', 'fd_write', 'fd_seek', 'path_unlink_file', 'path_create_directory'];
const O_CREAT = 1;
const ALL_RIGHTS = (1n << 30n) - 1n;

/** One guest's WASI with a memory to pass arguments in. */
async function guest(files: Record<string, string> = {}, imports: readonly string[] = FILES) {
  const u8 = new Uint8Array(PAGE);
  const view = new DataView(u8.buffer);
  const wasi: Wasi = await createWasi({
    args: ['guest'],
    env: {},
    files: new Map(Object.entries(files).map(([path, text]) => [path, Buffer.from(text)])),
    stdout: () => {},
    stderr: () => {},
    memory: { u8, base: 0, end: PAGE, wrote: () => {} },
    imports,
    clock: { nowNs: () => 0, realtimeAtStartNs: 0n },
    sleepNs: () => {},
    random: () => {},
  });
  const call = (name: string, ...args: (number | bigint)[]): number =>
    (wasi.functions[name] as (...a: (number | bigint)[]) => number)(...args);
  const put = (text: string, at: number) => {
    u8.set(Buffer.from(text), at);
    return [at, Buffer.byteLength(text)] as const;
  };
  return {
    wasi,
    call,
    open(path: string, flags = 0, fdflags = 0): number {
      expect(call('path_open', 3, 0, ...put(path, 100), flags, ALL_RIGHTS, ALL_RIGHTS, fdflags, 8)).toBe(0);
      return view.getUint32(8, true);
    },
    write(fd: number, text: string): number {
      view.setUint32(16, 1000, true);
      view.setUint32(20, put(text, 1000)[1], true);
      return call('fd_write', fd, 16, 1, 8);
    },
    read(fd: number, length = 100): string {
      view.setUint32(16, 1000, true);
      view.setUint32(20, length, true);
      expect(call('fd_read', fd, 16, 1, 8)).toBe(0);
      return Buffer.from(u8.subarray(1000, 1000 + view.getUint32(8, true))).toString();
    },
    path: (name: string, path: string) => call(name, 3, ...put(path, 100)),
  };
}

function saved(wasi: Wasi): { unit: SavedUnit; bytes: Uint8Array } {
  const unit = wasi.unit.save();
  return { unit: JSON.parse(JSON.stringify(unit)), bytes: wasi.unit.bulk!.save().slice() };
}

function restore(wasi: Wasi, { unit, bytes }: { unit: SavedUnit; bytes: Uint8Array }): void {
  wasi.unit.bulk!.load(bytes);
  wasi.unit.load(unit);
}

describe("a guest's files in a snapshot", () => {
  test('are there with their contents, and open ones go on where they were', async () => {
    const a = await guest({ 'data/in.txt': 'abcdefgh' });
    const input = a.open('data/in.txt');
    expect(a.read(input, 3)).toBe('abc');
    const log = a.open('log', O_CREAT);
    a.write(log, 'first ');
    const appended = a.open('log', 0, 1);

    const b = await guest();
    restore(b.wasi, saved(a.wasi));

    expect(b.read(input, 2)).toBe('de');
    b.write(log, 'second ');
    b.write(appended, 'third');
    expect(b.read(b.open('log'))).toBe('first second third');
    expect(b.open('data/in.txt')).toBe(a.open('data/in.txt') + 1);
  });

  test('that have no name any more live as long as they are open', async () => {
    const a = await guest({ gone: 'still here' });
    const fd = a.open('gone');
    a.path('path_unlink_file', 'gone');

    const b = await guest({ gone: 'another' });
    restore(b.wasi, saved(a.wasi));

    expect(b.read(fd)).toBe('still here');
    expect(b.path('path_unlink_file', 'gone')).toBe(44);
  });

  test('saved, loaded and saved again are the same', async () => {
    const a = await guest({ 'x/y/z': 'deep', top: '' });
    a.open('x/y/z');
    a.path('path_create_directory', 'x/new');
    a.call('fd_close', 1);
    a.write(a.open('grown', O_CREAT), 'g'.repeat(1000));
    const first = saved(a.wasi);

    const b = await guest();
    restore(b.wasi, first);

    expect(saved(b.wasi)).toEqual(first);
  });

  test('of a guest without files are its consoles', async () => {
    const a = await guest({}, ['fd_write']);
    a.call('fd_close', 0);
    const first = saved(a.wasi);
    const b = await guest({}, ['fd_write']);
    restore(b.wasi, first);
    expect([b.write(0, 'x'), b.write(1, 'x')]).toEqual([8, 0]);
  });
});

describe('a saved state that cannot be is refused:', () => {
  const cases: [string, (body: Record<string, Json>) => unknown][] = [
    ['an inode twice', (body) => (body['inodes'] as Json[]).push((body['inodes'] as Json[])[0]!)],
    ['no root', (body) => (body['inodes'] = [])],
    ['a root that is a file', (body) => ((body['inodes'] as { directory: boolean }[])[0]!.directory = false)],
    ['a file longer than the contents', (body) => ((body['inodes'] as { bytes: number }[])[1]!.bytes = 99)],
    [
      'a file larger than all may be',
      (body) => ((body['inodes'] as { capacity: number }[])[1]!.capacity = 2 ** 40),
    ],
    [
      'an entry that leads nowhere',
      (body) => ((body['inodes'] as { entries: Json }[])[0]!.entries = [{ name: 'n', ino: 77 }]),
    ],
    ['a descriptor of nothing', (body) => ((body['descriptors'] as { ino: number }[])[4]!.ino = 77)],
    [
      'a descriptor of an unknown kind',
      (body) => ((body['descriptors'] as { kind: string }[])[4]!.kind = 'pipe'),
    ],
    ['a console that is none', (body) => ((body['descriptors'] as { ino: number }[])[0]!.ino = 9)],
  ];
  test.each(cases)('%s', async (_title, spoil) => {
    const a = await guest({ file: 'content' });
    a.open('file');
    const { unit, bytes } = saved(a.wasi);
    spoil(unit.body as Record<string, Json>);
    const b = await guest();
    expect(() => restore(b.wasi, { unit, bytes })).toThrow(TsvmmError);
  });

  test('files for a guest that uses none', async () => {
    const a = await guest({ file: 'content' });
    const state = saved(a.wasi);
    const b = await guest({}, ['fd_write']);
    expect(() => restore(b.wasi, state)).toThrow('wasi: has files, and the guest uses none');
  });
});
