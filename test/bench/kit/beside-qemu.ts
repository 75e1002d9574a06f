import { qemuVersion, VtdCost } from '../qemu/vtd-cost.ts';
import { type Contender, rounds, type Times } from './rounds.ts';
import { figure, skip } from './row.ts';

/**
 * Rounds of our contenders and of QEMU's VT-d over sets of so many pages; where there is no QEMU, ours alone and undefined.
 */
export async function besideQemu(
  ours: readonly Contender[],
  pages: readonly number[],
): Promise<Times | undefined> {
  const binary = process.env['BENCH_VS'];
  const version = binary === undefined ? undefined : qemuVersion(binary);
  if (binary === undefined || version === undefined) {
    const why = binary === undefined ? 'not asked for (--vs qemu-system-x86_64)' : `${binary} is not here`;
    for (const [name, values] of Object.entries(await rounds(ours)))
      figure(`DMA page, ${name}`, 'ns', values);
    skip("DMA page against QEMU's VT-d", why);
    return undefined;
  }
  console.error(`against ${version}`);
  const qemu = await VtdCost.start(binary);
  try {
    return await rounds([...ours, ...pages.flatMap((n) => qemu.probes(n))]);
  } finally {
    await qemu.stop();
  }
}
