/**
 * Register accesses of a guest to devices that decode and trace, several devices in one process, against a bare import
 * call. What the trap alone costs: trap.ts.
 */
import { GSTS, IQA } from '../../viommu/spec/vtd/registers.ts';
import { RegisterAccess } from './kit/register-access.ts';
import { rounds } from './kit/rounds.ts';
import { compare, finish } from './kit/row.ts';

const VTD = 0xfed90000;
/** Fault Event Data Register: plain storage. */
const FEDATA = 0x3c;
const EDU_LIVENESS = 4;

async function main(): Promise<void> {
  const access = new RegisterAccess();
  const { bare } = access;
  const liveness = access.cpu.bar('edu0') + EDU_LIVENESS;
  const contenders = [
    access.contender('trapped load32, VT-d GSTS', 'load32', VTD + GSTS.offset),
    access.contender('trapped store32, VT-d FEDATA', 'store32', VTD + FEDATA),
    access.contender('trapped load64, VT-d IQA', 'load64', VTD + IQA.offset),
    access.contender('trapped load32, edu liveness', 'load32', liveness),
    access.contender('trapped store32, edu liveness', 'store32', liveness),
  ];
  const times = await rounds([bare, ...contenders]);
  for (const { name } of contenders)
    compare(name, 'ns', times[name]!, { name: bare.name, values: times[bare.name]! });
  finish();
}

await main();
