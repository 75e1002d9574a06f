import { type QemuCost, qemuVersion } from '../qemu/cost.ts';
import { type VtdMode, vtdCost } from '../qemu/vtd-cost.ts';
import { type Contender, type Probe, rounds, type Times } from './rounds.ts';
import { figure, skip } from './row.ts';

/**
 * Rounds of our contenders and of QEMU's VT-d over sets of so many pages; where there is no QEMU, ours alone and undefined.
 */
export async function besideQemu(
  ours: readonly Contender[],
  pages: readonly number[],
  mode: VtdMode = 'VT-d',
  more: (qemu: QemuCost) => readonly Probe[] = () => [],
): Promise<Times | undefined> {
  const binary = process.env['BENCH_VS'];
  const version = binary === undefined ? undefined : qemuVersion(binary);
  if (binary === undefined || version === undefined) {
    const why = binary === undefined ? 'not asked for (--vs qemu-system-x86_64)' : `${binary} is not here`;
    for (const [name, values] of Object.entries(await rounds(ours))) figure(`DMA, ${name}`, 'ns', values);
    skip(`DMA against QEMU's ${mode}`, why);
    return undefined;
  }
  console.error(`against ${version}`);
  const qemu = await vtdCost(binary, mode);
  try {
    return await rounds([...ours, ...pages.flatMap((n) => qemu.probes(n)), ...more(qemu)]);
  } finally {
    await qemu.stop();
  }
}
