import { checkBars, messagesOf } from './bars.ts';
import { read16, read32 } from './capability-table.ts';
import type { FleetDevice } from './fleet.ts';
import { meet } from './meet.ts';
import { bytesOf, type Plan, type PlanCapability } from './plan.ts';
import { overlaps, parseRange, rangeText } from './ranges.ts';
import { SVM_KEYS, type SvmKey, serves } from './svm-capabilities.ts';

/** One reason why a device does not fit a plan. */
export interface Misfit {
  readonly key: string;
  readonly why: string;
}

export interface CheckResult {
  readonly misfits: readonly Misfit[];
  /** How each capability of the plan is served on this device. */
  readonly served: readonly { readonly key: string; readonly by: string }[];
}

/** Whether guests that saw the plan can run on this device without noticing. */
export function checkDevice(plan: Plan, device: FleetDevice): CheckResult {
  const misfits: Misfit[] = [];
  const served: { key: string; by: string }[] = [];
  // A device without extended configuration space lacks bytes like another one: those that are missing can be emulated.
  if (device.space.bytes.length < plan.bytes && plan.policy.missing !== 'emulate') {
    misfits.push({
      key: 'space',
      why: `it has ${device.space.bytes.length} bytes, and the plan ${plan.bytes}`,
    });
  }
  misfits.push(...checkBars(plan.bars, device.bars, plan.policy.missing));
  for (const capability of plan.capabilities) {
    const { key, offset, length } = capability;
    for (const range of device.blocked) {
      if (!overlaps(range, { start: offset, end: offset + length })) continue;
      misfits.push({
        key,
        why: `bytes ${rangeText(range)} hold registers of the device (${device.blockedBy})`,
      });
    }
    const result = isSvm(key) ? checkSvm(capability, key, device) : checkCommon(capability, device, plan);
    if (result.why !== undefined) misfits.push({ key, why: result.why });
    else if (key === 'msix' && tableElsewhere(capability, plan, device))
      misfits.push({ key, why: 'its table is elsewhere in the BARs of the device' });
    served.push({ key, by: result.by });
  }
  return { misfits, served };
}

/** The table is part of a BAR: the VMM puts none over other registers of the device. */
function tableElsewhere({ contents }: PlanCapability, plan: Plan, device: FleetDevice): boolean {
  const own = messagesOf(device);
  const [table, pending] = [read32(bytesOf(contents), 4), read32(bytesOf(contents), 8)];
  const ours = plan.bars?.some(({ index, served }) => served === 'vmm' && index === (table & 7));
  return own !== undefined && ours !== true && (own.table !== table || own.pending !== pending);
}

const isSvm = (key: string): key is SvmKey => (SVM_KEYS as readonly string[]).includes(key);

interface Verdict {
  readonly by: string;
  readonly why?: string;
}

function checkSvm({ contents }: PlanCapability, key: SvmKey, { facts }: FleetDevice): Verdict {
  const by = "emulated by the VMM over the host's capability";
  if (!serves(facts, key)) return { by, why: `the host reports no ${key.toUpperCase()} for it` };
  if (key !== 'pasid') return { by };
  const cap = read16(bytesOf(contents), 4);
  const width = (cap >> 8) & 0x1f;
  if (facts.pasidWidth < width)
    return { by, why: `the plan has PASIDs of ${width} bits, the device of ${facts.pasidWidth}` };
  if ((cap & 2) !== 0 && !facts.pasidExec)
    return { by, why: 'the plan allows execute requests, the device has none' };
  if ((cap & 4) !== 0 && !facts.pasidPriv)
    return { by, why: 'the plan allows privileged requests, the device has none' };
  return { by };
}

function checkCommon(capability: PlanCapability, { anatomy, space }: FleetDevice, plan: Plan): Verdict {
  const { key, chain, offset, length, varies } = capability;
  const own = anatomy.capabilities.find((one) => one.key === key);
  if (own === undefined) {
    const by = 'emulated by the VMM alone';
    if (capability.served === 'vmm' || plan.policy.missing === 'emulate') return { by };
    return { by, why: 'the device does not have it' };
  }
  const by =
    own.offset === offset
      ? 'the device, in place'
      : `the device, from ${own.offset.toString(16).padStart(2, '0')}h`;
  // The log of TLP prefixes at the end of AER is the VMM's where the device has none.
  if (own.length < length && key !== 'aer')
    return { by, why: `the plan has ${length} bytes of it, the device ${own.length}` };
  // What the device can do, met with the plan, must be the plan: it promises nothing that the device lacks.
  const promised = bytesOf(capability.contents);
  const body = new Uint8Array(length);
  body.set(space.bytes.subarray(own.offset, own.offset + Math.min(length, own.length)));
  const { contents, varies: differs } = meet(key, chain, [promised, body]);
  const header = chain === 'standard' ? 2 : 4;
  for (let at = header; at < length; at++) {
    if (contents[at] !== promised[at] && !isIn(at, varies)) {
      return { by, why: `byte ${at.toString(16)}h promises more than the device has` };
    }
  }
  const unplanned = differs.find(({ start, end }) => !covered(start, end, varies));
  if (unplanned !== undefined)
    return { by, why: `bytes ${rangeText(unplanned)} of it differ, and the plan holds them fixed` };
  return { by };
}

const isIn = (at: number, ranges: readonly string[]): boolean => covered(at, at + 1, ranges);

function covered(start: number, end: number, ranges: readonly string[]): boolean {
  for (let at = start; at < end; at++) {
    const inside = ranges.some((text) => {
      const range = parseRange(text);
      return range !== undefined && range.start <= at && at < range.end;
    });
    if (!inside) return false;
  }
  return true;
}
