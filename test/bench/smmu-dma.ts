/**
 * Translation by an SMMUv3, through DmaPort: pages that are cached and that are not, of stage 1, of stage 2 and of both, beside
 * VT-d's in the same rounds and against the cost of a page in QEMU's SMMUv3.
 */
import { mapped, shuffled, sweep } from './kit/dma.ts';
import { FIRST, mappedForPasid, NESTED as VTD_NESTED } from './kit/pasid.ts';
import { rounds, type Times } from './kit/rounds.ts';
import { compare, figure, finish, type Limit, skip } from './kit/row.ts';
import { Side } from './kit/side.ts';
import { mappedBySmmu, NESTED, STAGE1, STAGE2 } from './kit/smmu.ts';
import { type QemuCost, qemuVersion } from './qemu/cost.ts';
import { smmuCost } from './qemu/smmu-cost.ts';

const SETS = [16, 900, 4096] as const;
/** What fits QEMU's IOTLB of 256 entries, with the pages of queues: there more never hit. */
const QEMU_SETS: Readonly<Record<number, number>> = { 16: 16, 900: 200, 4096: 200 };
const PAGES = 65536;
/** More than the IOTLB of a unit with scalable mode holds. */
const SCALABLE_MISSES = 262144;
const STAGES = { 'stage 1': STAGE1, 'stage 2': STAGE2, nested: NESTED } as const;
/** What of VT-d is like it: legacy mode has one stage; both need scalable mode. */
const LIKE = { 'stage 1': 'legacy', 'stage 2': 'legacy', nested: 'nested' } as const;
const VTD_LIMIT: Limit = { text: '<= 1.3x of VT-d, or explained', ratio: 1.3 };
const HIT_LIMIT: Limit = { text: "<= 0.08x of QEMU's page", ratio: 0.08 };
const MISS_LIMITS: Readonly<Record<keyof typeof STAGES, Limit>> = {
  'stage 1': { text: "<= 0.15x of QEMU's added miss cost", ratio: 0.15 },
  'stage 2': { text: "<= 0.15x of QEMU's added miss cost", ratio: 0.15 },
  nested: { text: "<= 0.10x of QEMU's added miss cost", ratio: 0.1 },
};

const vtd = () => [
  ...SETS.map((pages) => sweep(`VT-d legacy hit, ${pages}`, mapped(pages))),
  sweep('VT-d legacy miss', mapped(PAGES)),
  sweep('VT-d legacy random', mapped(PAGES, {}, shuffled)),
  sweep('VT-d first-stage miss', mappedForPasid(FIRST, SCALABLE_MISSES)),
  ...SETS.map((pages) => sweep(`VT-d nested hit, ${pages}`, mappedForPasid(VTD_NESTED, pages))),
  sweep('VT-d nested miss', mappedForPasid(VTD_NESTED, SCALABLE_MISSES)),
  sweep('VT-d nested random', mappedForPasid(VTD_NESTED, SCALABLE_MISSES, shuffled)),
];

const ours = () =>
  Object.entries(STAGES).flatMap(([name, stage]) => [
    ...SETS.map((pages) => sweep(`${name} hit, ${pages}`, mappedBySmmu(stage, pages))),
    sweep(`${name} miss`, mappedBySmmu(stage, PAGES)),
    sweep(`${name} random`, mappedBySmmu(stage, PAGES, {}, shuffled)),
  ]);

function besideVtd(times: Times): void {
  for (const [name, like] of Object.entries(LIKE)) {
    for (const kind of [...SETS.map((pages) => `hit, ${pages}`), 'miss', 'random']) {
      const other = { name: `VT-d ${like}`, values: times[`VT-d ${like} ${kind}`]! };
      compare(`SMMUv3 ${name}, ${kind}`, 'ns', times[`${name} ${kind}`]!, other, VTD_LIMIT);
    }
  }
  figure('VT-d first-stage miss', 'ns', times['VT-d first-stage miss']!);
}

function besideQemu(times: Times, name: keyof typeof STAGES): void {
  const page = (pages: number) => times[`QEMU SMMUv3 ${name}, ${pages} pages`]!;
  for (const pages of SETS) {
    const hit = { name: `QEMU's page, ${QEMU_SETS[pages]} pages`, values: page(QEMU_SETS[pages]!) };
    compare(`SMMUv3 ${name}, hit, ${pages}`, 'ns', times[`${name} hit, ${pages}`]!, hit, HIT_LIMIT);
  }
  const plain = times[`QEMU none, ${PAGES} pages`]!;
  const miss = { name: "QEMU's added miss cost", values: page(PAGES).map((ns, round) => ns - plain[round]!) };
  for (const kind of ['miss', 'random'])
    compare(`SMMUv3 ${name}, ${kind}`, 'ns', times[`${name} ${kind}`]!, miss, MISS_LIMITS[name]);
}

async function qemu(): Promise<QemuCost | string> {
  const binary = process.env['BENCH_VS_ARM'];
  if (binary === undefined) return 'not asked for (--vs-arm qemu-system-aarch64)';
  const version = qemuVersion(binary);
  if (version === undefined) return `${binary} is not here`;
  console.error(`against ${version}`);
  return smmuCost(binary);
}

async function main(): Promise<void> {
  const side = await Side.start(vtd);
  const cost = await qemu();
  const theirs = typeof cost === 'string' ? [] : [16, 200, PAGES].flatMap((pages) => cost.probes(pages));
  const times = await rounds([...ours(), ...side.probes, ...theirs]);
  side.stop();
  besideVtd(times);
  for (const name of Object.keys(STAGES) as (keyof typeof STAGES)[]) {
    const why = typeof cost === 'string' ? cost : cost.missing.get(`SMMUv3 ${name}`);
    if (why === undefined) besideQemu(times, name);
    else skip(`SMMUv3 ${name}, against QEMU's`, why);
  }
  for (const [name, values] of Object.entries(times)) if (name.startsWith('QEMU')) figure(name, 'ns', values);
  if (typeof cost !== 'string') await cost.stop();
  finish();
}

await main();
