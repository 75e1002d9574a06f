/** Every command of tsvmm. Adding one here adds its parsing, help, man page, completion and documentation. */

import type { CommandDecl, OptionDecl } from './command.ts';
import { options } from './command.ts';

const JSON_OPTION = {
  doc: 'Print one JSON object on stdout and nothing else',
} as const satisfies OptionDecl;

/** Options that describe a machine; shared by every command that builds one. */
const VCONFIG_QUIRKS = {
  value: 'FILE',
  doc: 'List of devices with registers that no capability claims, instead of the one that comes with tsvmm',
  complete: 'file',
} as const satisfies OptionDecl;

export const MACHINE_OPTIONS = options({
  machine: {
    value: 'NAME',
    doc: 'Machine type; without it, the one that has the IOMMU of --viommu',
    choices: ['q35', 'virt'],
    fallback: 'q35',
  },
  highmem: {
    value: 'STATE',
    doc: 'Of machine virt: devices above 4 GiB',
    choices: ['on', 'off'],
    fallback: 'on',
  },
  viommu: {
    value: 'KIND[,KEY=VAL...]',
    doc: "The machine's IOMMU, or none; copy-host: after the most capable unit that assigned devices of --host are behind. 'help' lists the kinds, 'KIND,help' its keys",
    complete: ['intel', 'smmuv3', 'copy-host', 'none', 'help'],
    fallback: 'intel',
  },
  device: {
    value: 'KIND[,KEY=VAL...]',
    repeatable: true,
    doc: "Adds a device; id=, addr= and bus= place it. 'help' lists the kinds, 'KIND,help' its keys. The default device is there only when neither --device nor --config is given",
    complete: ['edu', 'iommu-testdev', 'pcie-root-port', 'help'],
    fallback: 'edu',
  },
  host: {
    value: 'HOST',
    doc: 'Run on a modelled host, whose devices --device vfio-pci,host=ADDRESS assigns: one that comes with tsvmm by name, or a file',
    complete: 'file',
  },
  fallback: {
    value: 'POLICY',
    doc: "Where the host's hardware cannot do what an assigned device needs: refuse the device, or do it in software ('info passthrough' explains)",
    choices: ['forbid', 'explain'],
    fallback: 'explain',
  },
  verify: {
    doc: "Compare each address that the host's hardware translates for an assigned device with what the guest's IOMMU model says; a difference ends the run with exit code 5",
  },
  'vconfig-quirks': {
    ...VCONFIG_QUIRKS,
    doc: "Of the host's devices: list of those with registers that no capability claims, instead of the one that comes with tsvmm",
  },
  'vconfig-policy': {
    value: 'FILE',
    doc: "Of the host's devices without vconfig=: lay their config spaces out by this policy (see tsvmm schema vconfig-policy); or 'refuse' them",
    complete: 'file',
  },
  memory: { value: 'SIZE', short: 'm', doc: 'RAM, such as 64M or 1G', fallback: '48M' },
  firmware: {
    value: 'STATE',
    doc: 'What firmware leaves behind: buses numbered and BARs assigned, or everything as after power-on',
    choices: ['enumerated', 'raw'],
    fallback: 'enumerated',
  },
  seed: { value: 'N', doc: 'Seed of every random choice the machine makes', fallback: '1' },
  config: {
    value: 'FILE',
    doc: 'Read the machine description from a JSON file; other options override it, --device adds to it',
    complete: 'file',
  },
  plugin: {
    value: 'FILE',
    repeatable: true,
    doc: 'Load further device and IOMMU kinds from a JavaScript module',
    complete: 'file',
  },
});

export const RUN_OPTIONS = options({
  ...MACHINE_OPTIONS,
  example: {
    value: 'NAME',
    doc: "Run a packaged example instead of a file, on the machine of --viommu or --machine; 'help' lists them",
    complete: ['edu', 'help'],
  },
  cc: {
    value: 'CC',
    doc: "Compiler for .c guests: 'bundled', or the name or path of a clang",
    fallback: 'bundled',
    complete: ['bundled', 'clang'],
  },
  env: { value: 'NAME=VALUE', repeatable: true, doc: 'Set an environment variable of the guest' },
  file: {
    value: 'GUESTPATH=HOSTPATH',
    repeatable: true,
    doc: 'Give the guest a copy of a file in its in-memory file system',
  },
  fuel: {
    value: 'N',
    doc: 'Stop the guest as hung after N instructions (k, M and G suffixes are decimal)',
    fallback: '10G',
  },
  timeout: { value: 'TIME', doc: 'Stop the guest as hung after this much virtual time: 500ms, 10s' },
  trace: {
    value: 'GLOB',
    repeatable: true,
    doc: "Trace the events whose names match, to stderr or --trace-file; 'help' lists the events",
  },
  'trace-file': {
    value: 'FILE',
    doc: 'Write the trace to a file: one JSON object a line if it ends in .ndjson or .json, else text',
    complete: 'file',
  },
  'trace-format': {
    value: 'FORMAT',
    doc: 'The form of the trace, whatever the name of its file. chrome is the Trace Event Format that ui.perfetto.dev opens, and needs --trace-file',
    choices: ['text', 'ndjson', 'chrome'],
  },
  'dump-config': { doc: 'Print the machine description as --config reads it and exit' },
  'dump-acpi': {
    value: 'DIR',
    doc: 'Write the ACPI tables to a directory; without a guest, exit then',
    complete: 'directory',
  },
  json: JSON_OPTION,
  quiet: { short: 'q', doc: 'No progress and no verdict line on stderr' },
});

/** What a run leaves to be looked at. */
export const REPORT_OPTIONS = options({
  report: {
    value: 'FILE',
    doc: "Write a report: a page for any browser, or if FILE ends in .json what 'tsvmm report' makes one of. Events chosen with --trace are in it too",
    complete: 'file',
  },
});

const RECORD_OPTIONS = options({
  record: {
    value: 'FILE',
    doc: "Record the run, with all that is asked of it from outside, for 'tsvmm replay'",
    complete: 'file',
  },
});

/** Monitors of a run. */
export const MONITOR_OPTIONS = options({
  monitor: {
    value: 'ADDR',
    repeatable: true,
    doc: 'Serve the text monitor at stdio, unix:PATH or tcp:HOST:PORT',
    complete: ['stdio'],
  },
  qmp: { value: 'ADDR', repeatable: true, doc: 'Serve QMP at unix:PATH or tcp:HOST:PORT' },
  hold: { short: 'S', doc: 'Hold the guest before its first instruction until a monitor lets it go' },
});

export const RUN = {
  name: 'run',
  summary: 'boot a guest and judge it',
  details: [
    'GUEST is a C source, a WebAssembly text or a WebAssembly module. C is compiled by the bundled compiler; compiled and rewritten modules are cached by content.',
    'The console of the guest goes to stdout, everything else to stderr. The exit status of the guest and the TAP lines it prints decide together: a guest passes when it exits with 0 and no test point failed, is missing or bailed out.',
  ],
  operands: [{ name: 'GUEST', doc: 'A .c, .wat or .wasm file', optional: true, complete: 'file' }],
  options: options({ ...RUN_OPTIONS, ...RECORD_OPTIONS, ...MONITOR_OPTIONS, ...REPORT_OPTIONS }),
  rest: { name: 'ARGS', doc: 'Arguments of the guest' },
  json: 'verdict',
  examples: [
    'tsvmm run driver.c',
    'tsvmm run --example edu',
    "tsvmm run driver.c --viommu intel,aw-bits=39 --device edu,dma_mask=0xffffffff --trace 'vtd_*'",
    'tsvmm run driver.c --json -- --verbose 2',
    'tsvmm run driver.c -S --monitor stdio',
    'tsvmm run driver.c --report report.html',
    'tsvmm run driver.c --record driver.record',
  ],
} as const satisfies CommandDecl;

export const REPORT = {
  name: 'report',
  summary: 'show a run as a page: timeline, faults, tables',
  details: [
    'RUN is a .json file that tsvmm run --report left, or a guest, which is run first: the options of tsvmm run describe its machine. The page is one file that needs no network. It has the verdict, a timeline of DMAs, bindings, table stores, invalidations and faults, every fault with its explanation, the tables of the IOMMU with decoded fields and last writers, and the console.',
    'The exit status is 0 when the page was made from a file, and that of the run otherwise.',
  ],
  operands: [
    { name: 'RUN', doc: 'A .json file, or a .c, .wat or .wasm guest', optional: true, complete: 'file' },
  ],
  options: options({
    out: { value: 'FILE', short: 'o', doc: 'The page to write', fallback: 'report.html', complete: 'file' },
    ...RUN_OPTIONS,
  }),
  rest: { name: 'ARGS', doc: 'Arguments of the guest' },
  json: 'verdict',
  examples: [
    'tsvmm report run.json -o report.html',
    'tsvmm report driver.c -o report.html',
    'tsvmm report --example stale-iotlb',
  ],
} as const satisfies CommandDecl;

export const REPLAY_OPTIONS = options({
  until: {
    value: 'EVENT[#N]',
    doc: 'Stop after the first, or N-th, trace event whose name matches; without a monitor, show the machine there and end',
  },
  ...MONITOR_OPTIONS,
  trace: RUN_OPTIONS.trace,
  'trace-file': RUN_OPTIONS['trace-file'],
  'trace-format': RUN_OPTIONS['trace-format'],
  ...REPORT_OPTIONS,
  plugin: {
    ...MACHINE_OPTIONS.plugin,
    doc: 'The plugins of the record: it names them, and does not bring them',
  },
  json: JSON_OPTION,
  quiet: RUN_OPTIONS.quiet,
});

export const REPLAY = {
  name: 'replay',
  summary: 'do a recorded run again, instruction by instruction',
  details: [
    'FILE is what --record made, or what a failed run left behind. The guest and everything it was given are in it; what was asked of the machine from outside is asked again where it was. The same events happen at the same virtual times, and the verdict is the same.',
    'With a monitor, the replay stops at its end, and reverse-step, reverse-until and reverse-continue go back from there. Commands that would make it another run are refused.',
  ],
  operands: [{ name: 'FILE', doc: 'The record', complete: 'file' }],
  options: REPLAY_OPTIONS,
  json: 'verdict',
  examples: [
    'tsvmm replay driver.record --until vtd_dmar_fault',
    "tsvmm replay driver.record --until 'vtd_dmar_fault#2' --monitor stdio",
    'tsvmm replay driver.record --report report.html',
  ],
} as const satisfies CommandDecl;

export const NEW_OPTIONS = options({
  viommu: {
    value: 'KIND',
    doc: 'The IOMMU that the driver is written for',
    choices: ['intel', 'smmuv3', 'none'],
    fallback: 'intel',
  },
});

export const NEW = {
  name: 'new',
  summary: 'start a driver project that passes at once',
  details: ['Makes the directory NAME with a C driver, its machine description and a README.'],
  operands: [{ name: 'NAME', doc: 'Directory to make; its last part names the project' }],
  options: NEW_OPTIONS,
  examples: ['tsvmm new my-driver --viommu intel', 'tsvmm new my-driver --viommu smmuv3'],
} as const satisfies CommandDecl;

export const INFO_TOPICS = {
  pci: 'the functions on the PCI buses and their BARs',
  mtree: 'what is mapped where in memory and I/O port space',
  vconfig: 'virtual config spaces: who serves which capability, what is advertised and why not',
  passthrough: 'devices of the host: which path serves their DMA, and why not a better one',
  iommu: 'state and capabilities of the IOMMU',
  irq: 'interrupt controllers and routing',
  limits: 'what a specification defines and tsvmm does not do',
  trace: 'the trace events',
  devices: 'the kinds of devices and IOMMUs',
  abi: 'the functions a guest may import and export',
  registers: 'the register blocks with fields and access rules',
  config: 'the machine description',
} as const;

export const INFO_OPTIONS = options({
  ...MACHINE_OPTIONS,
  lspci: { doc: "With 'pci': configuration space as 'lspci -F FILE' reads it" },
  json: JSON_OPTION,
});

export const INFO = {
  name: 'info',
  summary: 'show a view of a machine',
  details: [
    'Builds the machine that the options describe and shows it as a guest would find it.',
    ...Object.entries(INFO_TOPICS).map(([name, doc]) => `${name}: ${doc}.`),
  ],
  operands: [{ name: 'TOPIC', doc: 'What to show', choices: Object.keys(INFO_TOPICS) }],
  options: INFO_OPTIONS,
  json: 'info',
  examples: ['tsvmm info pci', 'tsvmm info pci --lspci | lspci -F /dev/stdin -vv', 'tsvmm info trace --json'],
} as const satisfies CommandDecl;

/** What both commands that write a snapshot take. */
export const SAVE_OPTIONS = options({
  out: { value: 'DIR', short: 'o', doc: 'Directory to make for the snapshot', complete: 'directory' },
  at: {
    value: 'N',
    doc: 'Save at the N-th point where the guest waits or yields, counted from 1 where the run starts',
    fallback: '1',
  },
  point: {
    value: 'WHICH',
    doc: 'Which points count; both kinds when absent',
    choices: ['wfi', 'yield'],
  },
  force: { doc: 'Replace a snapshot that is there' },
});

export const SNAPSHOT_SAVE_OPTIONS = options({ ...RUN_OPTIONS, ...SAVE_OPTIONS });

export const SNAPSHOT_SAVE = {
  name: 'snapshot save',
  summary: 'run a guest up to a wait and save the whole machine',
  details: [
    'The guest runs until it waits for an interrupt or yields for the N-th time; memory, devices and the call stack of the guest are then written to DIR.',
  ],
  operands: [{ name: 'GUEST', doc: 'A .c, .wat or .wasm file', optional: true, complete: 'file' }],
  options: SNAPSHOT_SAVE_OPTIONS,
  rest: { name: 'ARGS', doc: 'Arguments of the guest' },
  json: 'verdict',
  examples: ['tsvmm snapshot save driver.c --at 3 --out snap'],
} as const satisfies CommandDecl;

export const SNAPSHOT_LOAD_OPTIONS = options({
  trace: RUN_OPTIONS.trace,
  'trace-file': RUN_OPTIONS['trace-file'],
  'trace-format': RUN_OPTIONS['trace-format'],
  fuel: RUN_OPTIONS.fuel,
  timeout: RUN_OPTIONS.timeout,
  plugin: RUN_OPTIONS.plugin,
  ...SAVE_OPTIONS,
  out: { ...SAVE_OPTIONS.out, doc: 'Save again, into this directory, instead of running to the end' },
  json: JSON_OPTION,
  quiet: RUN_OPTIONS.quiet,
});

export const SNAPSHOT_LOAD = {
  name: 'snapshot load',
  summary: 'continue a saved machine',
  operands: [{ name: 'DIR', doc: 'The snapshot', complete: 'directory' }],
  options: SNAPSHOT_LOAD_OPTIONS,
  json: 'verdict',
  examples: ['tsvmm snapshot load snap'],
} as const satisfies CommandDecl;

export const SNAPSHOT_DIFF = {
  name: 'snapshot diff',
  summary: 'compare two snapshots field by field',
  details: ['Exits with 0 when they are the same and with 1 when they differ.'],
  operands: [
    { name: 'A', doc: 'A snapshot', complete: 'directory' },
    { name: 'B', doc: 'Another one', complete: 'directory' },
  ],
  options: options({ json: JSON_OPTION }),
  json: 'snapshot-diff',
} as const satisfies CommandDecl;

export const QEMU = {
  name: 'qemu',
  summary: "serve qtest and QMP clients, with QEMU's command line",
  details: [
    "Takes the options of qemu-system programs that qtest clients use; 'tsvmm qemu -help' lists them. The programs qemu-system-x86_64 and qemu-system-aarch64 of this package are the same.",
    'No guest runs: a client reads and writes memory, registers and ports. The command ends with 0 when its client goes, at quit, and at SIGTERM.',
  ],
  operands: [{ name: 'ARGS', doc: "Options in QEMU's syntax", optional: true }],
  options: options({}),
  raw: true,
  examples: [
    'tsvmm qemu -M q35 -device intel-iommu -device edu -qtest unix:/tmp/qtest.sock,server=on,wait=off',
  ],
} as const satisfies CommandDecl;

export const INSPECT = {
  name: 'inspect',
  summary: 'look into a snapshot without running it',
  details: [
    "Loads the machine of the snapshot and carries out monitor commands on it: those given with --command, else those on stdin. 'help' lists them; docs/monitor.md explains them.",
  ],
  operands: [{ name: 'DIR', doc: 'The snapshot', complete: 'directory' }],
  options: options({
    command: { value: 'LINE', short: 'c', repeatable: true, doc: 'Monitor command to carry out' },
    plugin: MACHINE_OPTIONS.plugin,
    json: { doc: 'Print the result of every command as a line of JSON' },
  }),
  examples: ["tsvmm inspect snap -c 'info iotlb' -c 'xlate 00:02.0 0x1000'", 'tsvmm inspect snap'],
} as const satisfies CommandDecl;

const VCONFIG_DEVICE = {
  value: 'SLOT',
  repeatable: true,
  doc: 'Only this device of the dumps, as 3a:00.0',
} as const satisfies OptionDecl;

const DUMPS = {
  name: 'DUMP',
  doc: 'Output of lspci -xxxx, with any number of devices, a sysfs config file, or a host: by name (tsvmm host list), or its file',
  complete: 'file',
} as const;

export const VCONFIG_PLAN = {
  name: 'vconfig plan',
  summary: 'find one virtual configuration space that fits every device of a fleet',
  details: [
    'Takes what all devices have, with what all of them can do, and gives each capability a place where no device hides registers. Prints the layout and what each device loses, gains and moves.',
    "With --base, a plan that guests have seen keeps every place: the devices must fit it. Where there is no layout, the fewest devices and bytes that are in each other's way are printed, and the exit code is 1.",
  ],
  operands: [{ ...DUMPS, repeatable: true }],
  options: options({
    want: { value: 'LIST', doc: 'Capabilities that guests should have', fallback: 'pasid,ats,pri' },
    policy: {
      value: 'FILE',
      doc: 'What else is decided, as JSON: see tsvmm schema vconfig-policy',
      complete: 'file',
    },
    base: { value: 'PLAN', doc: 'A plan whose places stay', complete: 'file' },
    out: { value: 'FILE', short: 'o', doc: 'Write the plan', complete: 'file' },
    device: VCONFIG_DEVICE,
    'vconfig-quirks': VCONFIG_QUIRKS,
    json: { doc: 'Print the plan on stdout and nothing else' },
  }),
  json: 'vconfig-plan',
  examples: [
    'tsvmm vconfig plan rack1.txt rack2.txt --want pasid,ats -o plan.json',
    'tsvmm vconfig plan xeon-sapphire-rapids rack1.txt --device 16:00.0 --device 3a:00.0',
  ],
} as const satisfies CommandDecl;

export const VCONFIG_CHECK = {
  name: 'vconfig check',
  summary: 'see whether devices fit a plan',
  details: ['Exits with 0 when all of them fit and with 1 when one does not.'],
  operands: [
    { name: 'PLAN', doc: 'The plan', complete: 'file' },
    { ...DUMPS, repeatable: true },
  ],
  options: options({ device: VCONFIG_DEVICE, 'vconfig-quirks': VCONFIG_QUIRKS, json: JSON_OPTION }),
  json: 'vconfig-check',
  examples: ['tsvmm vconfig check plan.json new-rack.txt'],
} as const satisfies CommandDecl;

export const VCONFIG_SHOW = {
  name: 'vconfig show',
  summary: 'show configuration spaces: decoded, in hex, as a map',
  details: [
    'Shows the devices of a dump as they are, as vfio-pci shows them (--view vfio), or as guests see them under a plan (--plan). Without a dump, the plan alone.',
    'The output of --format lspci is read back by lspci -F.',
  ],
  operands: [{ ...DUMPS, optional: true, repeatable: true }],
  options: options({
    plan: { value: 'PLAN', doc: 'Show what guests see under this plan', complete: 'file' },
    view: { value: 'WHICH', doc: 'Whose view', choices: ['device', 'vfio'], fallback: 'device' },
    device: VCONFIG_DEVICE,
    format: {
      value: 'HOW',
      doc: 'decoded: capabilities by line; lspci: rows of hex; map: a letter a dword; svg: the map as a picture',
      choices: ['decoded', 'lspci', 'map', 'svg'],
      fallback: 'decoded',
    },
    'vconfig-quirks': VCONFIG_QUIRKS,
    json: JSON_OPTION,
  }),
  json: 'vconfig-show',
  examples: [
    'tsvmm vconfig show dump.txt --format map',
    'tsvmm vconfig show dump.txt --plan plan.json --format lspci',
  ],
} as const satisfies CommandDecl;

export const VCONFIG_DIFF = {
  name: 'vconfig diff',
  summary: 'compare two plans or two configuration spaces',
  details: [
    'Exits with 0 when they are the same and with 1 when they differ.',
    'Of a dump or a host with several devices, --device chooses one: the first --device is for A, the second for B; one alone is for both.',
  ],
  operands: [
    { name: 'A', doc: 'A plan, a dump, or a host', complete: 'file' },
    { name: 'B', doc: 'Another one of the same sort', complete: 'file' },
  ],
  options: options({ device: VCONFIG_DEVICE, json: JSON_OPTION }),
  json: 'vconfig-diff',
  examples: [
    'tsvmm vconfig diff plan.json larger.json',
    'tsvmm vconfig diff xeon-sapphire-rapids xeon-mixed --device 16:00.0 --device 27:00.0',
  ],
} as const satisfies CommandDecl;

export const HOST_SHOW = {
  name: 'host show',
  summary: 'tell what a host is: its IOMMUs, what they can do, its devices and groups',
  details: [
    'A host is one JSON file: IOMMUs with register values, PCI functions, who stands for whom. Prints what the IOMMUs are and can do by the bits of their registers, warns where units differ, and says of each device what it can do behind its unit and which devices are one group, and why.',
    'Where the model of a unit is not as the registers say, the bits are named.',
  ],
  operands: [
    { name: 'HOST', doc: 'The file, or the name of a host that comes with tsvmm', complete: 'file' },
  ],
  options: options({ json: JSON_OPTION }),
  json: 'host-show',
  examples: ['tsvmm host show xeon-sapphire-rapids', 'tsvmm host show my-host.json --json'],
} as const satisfies CommandDecl;

export const HOST_LIST = {
  name: 'host list',
  summary: 'list the hosts that come with tsvmm',
  operands: [],
  options: options({ json: JSON_OPTION }),
  json: 'host-list',
} as const satisfies CommandDecl;

export const MATRIX = {
  name: 'matrix',
  summary: 'run a guest on emulated devices and on those of hosts, and compare what it sees',
  details: [
    "Runs the guest once on emulated devices, and then with its first device that the host has assigned from the host, on each path: nested, shadow and software. It does so on the machine of each IOMMU that the guest says it runs behind (TSVMM_MACHINE). Of the host's devices it takes the first one of the model.",
    'A cell says same where console output, TAP, exit status and verdict are those of the emulated run; what the host cannot do is a - with the reason. Of a cell that differs, the first line that differs is shown, and with --trace the first event.',
    'Exits with 0 when no cell differs and with 1 when one does.',
  ],
  operands: RUN.operands,
  options: options({
    example: { ...RUN_OPTIONS.example, doc: 'Run a packaged example instead of a file' },
    host: {
      ...MACHINE_OPTIONS.host,
      repeatable: true,
      doc: 'Only this host: one that comes with tsvmm by name, or a file',
      fallback: 'all that come with tsvmm',
    },
    viommu: {
      ...MACHINE_OPTIONS.viommu,
      doc: 'Only the machine of this IOMMU',
      fallback: 'all that the guest names',
    },
    verify: {
      doc: `${MACHINE_OPTIONS.verify.doc.split(';')[0]}; a difference ends the grid with exit code 5`,
    },
    seed: MACHINE_OPTIONS.seed,
    cc: RUN_OPTIONS.cc,
    env: RUN_OPTIONS.env,
    file: RUN_OPTIONS.file,
    fuel: {
      ...RUN_OPTIONS.fuel,
      doc: 'Stop a run as hung after N instructions (k, M and G suffixes are decimal)',
      fallback: 'of the emulated run 10G, of the others 10M and four times what that took',
    },
    timeout: RUN_OPTIONS.timeout,
    trace: {
      ...RUN_OPTIONS.trace,
      doc: 'Compare the events whose names match, without their times: of a cell that differs, the first one that differs is shown. The first million of a run count. Events of the host (host_*) are not compared',
    },
    json: JSON_OPTION,
  }),
  rest: { name: 'ARGS', doc: 'Arguments of the guest' },
  json: 'matrix',
  examples: [
    'tsvmm matrix --example pasid',
    'tsvmm matrix driver.c --host xeon-mixed --host arm-mmu-700',
    "tsvmm matrix driver.c --viommu intel --trace 'vtd_inv_*' --json",
  ],
} as const satisfies CommandDecl;

export const SCHEMA_NAMES = [
  'machine',
  'verdict',
  'info',
  'snapshot-diff',
  'version',
  'error',
  'monitor',
  'run',
  'vconfig-plan',
  'vconfig-policy',
  'vconfig-check',
  'vconfig-show',
  'vconfig-diff',
  'host',
  'host-show',
  'host-list',
  'matrix',
] as const;
export type SchemaName = (typeof SCHEMA_NAMES)[number];

export const SCHEMA = {
  name: 'schema',
  summary: 'print a JSON Schema of what tsvmm reads or prints',
  operands: [{ name: 'NAME', doc: 'Which one', choices: SCHEMA_NAMES }],
  options: options({ plugin: MACHINE_OPTIONS.plugin }),
  examples: ['tsvmm schema machine > machine.schema.json'],
} as const satisfies CommandDecl;

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

export const COMPLETION = {
  name: 'completion',
  summary: 'print a completion script for a shell',
  operands: [{ name: 'SHELL', doc: 'Which shell', choices: SHELLS }],
  options: options({}),
  examples: [
    'tsvmm completion bash > ~/.local/share/bash-completion/completions/tsvmm',
    'tsvmm completion fish > ~/.config/fish/completions/tsvmm.fish',
  ],
} as const satisfies CommandDecl;

export const HELP = {
  name: 'help',
  summary: 'explain a command',
  operands: [{ name: 'COMMAND', doc: 'Which one', optional: true }],
  options: options({ man: { doc: 'Print the manual page as roff' } }),
  examples: ['tsvmm help run', 'tsvmm help --man | man -l -'],
} as const satisfies CommandDecl;

export const VERSION = {
  name: 'version',
  summary: 'print the version',
  operands: [],
  options: options({ json: JSON_OPTION }),
  json: 'version',
} as const satisfies CommandDecl;

export const COMMANDS: readonly CommandDecl[] = [
  RUN,
  REPORT,
  REPLAY,
  NEW,
  INFO,
  SNAPSHOT_SAVE,
  SNAPSHOT_LOAD,
  SNAPSHOT_DIFF,
  INSPECT,
  VCONFIG_PLAN,
  VCONFIG_CHECK,
  VCONFIG_SHOW,
  VCONFIG_DIFF,
  HOST_SHOW,
  HOST_LIST,
  MATRIX,
  QEMU,
  SCHEMA,
  COMPLETION,
  HELP,
  VERSION,
];

/** Meaning of the exit codes, for the man page and the docs. */
export const EXIT_DOCS: readonly (readonly [number, string])[] = [
  [0, 'the guest passed, or the command did what it was asked'],
  [1, 'the guest failed or crashed, two snapshots or two runs differ, or a device does not fit a plan'],
  [2, 'usage: a bad option, a bad file, a guest that does not compile'],
  [3, 'the host refused: a full disk, a missing tool, or nobody reads the output any more'],
  [4, 'the guest hung: out of fuel or time, or waiting for what can never come'],
  [5, "with --verify: the host's IOMMU translated otherwise than the guest's would"],
  [70, 'a bug in tsvmm'],
];

export const ENVIRONMENT_DOCS: readonly (readonly [string, string])[] = [
  [
    'TSVMM_CACHE_DIR',
    'where compiled and rewritten modules are kept (else XDG_CACHE_HOME/tsvmm, else ~/.cache/tsvmm)',
  ],
  ['NO_COLOR', 'no colour, unless it is empty'],
  ['FORCE_COLOR', 'colour even where stderr is no terminal; 0 turns it off'],
];
