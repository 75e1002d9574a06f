/** Files of a recorded run of Linux; test/fixtures/linux/README.md describes them. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

const PAGE = 4096;

/** Memory that recorded pages are put into. */
export interface PageStore {
  put(page: number, bytes: Buffer): void;
  clear(page: number): void;
}

/** Lines of JSON. */
export function recordedLines<T>(file: string): T[] {
  return gunzipSync(readFileSync(file))
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
}

/** Pages of tables, as they were at recorded moments. */
export class RecordedPages {
  readonly #folder: string;
  readonly #store: PageStore;
  readonly #pages = new Set<number>();

  constructor(folder: string, store: PageStore) {
    this.#folder = folder;
    this.#store = store;
  }

  /** Those of a moment; a page of tables that is not in the file is all zero. */
  load(moment: string | undefined): void {
    if (moment === undefined) return;
    for (const page of this.#pages) this.#store.clear(page);
    this.#pages.clear();
    for (const page of this.put(`${moment}.pages.gz`)) this.#pages.add(page);
  }

  /** Puts the pages of a file, to stay; returns where. */
  put(name: string): number[] {
    const bytes = gunzipSync(readFileSync(`${this.#folder}/${name}`));
    const pages: number[] = [];
    for (let at = 0; at < bytes.length; at += 8 + PAGE) {
      const page = Number(bytes.readBigUInt64LE(at));
      this.#store.put(page, bytes.subarray(at + 8, at + 8 + PAGE));
      pages.push(page);
    }
    return pages;
  }
}
