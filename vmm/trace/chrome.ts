/**
 * The timeline in the Trace Event Format, which ui.perfetto.dev and chrome://tracing read.
 * Trace Event Format: JSON Object Format; Async Events; Flow Events; Instant Events; Metadata Events.
 */

import type { Item, Lane, Timeline } from './timeline.ts';

/** Events that a Chrome trace keeps: viewers of this format take no more. */
export const MOST_CHROME_EVENTS = 1 << 20;

/** What a store, an announcement and a fault last: one instruction. Arrows of flows end at slices that last. */
const SLICE_NS = 1;

interface ChromeEvent {
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  readonly name: string;
  readonly [key: string]: unknown;
}

interface Track {
  readonly pid: number;
  readonly tid: number;
}

interface Timed {
  /** ns. */
  readonly at: number;
  readonly event: ChromeEvent;
}

const GROUPS = ['guest', 'iommu', 'machine'] as const;
const GROUP_NAMES = { guest: 'guest', iommu: 'vIOMMU', machine: 'machine' } as const;
/** Process ids of requesters begin here, in the order in which they appear. */
const FIRST_REQUESTER = 16;
/** Threads of a requester: faults and DMAs without PASID, then one each PASID. */
const NO_PASID_THREAD = 1;

/** The whole file, one event a line. */
export function chromeTrace(timeline: Timeline): string {
  const tracks = tracksOf(timeline.lanes);
  const events = [
    ...metadata(timeline.lanes, tracks),
    ...inOrder(timeline, tracks).map(({ at, event }) => ({ ...event, ts: at / 1000 })),
  ];
  const other = { clock: 'virtual time', droppedEvents: timeline.dropped };
  const head = `{"displayTimeUnit":"ns","otherData":${JSON.stringify(other)},"traceEvents":[\n`;
  return `${head}${events.map((event) => JSON.stringify(event)).join(',\n')}\n]}\n`;
}

function tracksOf(lanes: readonly Lane[]): Track[] {
  const requesters = [...new Set(lanes.map((lane) => lane.requester).filter((r) => r !== undefined))];
  const threads = new Map<string, number>();
  return lanes.map((lane) => {
    if (lane.group === 'requester') {
      const pid = FIRST_REQUESTER + requesters.indexOf(lane.requester!);
      return { pid, tid: lane.pasid === undefined ? NO_PASID_THREAD : NO_PASID_THREAD + 1 + lane.pasid };
    }
    const tid = (threads.get(lane.group) ?? 0) + 1;
    threads.set(lane.group, tid);
    return { pid: GROUPS.indexOf(lane.group) + 1, tid };
  });
}

/** Names of processes and threads, and the order of the processes. */
function metadata(lanes: readonly Lane[], tracks: readonly Track[]): ChromeEvent[] {
  const events: ChromeEvent[] = [];
  const named = new Set<number>();
  lanes.forEach((lane, i) => {
    const { pid, tid } = tracks[i]!;
    if (!named.has(pid)) {
      named.add(pid);
      const name = lane.group === 'requester' ? requesterName(lane) : GROUP_NAMES[lane.group];
      events.push({ ph: 'M', pid, tid: 0, name: 'process_name', args: { name } });
      events.push({ ph: 'M', pid, tid: 0, name: 'process_sort_index', args: { sort_index: pid } });
    }
    events.push({ ph: 'M', pid, tid, name: 'thread_name', args: { name: threadName(lane) } });
  });
  return events;
}

function requesterName(lane: Lane): string {
  return lane.pasid === undefined ? lane.name : lane.name.replace(` PASID ${lane.pasid}`, '');
}

function threadName(lane: Lane): string {
  if (lane.group !== 'requester') return lane.name;
  return lane.pasid === undefined ? 'requests without PASID' : `PASID ${lane.pasid}`;
}

/** Items, ends of what lasts and flows, by time; at one time, beginnings before ends. */
function inOrder(timeline: Timeline, tracks: readonly Track[]): Timed[] {
  const begins: Timed[][] = timeline.items.map((item, i) => beginEvents(item, i, tracks[item.lane]!));
  timeline.flows.forEach((flow, id) => {
    flow.forEach((index, step) => {
      const item = timeline.items[index]!;
      const ph = step === 0 ? 's' : step === flow.length - 1 ? 'f' : 't';
      // An arrow that ends belongs to the slice around it, not to the next one.
      const binding = ph === 'f' ? { bp: 'e' } : {};
      const place = tracks[item.lane]!;
      const event = { ph, ...place, cat: 'table', name: 'table change', id: id + 1, ...binding };
      begins[index]!.push({ at: item.at, event });
    });
  });
  const ends = timeline.items.flatMap((item, i) => endEvents(item, i, tracks[item.lane]!));
  return [...begins.flat(), ...ends].sort((a, b) => a.at - b.at);
}

function beginEvents(item: Item, index: number, track: Track): Timed[] {
  const base = { ...track, cat: item.kind, name: item.name, args: item.args };
  if (item.end !== undefined) {
    const args = {
      ...item.args,
      ...(item.open === true ? { unfinished: true } : {}),
      ...(item.refused === true ? { refused: true } : {}),
    };
    return [{ at: item.at, event: { ph: 'b', ...base, args, id: asyncId(index) } }];
  }
  const instant: Timed = { at: item.at, event: { ph: 'i', ...base, s: 't' } };
  if (['event', 'invalidation', 'mistake'].includes(item.kind)) return [instant];
  const slice: Timed = { at: item.at, event: { ph: 'X', ...base, dur: SLICE_NS / 1000 } };
  return item.kind === 'fault' ? [slice, instant] : [slice];
}

function endEvents(item: Item, index: number, track: Track): Timed[] {
  if (item.end === undefined) return [];
  return [
    { at: item.end, event: { ph: 'e', ...track, cat: item.kind, name: item.name, id: asyncId(index) } },
  ];
}

function asyncId(index: number): string {
  return `0x${(index + 1).toString(16)}`;
}
