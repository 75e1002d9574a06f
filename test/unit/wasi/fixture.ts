import type { WasiMemory } from '../../../vmm/vcpu/wasi/memory.ts';
import { createWasi, type Wasi, type WasiOptions } from '../../../vmm/vcpu/wasi/wasi.ts';

/** RAM at 64 KiB .. 128 KiB of a 192 KiB memory: both sides of it must stay untouched. */
export const BASE = 0x10000;
export const END = 0x20000;
const SIZE = 0x30000;

export class TestMemory implements WasiMemory {
  readonly u8 = new Uint8Array(SIZE);
  readonly base = BASE;
  readonly end = END;
  readonly view = new DataView(this.u8.buffer);
  readonly writes: [number, number][] = [];

  wrote(address: number, bytes: number): void {
    this.writes.push([address, bytes]);
  }

  put(address: number, text: string): number {
    const bytes = Buffer.from(text);
    this.u8.set(bytes, address);
    return bytes.length;
  }

  text(address: number, length: number): string {
    return Buffer.from(this.u8.subarray(address, address + length)).toString();
  }

  iovec(at: number, pointer: number, length: number): void {
    this.view.setUint32(at, pointer, true);
    this.view.setUint32(at + 4, length, true);
  }
}

/** Every function of WASI preview 1 by its parameters (i: i32, I: i64). */
export const SIGNATURES: Readonly<Record<string, string>> = {
  args_get: 'ii',
  args_sizes_get: 'ii',
  environ_get: 'ii',
  environ_sizes_get: 'ii',
  clock_res_get: 'ii',
  clock_time_get: 'iIi',
  fd_advise: 'iIIi',
  fd_allocate: 'iII',
  fd_close: 'i',
  fd_datasync: 'i',
  fd_fdstat_get: 'ii',
  fd_fdstat_set_flags: 'ii',
  fd_fdstat_set_rights: 'iII',
  fd_filestat_get: 'ii',
  fd_filestat_set_size: 'iI',
  fd_filestat_set_times: 'iIIi',
  fd_pread: 'iiiIi',
  fd_prestat_get: 'ii',
  fd_prestat_dir_name: 'iii',
  fd_pwrite: 'iiiIi',
  fd_read: 'iiii',
  fd_readdir: 'iiiIi',
  fd_renumber: 'ii',
  fd_seek: 'iIii',
  fd_sync: 'i',
  fd_tell: 'ii',
  fd_write: 'iiii',
  path_create_directory: 'iii',
  path_filestat_get: 'iiiii',
  path_filestat_set_times: 'iiiiIIi',
  path_link: 'iiiiiii',
  path_open: 'iiiiiIIii',
  path_readlink: 'iiiiii',
  path_remove_directory: 'iii',
  path_rename: 'iiiiii',
  path_symlink: 'iiiii',
  path_unlink_file: 'iii',
  poll_oneoff: 'iiii',
  proc_exit: 'i',
  proc_raise: 'i',
  random_get: 'ii',
  sched_yield: '',
  sock_accept: 'iii',
  sock_recv: 'iiiiii',
  sock_send: 'iiiii',
  sock_shutdown: 'ii',
};

export interface Guest {
  readonly memory: TestMemory;
  readonly wasi: Wasi;
  readonly out: string[];
  readonly slept: number[];
  call(name: string, ...args: (number | bigint)[]): number;
}

export async function guest(options: Partial<WasiOptions> = {}): Promise<Guest> {
  const memory = new TestMemory();
  const out: string[] = [];
  const slept: number[] = [];
  let now = 1000;
  const wasi = await createWasi({
    args: ['guest'],
    env: {},
    stdout: (bytes) => out.push(`1:${Buffer.from(bytes)}`),
    stderr: (bytes) => out.push(`2:${Buffer.from(bytes)}`),
    memory,
    imports: Object.keys(SIGNATURES),
    clock: { nowNs: () => now, realtimeAtStartNs: 1_700_000_000_000_000_000n },
    sleepNs: (ns) => {
      slept.push(ns);
      now += ns;
    },
    random: (target) => target.fill(0x5a),
    ...options,
  });
  return {
    memory,
    wasi,
    out,
    slept,
    call: (name, ...args) => (wasi.functions[name] as (...args: (number | bigint)[]) => number)(...args),
  };
}
