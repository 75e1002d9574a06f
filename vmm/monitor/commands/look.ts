/** Commands that look inside the machine and change nothing. */

import type { DeviceView } from '../../bus/device.ts';
import { DmaPort, EXEC, READ, WRITE } from '../../bus/dma.ts';
import type { ExplainedFault, WalkStep } from '../../bus/iommu.ts';
import { bdfText, parseBdf } from '../../core/bdf.ts';
import { didYouMean } from '../../core/suggest.ts';
import { hex, hi32, lo32 } from '../../core/u64.ts';
import { faultText, stepText } from '../../machine/explain.ts';
import type { Machine } from '../../machine/machine.ts';
import { command, type MonitorCommand, type MonitorContext } from '../command.ts';
import { MonitorError } from '../error.ts';
import { lookup, treeOf, treeText } from '../state-tree.ts';
import { ADDRESS, ANY, arrayOf, INT, may, named, need, object, oneOf, STR } from '../types.ts';

/** What `info` shows beside the answers to query commands. */
export const TOPICS = {
  pci: 'the functions on the PCI buses and their BARs',
  mtree: 'what is mapped where in memory and I/O port space',
  vconfig: 'virtual config spaces: who serves which capability, what is advertised and why not',
  passthrough: 'devices of the host: which path serves their DMA, and why not a better one',
  iommu: 'registers, latched values and caches of the IOMMU',
  pasid: 'what the IOMMU keeps by PASID',
  iotlb: 'the IOTLB',
  queues: 'the queues of the IOMMU and what waits in them',
  faults: 'the DMA faults so far, explained',
  irq: 'interrupt controllers and routing',
  limits: 'what a specification defines and tsvmm does not do',
  trace: 'the trace events',
} as const;
type Topic = keyof typeof TOPICS;

/** Views of the IOMMU itself rather than of the machine. */
const OF_IOMMU: readonly Topic[] = ['pasid', 'iotlb', 'queues'];

const STEP = object({
  what: STR,
  'address?': STR,
  raw: arrayOf(STR),
  fields: STR,
  source: oneOf('memory', 'cache'),
  'lastWriter?': STR,
});

const ACCESS = { r: READ, w: WRITE, x: READ | EXEC } as const;

interface Translation {
  readonly requester: string;
  readonly pasid?: number;
  readonly address: string;
  readonly access: keyof typeof ACCESS;
  readonly steps: readonly WalkStep[];
  readonly outcome: string;
}

export const LOOK_COMMANDS: readonly MonitorCommand[] = [
  command({
    name: 'x-tsvmm-info',
    summary: 'Show a view of the machine',
    details: Object.entries(TOPICS)
      .map(([name, doc]) => `${name}: ${doc}.`)
      .join(' '),
    args: { topic: need(oneOf(...Object.keys(TOPICS)), 'what to show') },
    result: ANY,
    run: (context, args) => viewOf(context, args['topic'] as Topic).json(),
    text: {
      name: 'info',
      usage: 'TOPIC',
      show: (_result, args, context) => viewOf(context, args['topic'] as Topic).text(),
      complete: () => Object.keys(TOPICS),
    },
  }),
  command({
    name: 'x-tsvmm-xlate',
    summary: 'Explain how a DMA request would be translated',
    details:
      'Nothing changes: no cache is filled, no fault is recorded. Every entry that is read is shown with its address, raw value and fields, whether a cache or memory answered, and who stored it last. A writer is known from the moment on at which the IOMMU first read the page.',
    args: {
      device: need(STR, 'requester: bus:device.function, or the id of a device'),
      address: need(ADDRESS, 'the address that the device uses'),
      access: may(oneOf('r', 'w', 'x'), 'read, write or execute; read if absent'),
      pasid: named(INT, 'the PASID of the request'),
    },
    result: object({
      requester: STR,
      'pasid?': INT,
      address: STR,
      access: oneOf('r', 'w', 'x'),
      steps: arrayOf(STEP),
      outcome: STR,
    }),
    run: ({ machine }, args) => translation(machine, args),
    text: {
      name: 'xlate',
      usage: 'BDF [pasid=N] ADDR [r|w|x]',
      show: (result) => translationText(result as Translation),
      complete: requesters,
    },
  }),
  command({
    name: 'x-tsvmm-inspect',
    summary: 'Show a part of the state',
    details:
      'The tree is what a snapshot of the machine would hold: devices by id, then the fields of their state. Without a path its top is shown.',
    args: { path: may(STR, 'names with dots between them, such as edu0.regs') },
    result: ANY,
    run: (context, args) => lookup(treeOf(context.units()), (args['path'] as string | undefined) ?? ''),
    text: {
      name: 'inspect',
      usage: '[a.b.c]',
      show: treeText,
      complete: (context) => Object.keys(treeOf(context.units())),
    },
  }),
];

function viewOf(context: MonitorContext, topic: Topic): Pick<DeviceView, 'json' | 'text'> {
  const { machine } = context;
  if (topic === 'faults') return faultsView(machine.faults);
  if (topic === 'iommu' || OF_IOMMU.includes(topic)) {
    if (machine.iommu === undefined) throw new MonitorError('this machine has no IOMMU');
  }
  const views: readonly DeviceView[] = OF_IOMMU.includes(topic)
    ? (machine.iommu?.views ?? [])
    : machine.views;
  const view = views.find((v) => v.name === topic);
  if (view !== undefined) return view;
  throw new MonitorError(`the IOMMU of this machine has no view '${topic}'; it has: ${names(views)}`);
}

function names(views: readonly DeviceView[]): string {
  return views.map((v) => v.name).join(', ');
}

function faultsView(faults: readonly ExplainedFault[]) {
  return { json: () => faults, text: () => faults.map(faultText).join('\n') };
}

function translation(machine: Machine, args: Readonly<Record<string, unknown>>): Translation {
  const requester = requesterOf(machine, args['device'] as string);
  const address = BigInt(args['address'] as string | number);
  const access = (args['access'] ?? 'r') as keyof typeof ACCESS;
  const pasid = args['pasid'] as number | undefined;
  if (pasid !== undefined && (pasid < 0 || pasid > 0xfffff))
    throw new MonitorError("Parameter 'pasid' expects a PASID of at most 20 bits");
  const head = {
    requester: bdfText(requester),
    ...(pasid === undefined ? {} : { pasid }),
    address: hex(address),
    access,
  };
  if (machine.iommu === undefined)
    return { ...head, steps: [], outcome: `this machine has no IOMMU: memory address ${hex(address)}` };
  const port = new DmaPort('monitor', requester, machine.translator, machine.memory);
  port.enabled = true;
  if (pasid !== undefined) port.pasid = pasid;
  const { steps, outcome } = machine.iommu.explain(port, lo32(address), hi32(address), ACCESS[access]);
  return { ...head, steps, outcome };
}

function translationText({ requester, pasid, address, access, steps, outcome }: Translation): string {
  const how = { r: 'read', w: 'write', x: 'execute' }[access];
  const by = `${requester}${pasid === undefined ? '' : ` pasid ${pasid}`}`;
  return [`${how} of ${address} by ${by}`, ...steps.map(stepText), `  ${outcome}`].join('\n');
}

/** @throws MonitorError for what is neither a place nor a device */
function requesterOf(machine: Machine, text: string): number {
  const known = machine.pciDevice(text)?.fn.bdf ?? parseBdf(text);
  if (known !== undefined) return known;
  const ids = machine.root.functions().map((fn) => fn.id);
  throw new MonitorError(`'${text}' is no requester; ${didYouMean(text, [...ids, 'bb:dd.f'])}`);
}

function requesters({ machine }: MonitorContext): readonly string[] {
  return machine.root.functions().map((fn) => bdfText(fn.bdf));
}
