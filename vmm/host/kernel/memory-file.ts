import { refuse } from './errno.ts';
import type { HostFile } from './files.ts';
import { type Backing, type HostMemory, PAGE_SIZE } from './host-memory.ts';

const PAGE = BigInt(PAGE_SIZE);

/** A file in memory whose pages can be mapped for DMA: a memfd, or a dma-buf, which its exporter may take back. */
export class MemoryFile implements HostFile {
  readonly name: string;
  readonly kind: 'memfd' | 'dmabuf';
  /** Bytes, a multiple of the page size. */
  readonly size: bigint;
  readonly #firstFrame: bigint;
  #revoked = false;

  constructor(memory: HostMemory, kind: 'memfd' | 'dmabuf', backing: Backing, name = `[${kind}]`) {
    this.name = name;
    this.kind = kind;
    this.size = BigInt(backing.buffer().byteLength) & ~(PAGE - 1n);
    this.#firstFrame = memory.add(backing);
  }

  /** The frame of page `index`. Throws ENODEV once revoked, EINVAL behind the end. */
  frame(index: bigint): bigint {
    if (this.#revoked) refuse('ENODEV', 'the dma-buf was revoked');
    if (index * PAGE >= this.size) refuse('EINVAL', 'the range ends behind the file');
    return this.#firstFrame + index;
  }

  get revoked(): boolean {
    return this.#revoked;
  }

  set revoked(revoked: boolean) {
    this.#revoked = revoked;
  }

  release(): void {}
}
