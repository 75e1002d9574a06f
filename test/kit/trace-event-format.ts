/** What the published Trace Event Format asks of a file, as far as tsvmm writes it. Returns what is wrong, a line each. */

interface Event {
  readonly ph: string;
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly dur?: number;
  readonly cat?: string;
  readonly id?: string | number;
  readonly s?: string;
  readonly bp?: string;
  readonly args?: Readonly<Record<string, unknown>>;
}

export interface TraceFile {
  readonly traceEvents: readonly Event[];
  readonly displayTimeUnit?: string;
  readonly otherData?: Readonly<Record<string, unknown>>;
}

/** Metadata Events: names, and the argument each has to have. */
const METADATA: Readonly<Record<string, readonly [string, string]>> = {
  process_name: ['name', 'string'],
  thread_name: ['name', 'string'],
  process_labels: ['labels', 'string'],
  process_sort_index: ['sort_index', 'number'],
  thread_sort_index: ['sort_index', 'number'],
};

export function traceFormatProblems(file: TraceFile): string[] {
  const problems: string[] = [];
  if (!Array.isArray(file.traceEvents)) return ['traceEvents is not an array'];
  if (!['ms', 'ns', undefined].includes(file.displayTimeUnit)) problems.push('displayTimeUnit');
  for (const event of file.traceEvents) problems.push(...fieldProblems(event));
  const timed = file.traceEvents.filter((event) => event.ph !== 'M');
  timed.forEach((event, i) => {
    if (i > 0 && event.ts < timed[i - 1]!.ts) problems.push(`time goes back: ${show(event)}`);
  });
  problems.push(...asyncProblems(timed), ...flowProblems(timed), ...nameProblems(file.traceEvents));
  return problems;
}

function show(event: Event): string {
  return JSON.stringify(event);
}

function fieldProblems(event: Event): string[] {
  const wrong = (what: string) => `${what}: ${show(event)}`;
  const problems: string[] = [];
  if (typeof event.name !== 'string') problems.push(wrong('name'));
  if (!Number.isInteger(event.pid) || !Number.isInteger(event.tid)) problems.push(wrong('pid or tid'));
  if (event.ph !== 'M' && !(Number.isFinite(event.ts) && event.ts >= 0)) problems.push(wrong('ts'));
  switch (event.ph) {
    case 'M': {
      const known = METADATA[event.name];
      if (known === undefined || typeof event.args?.[known[0]] !== known[1]) problems.push(wrong('metadata'));
      break;
    }
    case 'X':
      if (!(Number.isFinite(event.dur) && event.dur! >= 0)) problems.push(wrong('dur'));
      break;
    case 'i':
      if (!['g', 'p', 't', undefined].includes(event.s)) problems.push(wrong('scope'));
      break;
    case 'b':
    case 'e':
    case 's':
    case 't':
    case 'f':
      if (event.id === undefined || typeof event.cat !== 'string') problems.push(wrong('id or cat'));
      break;
    default:
      problems.push(wrong('ph'));
  }
  return problems;
}

/** Async Events: every b has its e, of the same category, id and name, and none comes alone. */
function asyncProblems(events: readonly Event[]): string[] {
  const problems: string[] = [];
  const open = new Map<string, Event>();
  for (const event of events.filter(({ ph }) => ph === 'b' || ph === 'e')) {
    const key = `${event.cat} ${event.id}`;
    const begun = open.get(key);
    if (event.ph === 'b') {
      if (begun !== undefined) problems.push(`begun twice: ${show(event)}`);
      open.set(key, event);
    } else if (begun === undefined || begun.name !== event.name || begun.pid !== event.pid) {
      problems.push(`ends what has not begun: ${show(event)}`);
    } else open.delete(key);
  }
  return [...problems, ...[...open.values()].map((event) => `never ends: ${show(event)}`)];
}

/** Flow Events: an s, then t's, then one f, all of one category and name, each inside a slice of its thread. */
function flowProblems(events: readonly Event[]): string[] {
  const flows = new Map<string, Event[]>();
  for (const event of events.filter(({ ph }) => 'stf'.includes(ph))) {
    const key = `${event.cat} ${event.name} ${event.id}`;
    flows.set(key, [...(flows.get(key) ?? []), event]);
  }
  const problems: string[] = [];
  for (const [key, flow] of flows) {
    const phases = flow.map(({ ph }) => ph).join('');
    if (!/^st*f$/.test(phases)) problems.push(`flow ${key} is '${phases}'`);
    for (const event of flow) if (!inSlice(event, events)) problems.push(`in no slice: ${show(event)}`);
  }
  return problems;
}

function inSlice(flow: Event, events: readonly Event[]): boolean {
  return events.some(
    (e) =>
      e.ph === 'X' && e.pid === flow.pid && e.tid === flow.tid && e.ts <= flow.ts && flow.ts <= e.ts + e.dur!,
  );
}

/** Every process and thread that has events has a name. */
function nameProblems(events: readonly Event[]): string[] {
  const names = new Set(events.filter(({ ph }) => ph === 'M').map((e) => `${e.name} ${e.pid} ${e.tid}`));
  const nameless = events.filter(
    (e) =>
      e.ph !== 'M' && !(names.has(`process_name ${e.pid} 0`) && names.has(`thread_name ${e.pid} ${e.tid}`)),
  );
  return nameless.map((event) => `of a nameless thread: ${show(event)}`);
}
