/**
 * The subset of QEMU's command line that qtest programs use. One declared table: what is not in it is refused by name, and
 * nothing in it is without effect but where its doc says so.
 */

import { completeOptions } from '../bus/iommu.ts';
import { TsvmmError } from '../core/errors.ts';
import { didYouMean, suggest } from '../core/suggest.ts';
import { type MachineConfig, MIB, nameDevices } from '../machine/config.ts';
import type { Registry } from '../machine/registry.ts';
import {
  ARM_SMMUV3_PROPERTIES,
  bad,
  EDU_PROPERTIES,
  INTEL_IOMMU_PROPERTIES,
  PLACE_PROPERTIES,
  type PropertyTable,
  ROOT_PORT_PROPERTIES,
  readProperty,
} from './properties.ts';
import type { StreamAddress } from './sockets.ts';

export type Architecture = 'x86_64' | 'aarch64';

export interface TracePattern {
  readonly glob: string;
  /** stderr if absent. */
  readonly file?: string;
}

/** What a command line asks for. */
export interface QemuRequest {
  readonly architecture: Architecture;
  /** Null: machine `none`, which has no memory and no devices. */
  readonly machine: MachineConfig | null;
  readonly qtest: StreamAddress | undefined;
  /** A file, or 'none'. */
  readonly qtestLog: string | undefined;
  readonly qmp: readonly StreamAddress[];
  readonly exitWithParent: boolean;
  /** Whether the machine waits for QMP's `cont`. */
  readonly held: boolean;
  readonly trace: readonly TracePattern[];
  /** File to record the session in. */
  readonly record: string | undefined;
  /** Text to print instead of running. */
  readonly print?: string;
}

interface Draft {
  architecture: Architecture;
  machine: string | undefined;
  /** Keys of a virt machine, with its version. */
  virt: VirtKeys;
  memoryMib: number;
  profile: 'spec' | 'qemu';
  qtest: StreamAddress | undefined;
  qtestLog: string | undefined;
  readonly chardevs: Map<string, StreamAddress>;
  /** Ids of chardevs that carry QMP. */
  readonly monitors: string[];
  readonly qmp: StreamAddress[];
  exitWithParent: boolean;
  held: boolean;
  readonly trace: TracePattern[];
  record: string | undefined;
  readonly devices: Pairs[];
  readonly globals: (readonly [driver: string, property: string, value: string])[];
  print: string | undefined;
}

interface VirtKeys {
  readonly highmem: boolean;
  readonly smmu: boolean;
  /** Before 9.2 the SMMU has one stage unless a -global says otherwise; from then on it nests. */
  readonly nests: boolean;
}

/** `first,key=value,...`: what stands before the first comma without a '=', and the pairs. */
interface Pairs {
  readonly first: string;
  readonly pairs: readonly (readonly [key: string, value: string])[];
}

export interface QemuOption {
  readonly name: string;
  /** Placeholder of its value; absent for a flag. */
  readonly value?: string;
  readonly doc: string;
  readonly apply: (draft: Draft, value: string) => void;
}

const DEFAULT_MIB = 128;
const X86_MACHINES = ['q35', 'none'];
const ARM_MACHINES = ['virt', 'none'];
const MACHINE_KEYS = ['type', 'accel', 'kernel-irqchip', 'acpi', 'usb', 'vmport', 'smm'];
const VIRT_KEYS = ['acpi', 'gic-version', 'iommu', 'highmem', 'virtualization', 'its'];

/** Options whose only possible value means that something is absent, as it always is here. */
function absent(name: string, doc: string): QemuOption {
  return { name, value: 'none', doc, apply: (_, value) => only(`-${name}`, value, ['none']) };
}

export const QEMU_OPTIONS: readonly QemuOption[] = [
  { name: 'machine', value: 'NAME[,KEY=VAL...]', doc: 'q35, none, or (aarch64) virt', apply: machine },
  { name: 'M', value: 'NAME[,KEY=VAL...]', doc: 'the same as -machine', apply: machine },
  { name: 'm', value: 'SIZE', doc: 'RAM in MiB, or with suffix K, M, G', apply: memory },
  { name: 'smp', value: 'N', doc: 'processors: 1', apply: (_, v) => only('-smp', v, ['1', 'cpus=1']) },
  { name: 'cpu', value: 'NAME', doc: 'accepted: no processor runs under qtest', apply: () => {} },
  { name: 'accel', value: 'qtest', doc: 'qtest: nothing runs but what a client asks for', apply: accel },
  {
    name: 'device',
    value: 'KIND[,KEY=VAL...]',
    doc: 'edu, iommu-testdev, pcie-root-port, (x86_64) intel-iommu',
    apply: (draft, value) => draft.devices.push(pairsOf(value)),
  },
  {
    name: 'global',
    value: 'KIND.KEY=VAL',
    doc: 'default of a property of every such device',
    apply: globalProperty,
  },
  { name: 'qtest', value: 'unix:PATH|tcp:HOST:PORT', doc: 'the qtest socket', apply: qtest },
  {
    name: 'qtest-log',
    value: 'FILE',
    doc: 'log of the qtest protocol, with virtual times; stderr if absent, none for no log',
    apply: (draft, value) => {
      draft.qtestLog = value;
    },
  },
  { name: 'chardev', value: 'socket,id=ID,path=PATH', doc: 'a socket by name', apply: chardev },
  { name: 'mon', value: 'chardev=ID,mode=control', doc: 'QMP on a chardev', apply: mon },
  {
    name: 'object',
    value: 'monitor-qmp,id=ID,chardev=ID',
    doc: 'the same, of newer clients',
    apply: monitorObject,
  },
  { name: 'qmp', value: 'unix:PATH|tcp:HOST:PORT', doc: 'QMP on a socket', apply: qmp },
  { name: 'run-with', value: 'exit-with-parent=on', doc: 'end when the parent process ends', apply: runWith },
  { name: 'trace', value: 'GLOB[,file=FILE]', doc: 'trace the events that match', apply: trace },
  {
    name: 'record',
    value: 'FILE',
    doc: "of tsvmm: record the session for 'tsvmm replay'",
    apply: (draft, value) => {
      draft.record = value;
    },
  },
  absent('display', 'there is no display'),
  absent('audio', 'there is no sound'),
  absent('net', 'there is no network'),
  absent('nic', 'there is no network'),
  absent('vga', 'there is no display'),
  absent('serial', 'there is no serial line'),
  absent('parallel', 'there is no parallel port'),
  absent('monitor', 'the text monitor of tsvmm run'),
  { name: 'nodefaults', doc: 'accepted: there are no default devices', apply: () => {} },
  { name: 'no-user-config', doc: 'accepted: there are no configuration files', apply: () => {} },
  { name: 'nographic', doc: 'accepted: there is no display', apply: () => {} },
  {
    name: 'S',
    doc: "QMP's status is prelaunch until cont; under qtest nothing runs by itself anyway",
    apply: (draft) => {
      draft.held = true;
    },
  },
  {
    name: 'profile',
    value: 'spec|qemu',
    doc: 'of tsvmm: follow the specification, or QEMU where it departs (docs/deviations.md)',
    apply: (draft, value) => {
      only('-profile', value, ['spec', 'qemu']);
      draft.profile = value as 'spec' | 'qemu';
    },
  },
  {
    name: 'architecture',
    value: 'x86_64|aarch64',
    doc: 'of tsvmm: which qemu-system program to be',
    apply: (draft, value) => {
      only('-architecture', value, ['x86_64', 'aarch64']);
      draft.architecture = value as Architecture;
    },
  },
  { name: 'help', doc: 'these options', apply: showHelp },
  { name: 'h', doc: 'these options', apply: showHelp },
  {
    name: 'version',
    doc: 'the version of QEMU whose interface this is',
    apply: (draft) => {
      draft.print = 'QEMU emulator version 11.1.2 (tsvmm)\n';
    },
  },
];

const BY_NAME = new Map(QEMU_OPTIONS.map((option) => [option.name, option]));

function usage(code: string, object: string, why: string, mend: string): TsvmmError {
  return new TsvmmError({ code, object, why, mend });
}

/** @throws TsvmmError for anything the tables do not know */
export function parseQemuArguments(argv: readonly string[], registry: Registry): QemuRequest {
  const draft: Draft = {
    architecture: 'x86_64',
    machine: undefined,
    virt: { highmem: true, smmu: false, nests: true },
    memoryMib: DEFAULT_MIB,
    profile: 'spec',
    qtest: undefined,
    qtestLog: undefined,
    chardevs: new Map(),
    monitors: [],
    qmp: [],
    exitWithParent: false,
    held: false,
    trace: [],
    record: undefined,
    devices: [],
    globals: [],
    print: undefined,
  };
  for (let at = 0; at < argv.length; ) at += applyOption(draft, argv[at]!, argv[at + 1]);
  return finish(draft, registry);
}

/** Returns how many words it took. */
function applyOption(draft: Draft, word: string, next: string | undefined): number {
  if (!/^--?./.test(word))
    throw usage('extra-operand', `'${word}'`, 'is no option', 'disk images are not supported');
  const name = word.replace(/^--?/, '');
  const option = BY_NAME.get(name);
  if (option === undefined) throw unknownOption(name);
  if (option.value === undefined) {
    option.apply(draft, '');
    return 1;
  }
  if (next === undefined)
    throw usage('missing-value', `-${name}`, 'needs a value', `write -${name} ${option.value}`);
  option.apply(draft, next);
  return 2;
}

function unknownOption(name: string): TsvmmError {
  const near = name.length > 1 ? suggest(name, BY_NAME.keys()) : undefined;
  const mend = near === undefined ? "see 'tsvmm qemu -help'" : `did you mean '-${near}'?`;
  return usage('unknown-option', `-${name}`, 'is no option of this front end', mend);
}

/** Commas separate; two of them are one in a value. */
function pairsOf(text: string): Pairs {
  const parts = text
    .replaceAll(',,', '\0')
    .split(',')
    .map((p) => p.replaceAll('\0', ','));
  const first = parts[0]!.includes('=') ? '' : parts.shift()!;
  return {
    first,
    pairs: parts
      .filter((p) => p !== '')
      .map((part) => {
        const at = part.indexOf('=');
        // A key alone is a flag that is on.
        return at < 0 ? ([part, 'on'] as const) : ([part.slice(0, at), part.slice(at + 1)] as const);
      }),
  };
}

function only(where: string, value: string, allowed: readonly string[]): void {
  if (!allowed.includes(value)) bad(where, value, `use ${allowed.join(' or ')}`);
}

function checkKeys(where: string, { pairs }: Pairs, known: readonly string[]): void {
  for (const [key] of pairs) {
    if (!known.includes(key))
      throw usage('unknown-key', where, `has no key '${key}'`, didYouMean(key, known));
  }
}

function keyValue({ pairs }: Pairs, key: string): string | undefined {
  return pairs.findLast(([k]) => k === key)?.[1];
}

function machine(draft: Draft, text: string): void {
  const spec = pairsOf(text);
  const name = spec.first === '' ? (keyValue(spec, 'type') ?? '') : spec.first;
  if (name === 'help') {
    const machines = draft.architecture === 'x86_64' ? X86_MACHINES : ARM_MACHINES;
    draft.print = `Supported machines are:\n${[...machines].sort().join('\n')}\n`;
    return;
  }
  const virt = /^virt(-\d+\.\d+)?$/.test(name);
  checkKeys(`-machine ${name}`, spec, virt ? [...MACHINE_KEYS, ...VIRT_KEYS] : MACHINE_KEYS);
  const accelerator = keyValue(spec, 'accel');
  if (accelerator !== undefined) accel(draft, accelerator);
  if (virt) draft.virt = virtKeys(spec, name);
  draft.machine = virt ? 'virt' : name.replace(/^pc-q35-\d+\.\d+$/, 'q35');
}

/** No processor runs, so that what is only of one (gic-version, virtualization) has to be right and does nothing. */
function virtKeys(spec: Pairs, name: string): VirtKeys {
  const value = (key: string, choices: readonly string[]): string => {
    const text = keyValue(spec, key) ?? choices[0]!;
    only(`-machine ${name}: ${key}`, text, choices);
    return text;
  };
  value('gic-version', ['2', '3', 'max']);
  value('virtualization', ['off', 'on']);
  value('its', ['on', 'off']);
  const [, major, minor] = /^virt-(\d+)\.(\d+)$/.exec(name) ?? [];
  return {
    highmem: value('highmem', ['on', 'off']) === 'on',
    smmu: value('iommu', ['none', 'smmuv3']) === 'smmuv3',
    nests: major === undefined || Number(major) > 9 || (Number(major) === 9 && Number(minor) > 1),
  };
}

function accel(_: Draft, text: string): void {
  only('-accel', text, ['qtest']);
}

function memory(draft: Draft, text: string): void {
  const size = text.replace(/^size=/, '');
  const m = /^(\d+)([kmg]?)$/i.exec(size);
  const unit = { k: 1 / 1024, m: 1, '': 1, g: 1024 }[(m?.[2] ?? '').toLowerCase()]!;
  if (m === null) bad('-m', text, 'write the size in MiB, such as -m 512');
  draft.memoryMib = Number(m[1]) * unit;
}

function globalProperty(draft: Draft, text: string): void {
  const m = /^([\w-]+)\.([\w-]+)=(.*)$/.exec(text);
  if (m === null) bad('-global', text, 'write -global KIND.KEY=VALUE');
  draft.globals.push([m[1]!, m[2]!, m[3]!]);
}

function serverFlags(where: string, spec: Pairs): boolean {
  const server = keyValue(spec, 'server') ?? 'off';
  only(`${where}: server`, server, ['on', 'off']);
  const wait = keyValue(spec, 'wait') ?? keyValue(spec, 'nowait');
  if (wait !== undefined) only(`${where}: wait`, wait, ['on', 'off']);
  return server === 'on';
}

/** `unix:PATH[,server=on,wait=off]` or `tcp:HOST:PORT[,...]`. */
function addressOf(where: string, text: string): StreamAddress {
  const spec = pairsOf(text);
  checkKeys(where, spec, ['server', 'wait', 'nowait']);
  const server = serverFlags(where, spec);
  const unix = /^unix:(.+)$/.exec(spec.first);
  if (unix !== null) return { kind: 'unix', path: unix[1]!, server };
  const tcp = /^tcp:(.*):(\d+)$/.exec(spec.first);
  if (tcp !== null) return { kind: 'tcp', host: tcp[1] || '127.0.0.1', port: portOf(where, tcp[2]!), server };
  return bad(where, text, 'write unix:PATH or tcp:HOST:PORT');
}

function portOf(where: string, text: string): number {
  const port = Number(text);
  return port <= 0xffff ? port : bad(where, text, 'ports end at 65535');
}

function qtest(draft: Draft, text: string): void {
  if (draft.qtest !== undefined) throw usage('repeated-option', '-qtest', 'is given twice', 'give it once');
  draft.qtest = addressOf('-qtest', text);
}

function qmp(draft: Draft, text: string): void {
  draft.qmp.push(addressOf('-qmp', text));
}

function chardev(draft: Draft, text: string): void {
  const spec = pairsOf(text);
  only('-chardev', spec.first, ['socket']);
  checkKeys('-chardev socket', spec, ['id', 'path', 'host', 'port', 'server', 'wait', 'nowait']);
  const id = keyValue(spec, 'id');
  if (id === undefined) throw usage('missing-key', '-chardev socket', 'has no id', 'add id=NAME');
  const where = `-chardev ${id}`;
  if (draft.chardevs.has(id)) throw usage('duplicate-id', where, 'exists already', 'give it another id=');
  const server = serverFlags(where, spec);
  const path = keyValue(spec, 'path');
  const port = keyValue(spec, 'port');
  if (path !== undefined) draft.chardevs.set(id, { kind: 'unix', path, server });
  else if (port !== undefined) {
    const host = keyValue(spec, 'host') ?? '127.0.0.1';
    draft.chardevs.set(id, { kind: 'tcp', host, port: portOf(where, port), server });
  } else throw usage('missing-key', where, 'has no address', 'add path=PATH, or host=HOST,port=PORT');
}

function mon(draft: Draft, text: string): void {
  const spec = pairsOf(text);
  // `-mon char0,mode=control`: the chardev is the key that may be left out.
  const id = keyValue(spec, 'chardev') ?? spec.first;
  checkKeys('-mon', spec, ['chardev', 'mode', 'pretty']);
  const mode = keyValue(spec, 'mode') ?? 'readline';
  only('-mon: mode', mode, ['control']);
  only('-mon: pretty', keyValue(spec, 'pretty') ?? 'off', ['off']);
  draft.monitors.push(id);
}

function monitorObject(draft: Draft, text: string): void {
  const spec = pairsOf(text);
  only('-object', spec.first, ['monitor-qmp']);
  checkKeys('-object monitor-qmp', spec, ['id', 'chardev', 'pretty']);
  const id = keyValue(spec, 'chardev');
  if (id === undefined) throw usage('missing-key', '-object monitor-qmp', 'has no chardev', 'add chardev=ID');
  only('-object monitor-qmp: pretty', keyValue(spec, 'pretty') ?? 'off', ['off']);
  draft.monitors.push(id);
}

function runWith(draft: Draft, text: string): void {
  const spec = pairsOf(text);
  checkKeys('-run-with', spec, ['exit-with-parent']);
  const value = keyValue(spec, 'exit-with-parent') ?? bad('-run-with', text, 'write exit-with-parent=on');
  only('-run-with: exit-with-parent', value, ['on', 'off']);
  draft.exitWithParent = value === 'on';
}

function trace(draft: Draft, text: string): void {
  const spec = pairsOf(text);
  checkKeys('-trace', spec, ['enable', 'file']);
  const glob = spec.first === '' ? keyValue(spec, 'enable') : spec.first;
  if (glob === undefined) bad('-trace', text, "write -trace 'vtd_*'");
  const file = keyValue(spec, 'file');
  draft.trace.push(file === undefined ? { glob } : { glob, file });
}

function showHelp(draft: Draft): void {
  const rows = QEMU_OPTIONS.map((o) => [`-${o.name}${o.value === undefined ? '' : ` ${o.value}`}`, o.doc]);
  draft.print = `tsvmm qemu: the options of qemu-system programs that qtest clients use\n\n${rows
    .map(([form, doc]) => `  ${form!.padEnd(34)} ${doc}\n`)
    .join('')}`;
}

// From the draft to the request

function finish(draft: Draft, registry: Registry): QemuRequest {
  const { architecture, qtest: wire, qtestLog, exitWithParent, held, trace: patterns, print } = draft;
  const common = {
    architecture,
    qtest: wire,
    qtestLog,
    exitWithParent,
    held,
    trace: patterns,
    record: draft.record,
  };
  if (print !== undefined) return { ...common, machine: null, qmp: [], print };
  const monitors = draft.monitors.map((id) => {
    const address = draft.chardevs.get(id);
    if (address !== undefined) return address;
    throw usage(
      'unknown-chardev',
      `chardev=${id}`,
      'there is no such chardev',
      didYouMean(id, [...draft.chardevs.keys()]),
    );
  });
  const addresses = [...monitors, ...draft.qmp];
  if (wire === undefined && addresses.length === 0) {
    throw usage(
      'nothing-to-serve',
      'tsvmm qemu',
      'has neither -qtest nor a QMP socket: nobody could drive the machine',
      "add -qtest unix:PATH, or use 'tsvmm run' to boot a guest",
    );
  }
  return { ...common, machine: machineOf(draft, registry), qmp: addresses };
}

function machineOf(draft: Draft, registry: Registry): MachineConfig | null {
  const name = draft.machine;
  const known = draft.architecture === 'x86_64' ? X86_MACHINES : ARM_MACHINES;
  if (name === undefined)
    throw usage('no-machine', '-machine', 'is missing', `use one of: ${known.join(', ')}`);
  if (name === 'none') {
    if (draft.devices.length > 0)
      throw usage('no-bus', '-device', 'machine none has no bus', 'use -machine q35');
    return null;
  }
  if (!known.includes(name)) {
    const why =
      name === 'virt' ? "'virt' is a machine of qemu-system-aarch64" : `there is no machine '${name}'`;
    throw usage('unknown-machine', '-machine', why, didYouMean(name, known));
  }
  return describedMachine(draft, name as MachineConfig['machine'], registry);
}

interface Kind {
  readonly name: string;
  readonly properties: PropertyTable;
  /** Machine types it is a -device of; absent: all. */
  readonly machine?: MachineConfig['machine'];
  /** Comes with the machine: only -global speaks of it. */
  readonly builtIn?: true;
  /** Sits on a PCI bus: has an address and an id. */
  readonly pci: boolean;
}

const KINDS: Readonly<Record<string, Kind>> = {
  'intel-iommu': { name: 'intel', properties: INTEL_IOMMU_PROPERTIES, machine: 'q35', pci: false },
  'arm-smmuv3': {
    name: 'smmuv3',
    properties: ARM_SMMUV3_PROPERTIES,
    machine: 'virt',
    builtIn: true,
    pci: false,
  },
  edu: { name: 'edu', properties: { ...EDU_PROPERTIES, ...PLACE_PROPERTIES }, pci: true },
  'iommu-testdev': { name: 'iommu-testdev', properties: PLACE_PROPERTIES, pci: true },
  'pcie-root-port': {
    name: 'pcie-root-port',
    properties: { ...ROOT_PORT_PROPERTIES, ...PLACE_PROPERTIES },
    pci: true,
  },
};

function describedMachine(
  draft: Draft,
  machine: MachineConfig['machine'],
  registry: Registry,
): MachineConfig {
  const places: {
    kind: string;
    id?: string;
    addr?: string;
    bus?: string;
    options: Record<string, unknown>;
  }[] = [];
  const chassis = new Set<string>();
  let viommu: MachineConfig['viommu'] = machine === 'virt' ? smmu(draft, registry) : null;
  for (const [driver] of draft.globals) kindOf('-global', driver, machine);
  for (const spec of draft.devices) {
    const name = spec.first === '' ? (keyValue(spec, 'driver') ?? '') : spec.first;
    const kind = kindOf('-device', name, machine);
    const { options, place, slot } = deviceOptions(draft, kind, spec);
    if (!kind.pci) {
      if (viommu !== null)
        throw usage('second-iommu', '-device intel-iommu', 'the machine has an IOMMU already', 'give one');
      const given = { profile: draft.profile, ...options };
      viommu = { kind: kind.name, options: completeOptions(registry.iommu(kind.name), given) };
      continue;
    }
    if (slot !== undefined && chassis.size === chassis.add(slot).size)
      throw usage(
        'duplicate-slot',
        '-device pcie-root-port',
        `chassis and slot ${slot} exist`,
        'change slot=',
      );
    const complete = completeOptions(registry.pci(kind.name), options) as Record<string, unknown>;
    places.push({ kind: kind.name, ...place, options: complete });
  }
  return {
    machine,
    highmem: machine !== 'virt' || draft.virt.highmem,
    memory: memoryBytes(draft.memoryMib, machine),
    seed: 1,
    firmware: 'raw',
    viommu,
    devices: nameDevices(places),
    reserved: [],
  };
}

/** The SMMU that -machine iommu= asks for; -global has its properties. */
function smmu(draft: Draft, registry: Registry): MachineConfig['viommu'] {
  if (!draft.virt.smmu) return null;
  const kind = KINDS['arm-smmuv3']!;
  const unit = registry.iommu(kind.name, '-machine virt: iommu');
  const stage = draft.virt.nests ? 'nested' : '1';
  const { options } = deviceOptions(draft, kind, { first: 'arm-smmuv3', pairs: [] });
  return { kind: kind.name, options: completeOptions(unit, { stage, profile: draft.profile, ...options }) };
}

function kindOf(where: string, driver: string, machine: MachineConfig['machine']): Kind {
  const kind = KINDS[driver];
  const fits = kind !== undefined && (kind.machine === undefined || kind.machine === machine);
  if (fits && !(where === '-device' && kind.builtIn === true)) return kind;
  throw usage(
    'unknown-kind',
    where,
    `there is no device '${driver}' on this machine`,
    didYouMean(
      driver,
      Object.keys(KINDS).filter(
        (k) => KINDS[k]!.builtIn !== true && (KINDS[k]!.machine ?? machine) === machine,
      ),
    ),
  );
}

function deviceOptions(draft: Draft, kind: Kind, spec: Pairs) {
  const options: Record<string, unknown> = {};
  const place: Record<string, string> = {};
  const seen: Record<string, string> = {};
  const driver = Object.keys(KINDS).find((name) => KINDS[name] === kind)!;
  const globals = draft.globals.filter(([d]) => d === driver).map(([, key, value]) => [key, value] as const);
  for (const [key, text] of [...globals, ...spec.pairs.filter(([key]) => key !== 'driver')]) {
    const value = readProperty(kind.properties, key, text, `-device ${driver}`);
    const { to } = kind.properties[key]!;
    if (to !== undefined) options[to] = value;
    else if (key === 'id' || key === 'bus' || key === 'addr') place[key] = text;
    seen[key] = text;
  }
  const slot =
    seen['chassis'] === undefined && seen['slot'] === undefined
      ? undefined
      : `${seen['chassis'] ?? 0}/${seen['slot'] ?? 0}`;
  return { options, place, slot };
}

/** RAM of q35 below the PCIe window, or from 2816 MiB on split: 2 GiB below 4 GiB, the rest above, as in QEMU. */
function memoryBytes(mib: number, machine: MachineConfig['machine']): number {
  const bytes = mib * MIB;
  const whole = Number.isInteger(bytes) && bytes % 65536 === 0;
  if (machine === 'virt') {
    if (whole && mib >= 1 && mib <= 2048) return bytes;
    return bad('-m', String(mib), 'use a multiple of 64K from 1M to 2048M');
  }
  if (!whole || mib < 1 || (mib > 2048 && mib < 2816) || mib > 3840) {
    return bad('-m', String(mib), 'use a multiple of 64K from 1M to 2048M, or from 2816M to 3840M');
  }
  return bytes;
}
