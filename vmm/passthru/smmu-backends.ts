import type { SmmuBackend } from '../../viommu/port/smmuv3.ts';

/** Several who forward from one SMMUv3, each the devices that it has. */
export class SmmuBackends implements SmmuBackend {
  failedAt = 0;
  readonly #all: readonly SmmuBackend[];

  constructor(all: readonly SmmuBackend[]) {
    this.#all = all;
  }

  configurationChanged(): void {
    for (const one of this.#all) one.configurationChanged();
  }

  streamsChanged(sid: number, order: number, cons: number): void {
    for (const one of this.#all) one.streamsChanged(sid, order, cons);
  }

  command(w0: number, w1: number, w2: number, w3: number, cons: number): void {
    for (const one of this.#all) one.command(w0, w1, w2, w3, cons);
  }

  /** All of them are done; the first error counts. */
  sync(): number {
    let error = 0;
    for (const one of this.#all) {
      const own = one.sync();
      if (own === 0 || error !== 0) continue;
      error = own;
      this.failedAt = one.failedAt;
    }
    return error;
  }
}
