import { PASID_ENTRY, SCALABLE_CONTEXT_ENTRY } from '../../viommu/spec/vtd/structures.ts';
import type { VtdConfig } from '../../viommu/vtd/config.ts';
import { NO_PASID } from '../../vmm/bus/dma.ts';
import { CONTEXTS, type MachineOptions, ROOT, VtdMachine } from './vtd-machine.ts';

/** Everything of scalable mode, and a fault record for each request. */
export const SVM: Partial<VtdConfig> = { svm: true, 'fault-records': 4 };

/** Where the PASID directory and the first PASID table of a requester's context entry lie. */
export const DIRECTORY = 0x30000;
export const PASIDS = 0x38000;

type ContextFields = Partial<Record<keyof typeof SCALABLE_CONTEXT_ENTRY.fields, number>>;
export type PasidFields = Partial<Record<keyof typeof PASID_ENTRY.fields, number>>;

const POINTERS = new Set(['SSPTPTR', 'FSPTPTR', 'PASIDDIRPTR']);

/** A machine in scalable mode: 256-bit queue, one PASID directory, tables for PASIDs 0-63. */
export class ScalableMachine extends VtdMachine {
  constructor(options: MachineOptions = {}) {
    super({ ...options, config: { ...SVM, ...options.config } });
    this.store(DIRECTORY, PASIDS | 1);
  }

  /** The scalable context entry of `requester` and its half of the root entry. */
  scalableContext(requester: number, fields: ContextFields = {}): void {
    const upper = (requester & 0x80) !== 0;
    const table = CONTEXTS + (upper ? 0x1000 : 0);
    this.store(ROOT + (requester >>> 8) * 16 + (upper ? 8 : 0), table | 1);
    const all = { P: 1, DTE: 1, PASIDE: 1, PRE: 1, PDTS: 7, PASIDDIRPTR: DIRECTORY, ...fields };
    this.storeWords(table + (requester & 0x7f) * 32, SCALABLE_CONTEXT_ENTRY.pack(pages(all)));
  }

  /** The entry of a PASID below 64. */
  pasid(pasid: number, fields: PasidFields): void {
    const coherent = this.device.w.config['accessed-dirty'] ? 1 : 0;
    this.storeWords(PASIDS + pasid * 64, PASID_ENTRY.pack(pages({ P: 1, PWSNP: coherent, ...fields })));
  }

  /** Maps like map(), with entries as the first stage wants them: everything allowed above the leaf. */
  mapFirst(
    top: number,
    levels: number,
    iova: bigint | number,
    entry: bigint | number,
    leafLevel = 1,
  ): number {
    return this.mapWith(7n, top, levels, iova, entry, leafLevel);
  }

  /** Maps a table or a page of the second stage to itself. */
  identity(top: number, address: number, bits = 3): number {
    return this.map(top, 4, address, BigInt(address) | BigInt(bits));
  }

  mapWith(
    bits: bigint,
    top: number,
    levels: number,
    iova: bigint | number,
    entry: bigint | number,
    leafLevel = 1,
  ): number {
    let table = top;
    const v = BigInt(iova);
    for (let level = levels; ; level--) {
      const at = table + Number((v >> BigInt(12 + 9 * (level - 1))) & 511n) * 8;
      if (level === leafLevel) {
        this.store(at, entry);
        return at;
      }
      if (this.load(at) === 0n) this.store(at, BigInt(this.page()) | bits);
      table = Number(this.load(at) & 0xffff_f000n);
    }
  }

  pasidPort(requester: number, pasid = NO_PASID, privileged = false) {
    const port = this.port(requester);
    port.pasid = pasid;
    port.privileged = privileged;
    return port;
  }
}

function pages(fields: Record<string, number | undefined>): Record<string, number> {
  const out: Record<string, number> = {};
  for (const [key, value] of Object.entries(fields))
    if (value !== undefined) out[key] = POINTERS.has(key) ? value / 4096 : value;
  return out;
}
