import type { HostFile } from './files.ts';
import type { Process } from './process.ts';

/** A file whose contents the kernel makes up when it is opened, as those of sysfs are. */
export class TextFile implements HostFile {
  readonly name = '[text]';
  readonly #bytes: Uint8Array;
  #position = 0;

  constructor(text: string) {
    this.#bytes = new TextEncoder().encode(text);
  }

  read(caller: Process, address: bigint, length: number): number {
    const done = this.pread(caller, address, length, BigInt(this.#position));
    this.#position += done;
    return done;
  }

  pread(caller: Process, address: bigint, length: number, offset: bigint): number {
    if (offset >= BigInt(this.#bytes.length)) return 0;
    const bytes = this.#bytes.subarray(Number(offset), Number(offset) + length);
    caller.bytes(address, bytes.length, true).set(bytes);
    return bytes.length;
  }

  release(): void {}
}
