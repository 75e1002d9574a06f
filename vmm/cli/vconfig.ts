/** `tsvmm vconfig plan|check|show|diff`. */

import { checkDevice } from '../../devices/vconfig/check.ts';
import type { Conflict } from '../../devices/vconfig/conflict.ts';
import type { FleetDevice } from '../../devices/vconfig/fleet.ts';
import { idText, labelOf } from '../../devices/vconfig/fleet.ts';
import type { Plan } from '../../devices/vconfig/plan.ts';
import { type DeviceChange, planFleet } from '../../devices/vconfig/plan-fleet.ts';
import type { Policy } from '../../devices/vconfig/policy.ts';
import { type ByteRange, rangeText } from '../../devices/vconfig/ranges.ts';
import { describe, lspciText, mapSvg, mapText } from '../../devices/vconfig/render.ts';
import { dissect, ownership } from '../../devices/vconfig/space.ts';
import { SVM_KEYS, type SvmKey } from '../../devices/vconfig/svm-capabilities.ts';
import { synthesise } from '../../devices/vconfig/synthesise.ts';
import { vfioView } from '../../devices/vconfig/vfio-view.ts';
import { EXIT, type ExitCode, TsvmmError } from '../core/errors.ts';
import { didYouMean } from '../core/suggest.ts';
import type { Invocation } from './command.ts';
import type { Context } from './context.ts';
import { writeWhole } from './output-file.ts';
import type { VCONFIG_CHECK, VCONFIG_DIFF, VCONFIG_PLAN, VCONFIG_SHOW } from './table.ts';
import { isPlan, readFleet, readPlan, readPolicy, readQuirks } from './vconfig-files.ts';

const hex3 = (value: number): string => value.toString(16).padStart(value < 0x100 ? 2 : 3, '0');

function fleetFrom(
  files: readonly string[],
  quirks: string | undefined,
  backend: Context['backend'],
): Promise<readonly FleetDevice[]> {
  return readFleet(files, readQuirks(quirks), async () => (await backend()).registry());
}

// plan

export async function vconfigPlan(
  { host, backend }: Context,
  { options, operands }: Invocation<typeof VCONFIG_PLAN.options>,
): Promise<ExitCode> {
  refuseTogether(options, 'base', ['policy', 'want'], 'the plan keeps the policy it was made with');
  const devices = only(await fleetFrom(operands, options['vconfig-quirks'], backend), options.device);
  const base = options.base === undefined ? undefined : await readPlan(options.base);
  const policy = base === undefined ? wanted(await readPolicy(options.policy), options.want) : base.policy;
  const result = planFleet(devices, policy, base);
  if (result.plan === undefined) {
    host.err(conflictText(result.conflict));
    return EXIT.guestFailed;
  }
  const { plan, changes } = result;
  const misfits = devices.flatMap((device) =>
    checkDevice(plan, device).misfits.map(({ key, why }) => `${labelOf(device)}: ${key}: ${why}\n`),
  );
  if (misfits.length > 0) {
    host.err(`no plan: ${misfits.length} reason(s)\n${misfits.join('')}`);
    return EXIT.guestFailed;
  }
  const text = `${JSON.stringify(plan, null, 2)}\n`;
  if (options.out !== undefined) writeWhole(options.out, text);
  host.out(options.json ? text : planText(plan, changes));
  return EXIT.ok;
}

function wanted(policy: Policy, list: string | undefined): Policy {
  if (list === undefined) return policy;
  const want = list.split(',').filter((one) => one !== '' && one !== 'none');
  for (const one of want) {
    if ((SVM_KEYS as readonly string[]).includes(one)) continue;
    throw new TsvmmError({
      code: 'bad-value',
      object: '--want',
      why: `there is no '${one}'`,
      mend: didYouMean(one, SVM_KEYS),
    });
  }
  return { ...policy, want: want as SvmKey[] };
}

function planText(plan: Plan, changes: readonly DeviceChange[]): string {
  const lines = [
    `${plan.capabilities.length} capabilities in ${plan.bytes} bytes, for ${changes.length} device(s)`,
    '',
  ];
  for (const { key, offset, length, version, chain, served } of plan.capabilities) {
    const place = `${hex3(offset)}-${hex3(offset + length - 1)}`;
    lines.push(
      `  ${place.padEnd(8)} ${key.padEnd(18)} ${chain === 'extended' ? `v${version} ` : '   '}${served === 'vmm' ? 'emulated' : ''}`.trimEnd(),
    );
  }
  for (const { index, kind, prefetchable, size, served } of plan.bars ?? []) {
    const what = `${kind}${prefetchable ? ' prefetchable' : ''} ${size} bytes`;
    lines.push(`  bar ${index}    ${what}${served === 'vmm' ? ', emulated: the table of MSI-X' : ''}`);
  }
  for (const { device, loses, gains, moves } of changes) {
    lines.push('', `${labelOf(device)} ${idText(device.space.bytes)}`);
    for (const { key, why } of loses) lines.push(`  loses ${key}: ${why}`);
    for (const key of gains) lines.push(`  gains ${key}`);
    for (const { key, from, to } of moves) lines.push(`  moves ${key} from ${hex3(from)} to ${hex3(to)}`);
    if (loses.length + gains.length + moves.length === 0) lines.push('  looks as it is');
  }
  return `${lines.join('\n')}\n`;
}

function conflictText({ key, length, area, devices, layout }: Conflict): string {
  const where = `${hex3(area.start)}-${hex3(area.end - 1)}`;
  const lines = [`no plan: ${key} (${length} bytes) finds no place in ${where}`];
  if (layout.length > 0) lines.push(`  the layout takes ${layout.map(rangeText).join(', ')}`);
  for (const { device, ranges } of devices) {
    lines.push(
      `  ${labelOf(device)} ${idText(device.space.bytes)} has registers at ${ranges.map(rangeText).join(', ')} (${device.blockedBy})`,
    );
  }
  return `${lines.join('\n')}\n`;
}

/** Options that would be ignored beside another one. */
function refuseTogether(
  options: Readonly<Record<string, unknown>>,
  main: string,
  others: readonly string[],
  why: string,
): void {
  const given = (name: string) => {
    const value = options[name];
    return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== false;
  };
  const idle = given(main) ? others.find(given) : undefined;
  if (idle === undefined) return;
  throw new TsvmmError({
    code: 'options-exclude',
    object: `--${idle}`,
    why: `does not go with --${main}: ${why}`,
    mend: 'leave out one of them',
  });
}

// check

export async function vconfigCheck(
  { host, backend }: Context,
  { options, operands }: Invocation<typeof VCONFIG_CHECK.options>,
): Promise<ExitCode> {
  const plan = await readPlan(operands[0]!);
  const devices = only(
    await fleetFrom(operands.slice(1), options['vconfig-quirks'], backend),
    options.device,
  );
  const results = devices.map((device) => ({ device: labelOf(device), ...checkDevice(plan, device) }));
  const fits = results.every(({ misfits }) => misfits.length === 0);
  if (options.json) {
    const list = results.map((one) => ({
      device: one.device,
      fits: one.misfits.length === 0,
      misfits: one.misfits,
      served: one.served,
    }));
    host.out(`${JSON.stringify({ fits, devices: list })}\n`);
  } else {
    for (const { device, misfits, served } of results) {
      host.out(`${device}: ${misfits.length === 0 ? 'fits' : 'does not fit'}\n`);
      for (const { key, why } of misfits) host.out(`  ${key}: ${why}\n`);
      if (misfits.length === 0) for (const { key, by } of served) host.out(`  ${key}: ${by}\n`);
    }
  }
  return fits ? EXIT.ok : EXIT.guestFailed;
}

// show

interface Shown {
  readonly name: string;
  readonly title: string;
  readonly bytes: Uint8Array;
  readonly quirks: readonly ByteRange[];
}

export async function vconfigShow(
  { host, backend }: Context,
  { options, operands }: Invocation<typeof VCONFIG_SHOW.options>,
): Promise<ExitCode> {
  refuseTogether(options, 'plan', ['view'], 'a plan is a view of its own');
  refuseTogether(options, 'json', ['format'], 'JSON has everything in one form');
  if (operands.length === 0 && options.plan !== undefined) {
    refuseTogether(options, 'plan', ['device'], 'without a dump there is no device');
  }
  const plan = options.plan === undefined ? undefined : await readPlan(options.plan);
  const fleet = only(await fleetFrom(operands, options['vconfig-quirks'], backend), options.device);
  const shown =
    operands.length === 0 ? planAlone(plan) : fleet.map((device) => shownOf(device, plan, options.view));
  if (options.json) {
    host.out(`${JSON.stringify({ spaces: shown.map(jsonOf) })}\n`);
    return EXIT.ok;
  }
  host.out(shown.map((one) => render(one, options.format ?? 'decoded', host.outColor)).join('\n'));
  return EXIT.ok;
}

function only(fleet: readonly FleetDevice[], slots: readonly string[]): readonly FleetDevice[] {
  if (slots.length === 0) return fleet;
  return slots.flatMap((slot) => {
    const found = fleet.filter(({ space }) => space.name === slot || space.name === `0000:${slot}`);
    if (found.length > 0) return found;
    const names = fleet.map(({ space }) => space.name);
    throw new TsvmmError({
      code: 'unknown-device',
      object: '--device',
      why: `no dump has a device ${slot}`,
      mend: didYouMean(slot, names),
    });
  });
}

function planAlone(plan: Plan | undefined): readonly Shown[] {
  if (plan === undefined) {
    throw new TsvmmError({
      code: 'missing-operand',
      object: 'tsvmm vconfig show',
      why: 'has nothing to show',
      mend: 'give a DUMP, or --plan PLAN, or both',
    });
  }
  return [{ name: '00:00.0', title: '', bytes: synthesise(plan), quirks: [] }];
}

function shownOf(device: FleetDevice, plan: Plan | undefined, view: string | undefined): Shown {
  const { name, title, bytes } = device.space;
  if (plan !== undefined) return { name, title, bytes: synthesise(plan, device), quirks: [] };
  return { name, title, bytes: view === 'vfio' ? vfioView(bytes) : bytes, quirks: device.blocked };
}

function render({ name, title, bytes, quirks }: Shown, format: string, color: boolean): string {
  switch (format) {
    case 'lspci':
      return lspciText(name, title, bytes);
    case 'map':
      return `${name} ${title}\n${mapText(bytes, quirks, color)}`;
    case 'svg':
      return mapSvg(`${name} ${title}`, bytes, quirks);
    default:
      return `${[`${name} ${idText(bytes)} ${title}`.trimEnd(), ...describe(bytes).map((line) => `  ${line}`)].join('\n')}\n`;
  }
}

function jsonOf({ name, bytes }: Shown) {
  const anatomy = dissect(bytes);
  return {
    device: name,
    bytes: Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(''),
    capabilities: anatomy.capabilities.map(({ key, kind, offset, length, version, exact }) => ({
      key,
      name: kind.name,
      chain: kind.chain,
      offset,
      length,
      version,
      exact,
      hidden: !kind.shown,
    })),
    free: ownership(bytes, anatomy)
      .filter((owner) => owner.class === 'unclaimed')
      .map(rangeText),
    diagnoses: anatomy.diagnoses,
  };
}

// diff

export async function vconfigDiff(
  { host, backend }: Context,
  { options, operands }: Invocation<typeof VCONFIG_DIFF.options>,
): Promise<ExitCode> {
  const [a, b] = operands as [string, string];
  const plans = [isPlan(a), isPlan(b)];
  if (plans[0] !== plans[1]) {
    throw new TsvmmError({
      code: 'bad-operand',
      object: b,
      why: `is not of the same sort as ${a}`,
      mend: 'give two plans, or two dumps',
    });
  }
  const [first, second = first] = slotsOf(options.device, plans[0] === true);
  const differences = plans[0]
    ? planDifferences(await readPlan(a), await readPlan(b))
    : spaceDifferences(await single(a, first, backend), await single(b, second, backend));
  const same = differences.length === 0;
  if (options.json) host.out(`${JSON.stringify({ same, differences })}\n`);
  else for (const one of differences) host.out(`${one.what}: ${one.a} -> ${one.b}\n`);
  return same ? EXIT.ok : EXIT.guestFailed;
}

interface Difference {
  readonly what: string;
  readonly a: string;
  readonly b: string;
}

/** The devices that --device names: of A, and of B. */
function slotsOf(slots: readonly string[], ofPlans: boolean): readonly string[] {
  if (slots.length <= (ofPlans ? 0 : 2)) return slots;
  throw new TsvmmError({
    code: 'bad-value',
    object: '--device',
    why: ofPlans ? 'plans have no devices' : `names ${slots.length} devices, and two are compared`,
    mend: ofPlans ? 'leave it out' : 'give one for each, or one for both',
  });
}

async function single(
  file: string,
  slot: string | undefined,
  backend: Context['backend'],
): Promise<Uint8Array> {
  const all = await readFleet([file], [], async () => (await backend()).registry());
  const devices = only(all, slot === undefined ? [] : [slot]);
  if (devices.length === 1) return (devices[0] as FleetDevice).space.bytes;
  throw new TsvmmError({
    code: 'bad-operand',
    object: file,
    why: `has ${devices.length} devices`,
    mend: 'choose one with --device',
  });
}

function planDifferences(a: Plan, b: Plan): Difference[] {
  const out: Difference[] = [];
  const note = (what: string, left: unknown, right: unknown) => {
    if (left !== right) out.push({ what, a: String(left ?? 'absent'), b: String(right ?? 'absent') });
  };
  note('bytes', a.bytes, b.bytes);
  note('header', a.header, b.header);
  const keys = new Set([...a.capabilities, ...b.capabilities].map(({ key }) => key));
  for (const key of keys) {
    const [left, right] = [a, b].map((plan) => plan.capabilities.find((one) => one.key === key));
    note(`${key} at`, left && hex3(left.offset), right && hex3(right.offset));
    if (left === undefined || right === undefined) continue;
    note(`${key} length`, left.length, right.length);
    note(`${key} version`, left.version, right.version);
    note(`${key} contents`, left.contents, right.contents);
    note(`${key} varies`, left.varies.join(',') || 'nothing', right.varies.join(',') || 'nothing');
    note(`${key} served by`, left.served, right.served);
  }
  return out;
}

/** Capabilities by place, and every run of bytes that differs, with what it belongs to. */
function spaceDifferences(a: Uint8Array, b: Uint8Array): Difference[] {
  const out: Difference[] = [];
  if (a.length !== b.length) out.push({ what: 'bytes', a: String(a.length), b: String(b.length) });
  const owners = ownership(a);
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; ) {
    if (a[at] === b[at]) {
      at++;
      continue;
    }
    const owner = owners.find(({ start, end }) => start <= at && at < end);
    let end = at + 1;
    while (end < Math.min(length, owner?.end ?? length) && a[end] !== b[end]) end++;
    const text = (space: Uint8Array) =>
      Array.from(space.subarray(at, end), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
    out.push({
      what: `${rangeText({ start: at, end })} (${owner?.name ?? 'behind the end'})`,
      a: text(a),
      b: text(b),
    });
    at = end;
  }
  return out;
}
