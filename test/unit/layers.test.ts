import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, test } from 'vitest';

/** Which rooms a room may import from, besides itself. A type is an import like any other. */
const BASE = ['vmm/core', 'vmm/regs', 'vmm/state', 'vmm/mem', 'vmm/trace'];
const BUS = [...BASE, 'vmm/bus'];
const BELOW_MACHINE = [
  ...BUS,
  'devices',
  'viommu',
  'firmware',
  'guest/abi',
  'vmm/vcpu',
  'vmm/host',
  'vmm/passthru',
];
const LAYERS: Readonly<Record<string, readonly string[] | 'all'>> = {
  'vmm/core': [],
  'vmm/regs': ['vmm/core'],
  'vmm/state': ['vmm/core', 'vmm/regs'],
  'vmm/mem': ['vmm/core'],
  'vmm/trace': ['vmm/core'],
  'vmm/bus': BASE,
  'vmm/host/kernel': ['vmm/core'],
  'vmm/host/iommufd': ['vmm/core', 'vmm/host/kernel'],
  // What a guest hands down is in the architectures' own formats.
  'vmm/host/svm-channel': ['vmm/core', 'vmm/host/kernel', 'vmm/host/iommufd', 'viommu/spec'],
  'vmm/host/vfio': [
    ...BUS,
    'vmm/host/kernel',
    'vmm/host/iommufd',
    'vmm/host/svm-channel',
    'devices/pci',
    'devices/vconfig',
  ],
  'vmm/host/piommu': [
    ...BUS,
    'vmm/host/kernel',
    'vmm/host/iommufd',
    'viommu/spec',
    // A physical IOMMU is the model at register level, on other memory.
    'viommu/vtd',
    'viommu/smmuv3',
  ],
  'vmm/host/model': [
    ...BUS,
    'vmm/host',
    'viommu/spec',
    // The units of a host are the models of the guest's, made from what its registers say.
    'viommu/vtd',
    'viommu/smmuv3',
    'devices/pci',
    'devices/vconfig',
  ],

  // vmm/mem and vmm/bus as everybody; what it takes of the host is its interface, not what is behind.
  'vmm/passthru': [
    ...BUS,
    'vmm/host/kernel',
    'vmm/host/iommufd',
    'vmm/host/svm-channel',
    'vmm/host/vfio',
    'viommu/port',
    'viommu/spec',
    'devices/pci',
    'devices/vconfig',
  ],
  'viommu/spec': ['vmm/core', 'vmm/regs'],
  'viommu/walk': ['vmm/core', 'viommu/spec'],
  'viommu/watch': BUS,
  'viommu/port': BUS,
  'viommu/adversary': [...BUS, 'viommu/spec'],
  'viommu/vtd': [...BUS, 'viommu/spec', 'viommu/walk', 'viommu/watch', 'viommu/port', 'viommu/adversary'],
  'viommu/smmuv3': [...BUS, 'viommu/spec', 'viommu/walk', 'viommu/watch', 'viommu/port', 'viommu/adversary'],
  'devices/chipset': BUS,
  'devices/pci': BUS,
  'devices/ep': [...BUS, 'devices/pci'],
  'devices/vconfig': [...BUS, 'devices/pci'],
  firmware: ['vmm/core'],
  'guest/abi': ['vmm/core'],
  'guest/sdk': [
    'vmm/core',
    'vmm/regs',
    'guest/abi',
    'viommu/spec',
    'devices/chipset',
    'devices/ep',
    'devices/pci',
  ],
  'guest/examples': [],
  'guest/template': ['vmm/core'],
  'vmm/vcpu': [...BUS, 'guest/abi'],
  'vmm/machine': BELOW_MACHINE,
  'vmm/monitor': [...BELOW_MACHINE, 'vmm/machine'],
  'vmm/qtest': [...BUS, 'vmm/machine', 'vmm/monitor'],
  'vmm/report': [...BELOW_MACHINE, 'vmm/machine'],
  'vmm/replay': [...BUS, 'vmm/vcpu', 'vmm/machine', 'vmm/monitor', 'vmm/qtest'],
  'vmm/cli': 'all',
  'vmm/api': 'all',
};
const TOP = ['vmm', 'devices', 'viommu', 'guest', 'firmware'];

const IMPORT = /(?:^|[\s;])(?:import|export)\s(?:[^'";]*?\sfrom\s)?\s*'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/g;

interface Import {
  readonly from: string;
  readonly to: string;
}

const files = TOP.flatMap((top) =>
  readdirSync(top, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `${top}/${name.replaceAll('\\', '/')}`),
);

function importsOf(file: string): Import[] {
  const text = readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  return [...text.matchAll(IMPORT)]
    .map((match) => match[1] ?? match[2] ?? '')
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => ({
      from: file,
      to: normalize(join(dirname(file), specifier)).replaceAll('\\', '/'),
    }));
}

const isIn = (path: string, room: string) => path.startsWith(`${room}/`);
const roomOf = (path: string) => Object.keys(LAYERS).find((room) => isIn(path, room));
const imports = files.flatMap(importsOf);

test('every source file is in a room of the table', () => {
  expect(files.filter((file) => roomOf(file) === undefined)).toEqual([]);
});

test('every import resolves to a source file, and there are as many as a code base of this size has', () => {
  const known = new Set(files);

  expect(imports.filter(({ to }) => !known.has(to) && !to.endsWith('.mjs'))).toEqual([]);
  expect(imports.length).toBeGreaterThan(3 * files.length);
});

test('rooms look only where the table lets them', () => {
  const forbidden = imports.filter(({ from, to }) => {
    const room = roomOf(from) ?? '';
    const allowed = LAYERS[room] ?? [];
    return allowed !== 'all' && !isIn(to, room) && !allowed.some((target) => isIn(to, target));
  });

  expect(forbidden.map(({ from, to }) => `${from} -> ${to}`)).toEqual([]);
});

describe('what is allowed in a few places only', () => {
  const RULES: readonly (readonly [string, RegExp, readonly string[]])[] = [
    ['the host clock', /\bDate\.now\b|\bperformance\.now\b|\bnew Date\(\)|\bprocess\.hrtime\b/, []],
    ['host randomness', /\bMath\.random\b|\bgetRandomValues\b|\brandomBytes\b|\brandomUUID\b/, []],
    ['timers', /\bset(Timeout|Interval|Immediate)\(/, ['vmm/core/host-timer.ts']],
    ['ending the process', /\bprocess\.(exit|abort|kill)\(|\bprocess\.exitCode\b/, ['vmm/cli/main.ts']],
    [
      'loading zod',
      /\bimport\((['"])zod\1\)/,
      ['vmm/core/zod.ts', 'vmm/cli/machine-options.ts', 'vmm/machine/snapshot.ts'],
    ],
    ['importing zod statically', /^import (?!type).*from 'zod'/m, []],
    ['console.log and its kin', /\bconsole\.(log|error|warn|info|debug)\(/, []],
    ['default exports', /^export default\b/m, []],
    ['enums and namespaces', /^(export )?(const )?enum\b|^(export )?namespace\b/m, []],
  ];
  test.each(RULES)('%s', (_, pattern, allowed) => {
    const users = files.filter((file) => {
      const text = readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
      return pattern.test(text);
    });

    expect(users.filter((file) => !allowed.includes(file))).toEqual([]);
  });
});

test('no source file has more than 700 lines', () => {
  const long = files.filter((file) => readFileSync(file, 'utf8').split('\n').length > 700);

  expect(long).toEqual([]);
});
