/** Configuration spaces: read, planned for a fleet of 1,000 generated devices, checked and synthesised. */
import { checkDevice } from '../../devices/vconfig/check.ts';
import { fleetOf } from '../../devices/vconfig/fleet.ts';
import { parseDump } from '../../devices/vconfig/parse.ts';
import { planFleet } from '../../devices/vconfig/plan-fleet.ts';
import { DEFAULT_POLICY } from '../../devices/vconfig/policy.ts';
import { parseQuirks } from '../../devices/vconfig/quirks.ts';
import { lspciText } from '../../devices/vconfig/render.ts';
import { synthesise } from '../../devices/vconfig/synthesise.ts';
import { bdfText } from '../../vmm/core/bdf.ts';
import { Rng } from '../../vmm/core/rng.ts';
import { buildSpace, type DeviceRegisters, REAL } from '../kit/config-spaces.ts';
import { type Contender, rounds } from './kit/rounds.ts';
import { figure, finish } from './kit/row.ts';

const DEVICES = 1000;
const NS_PER_MS = 1e6;
const QUIRKS = parseQuirks('quirks', '8086:0b25 800-8ff # a range\n1002:* 900-90f # another\n');

/** Real layouts whose extended capabilities were shuffled to other places. */
function generated(index: number, rng: Rng): DeviceRegisters {
  const [one] = [[REAL.dsa, REAL.fiji, REAL.navi10, REAL.skylakeGpu, REAL.cxl][index % 5] as DeviceRegisters];
  const shift = 4 * rng.below(16);
  const move = (at: number) => (at === 0 || at === 0x100 ? at : at + shift);
  const extended = one.extended.map(
    ([at, id, version, next, ...rest]) => [move(at), id, version, move(next), ...rest] as const,
  );
  return { ...one, name: bdfText(index + 8), extended };
}

async function main(): Promise<void> {
  const rng = new Rng(7);
  const spaces = Array.from({ length: DEVICES }, (_, index) => buildSpace(generated(index, rng)));
  const text = new TextEncoder().encode(
    spaces.map(({ name, title, bytes }) => lspciText(name, title, bytes)).join('\n'),
  );
  const fleet = fleetOf(spaces, QUIRKS);
  const { plan } = planFleet(fleet, DEFAULT_POLICY);
  if (plan === undefined) throw new Error('the fleet has no plan');
  const contenders: Contender[] = [
    { name: 'parse', operations: 1, run: () => parseDump('dump', text) },
    { name: 'dissect', operations: 1, run: () => fleetOf(spaces, QUIRKS) },
    { name: 'plan', operations: 1, run: () => planFleet(fleet, DEFAULT_POLICY) },
    { name: 'check', operations: 1, run: () => fleet.map((device) => checkDevice(plan, device)) },
    { name: 'synthesise', operations: 1, run: () => fleet.map((device) => synthesise(plan, device)) },
  ];
  const times = await rounds(contenders);
  const ms = (name: string) => (times[name] as readonly number[]).map((ns) => ns / NS_PER_MS);
  figure(`${DEVICES} devices: text of lspci -xxxx parsed`, 'ms', ms('parse'));
  figure(`${DEVICES} devices: chains walked, facts and hidden registers found`, 'ms', ms('dissect'));
  figure(`${DEVICES} devices: planned`, 'ms', ms('plan'), { text: '<= 1 s', value: 1000 });
  figure(`${DEVICES} devices: checked against the plan`, 'ms', ms('check'));
  figure(`${DEVICES} devices: spaces synthesised`, 'ms', ms('synthesise'));
  finish();
}

await main();
