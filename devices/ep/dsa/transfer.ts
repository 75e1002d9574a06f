import { READ } from '../../../vmm/bus/dma.ts';
import { ATS_OK, type AtsAgent } from '../../pci/ats-agent.ts';
import { E_DESCRIPTOR, E_PASID, E_PRIVILEGED } from './engine.ts';

/** Bytes an engine holds at once. */
export const CHUNK = 0x10000;

/**
 * The memory side of one engine: moves bytes between the addresses of its descriptor and its buffers, as far as pages
 * allow, and remembers where and why it stopped.
 */
export class Transfer {
  readonly first = new Uint8Array(CHUNK);
  readonly second = new Uint8Array(CHUNK);
  /** Why the last short move stopped: one of ATS_, and where. */
  stop = ATS_OK;
  stopLo = 0;
  stopHi = 0;
  stopWrite = false;
  readonly #agent: AtsAgent;
  readonly #engines: Uint32Array;
  readonly #at: number;

  constructor(agent: AtsAgent, engines: Uint32Array, at: number) {
    this.#agent = agent;
    this.#engines = engines;
    this.#at = at;
  }

  /** Reads at the address in words `word`, `word` + 1 of the descriptor, plus `offset`. Returns the bytes read. */
  fetch(word: number, offset: number, into: Uint8Array, at: number, n: number): number {
    const i = this.#at + E_DESCRIPTOR + word;
    return this.fetchAt(this.#engines[i]!, this.#engines[i + 1]!, offset, into, at, n);
  }

  fetchAt(lo: number, hi: number, offset: number, into: Uint8Array, at: number, n: number): number {
    if (n === 0) return 0;
    const engines = this.#engines;
    const agent = this.#agent;
    const low = (lo + offset) | 0;
    const high = (hi + (low >>> 0 < lo >>> 0 ? 1 : 0)) | 0;
    const status = agent.read(this.#pasid, engines[this.#at + E_PRIVILEGED] === 1, low, high, into, at, n);
    return status === ATS_OK ? n : this.#stopped(status, false);
  }

  store(word: number, offset: number, from: Uint8Array, at: number, n: number): number {
    const i = this.#at + E_DESCRIPTOR + word;
    return this.storeAt(this.#engines[i]!, this.#engines[i + 1]!, offset, from, at, n);
  }

  storeAt(lo: number, hi: number, offset: number, from: Uint8Array, at: number, n: number): number {
    if (n === 0) return 0;
    const engines = this.#engines;
    const agent = this.#agent;
    const low = (lo + offset) | 0;
    const high = (hi + (low >>> 0 < lo >>> 0 ? 1 : 0)) | 0;
    const status = agent.write(this.#pasid, engines[this.#at + E_PRIVILEGED] === 1, low, high, from, at, n);
    return status === ATS_OK ? n : this.#stopped(status, true);
  }

  /** Asks for the page without moving data; false where there is none. */
  touch(word: number, offset: number): boolean {
    const engines = this.#engines;
    const agent = this.#agent;
    const i = this.#at + E_DESCRIPTOR + word;
    const low = (engines[i]! + offset) | 0;
    const high = (engines[i + 1]! + (low >>> 0 < engines[i]! ? 1 : 0)) | 0;
    const status = agent.access(this.#pasid, engines[this.#at + E_PRIVILEGED] === 1, low, high, READ);
    if (status === ATS_OK) return true;
    this.#stopAt(status, low, high, false);
    return false;
  }

  get #pasid(): number {
    return (this.#engines[this.#at + E_PASID]! | 0) - 1;
  }

  #stopped(status: number, write: boolean): number {
    this.#stopAt(status, this.#agent.faultLo, this.#agent.faultHi, write);
    return this.#agent.done;
  }

  #stopAt(status: number, lo: number, hi: number, write: boolean): void {
    this.stop = status;
    this.stopLo = lo;
    this.stopHi = hi;
    this.stopWrite = write;
  }
}
