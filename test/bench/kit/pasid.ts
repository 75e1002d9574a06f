import { ScalableMachine } from '../../kit/vtd-scalable.ts';
import { DEVICE, IOVA, type Mapped, TARGET } from './dma.ts';

/** PASID-table entry: PGTT. */
export const FIRST = 1;
export const SECOND = 2;
export const NESTED = 3;

export const PASID = 5;
const RAM = 512 << 20;
/** Pages that input pages lead to, over and over. */
const TARGETS = 16384;
/** Accessed and dirty are set, as they are after the first round. */
const FIRST_LEAF = 0x67;
const SECOND_LEAF = 0x303;

/** `pages` pages of PASID 5, 4 levels a stage; nested, the first stage's tables and pages go through the second by identity. */
export function mappedForPasid(
  type: number,
  pages: number,
  order?: (pages: number) => Uint32Array,
  cache: 'normal' | 'unbounded' = 'normal',
): Mapped & { readonly machine: ScalableMachine } {
  const machine = new ScalableMachine({ ramBytes: RAM, config: { cache } });
  const first = machine.page();
  const tables = first;
  for (let i = 0; type !== SECOND && i < pages; i++)
    machine.mapFirst(first, 4, IOVA + i * 4096, targetOf(i) | FIRST_LEAF);
  const second = machine.page();
  if (type === NESTED) {
    for (let page = tables; page < second; page += 4096) machine.identity(second, page, SECOND_LEAF);
    for (let i = 0; i < Math.min(pages, TARGETS); i++) machine.identity(second, targetOf(i), SECOND_LEAF);
  }
  for (let i = 0; type === SECOND && i < pages; i++)
    machine.map(second, 4, IOVA + i * 4096, targetOf(i) | SECOND_LEAF);
  machine.scalableContext(DEVICE);
  machine.pasid(PASID, { PGTT: type, DID: 5, AW: 2, FSPTPTR: first, SSPTPTR: second });
  machine.startScalable();
  const numbers = order?.(pages) ?? Uint32Array.from({ length: pages }, (_, i) => i);
  return { machine, port: machine.pasidPort(DEVICE, PASID), addresses: numbers.map((n) => IOVA + n * 4096) };
}

function targetOf(page: number): number {
  return TARGET + (page % TARGETS) * 4096;
}
