import type { McfgDescription } from '../description.ts';
import { ByteWriter, badDescription } from './bytes.ts';
import { buildTable } from './header.ts';

/** PCI Firmware Specification: MCFG Table Description. */
export function mcfg(description: McfgDescription): Uint8Array {
  const body = new ByteWriter('MCFG').zeros(8);
  for (const { base, segment, firstBus, lastBus } of description.allocations) {
    if (lastBus < firstBus) throw badDescription('MCFG', `bus range ${firstBus}..${lastBus} is empty`);
    body.u64(base).u16(segment).u8(firstBus).u8(lastBus).zeros(4);
  }
  return buildTable('MCFG', 1, body.done());
}
