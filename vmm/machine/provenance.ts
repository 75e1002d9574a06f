import type { Provenance } from '../bus/iommu.ts';

/** Provenance of a machine: whatever vCPU runs on it at the moment, or nobody. */
export class MachineProvenance implements Provenance {
  #source: Provenance | undefined;

  follow(source: Provenance): void {
    this.#source = source;
  }

  lastWriter(address: number): string | undefined {
    return this.#source?.lastWriter(address);
  }

  here(): string | undefined {
    return this.#source?.here();
  }
}
