import { EXEC, READ, WRITE } from '../../vmm/bus/dma.ts';

/** STE.PRIVCFG, INSTCFG: unprivileged, data; privileged, instruction. Lower values leave it as it comes. */
export const OVERRIDE_OFF = 2;
export const OVERRIDE_ON = 3;

/**
 * What PCIe can be told of rights (SMMUv3: Permission attributes granted in ATS Translation Completions): INSTCFG makes every
 * read a fetch, or every fetch a read; without reading there is no fetching.
 */
export function expressible(rights: number, instruction: number): number {
  if (instruction === OVERRIDE_ON) return (rights & WRITE) | ((rights & EXEC) === 0 ? 0 : READ | EXEC);
  if ((rights & READ) === 0) return rights & WRITE;
  return instruction === OVERRIDE_OFF ? rights | EXEC : rights;
}
