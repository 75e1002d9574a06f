import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ACS,
  constraintOf,
  groupsOf,
  pasidPath,
  type TopologyFunction,
} from '../../../../vmm/host/vfio/topology.ts';

const ALL = ACS.SV | ACS.RR | ACS.CR | ACS.UF;
const GOOD = { capability: ALL, control: ALL };
const at = (
  name: string,
  type: TopologyFunction['type'],
  device: number,
  fn: number,
  more: Partial<TopologyFunction> = {},
): TopologyFunction => ({ name, type, device, fn, ...more });
const memory = (start: bigint, last: bigint) => ({ memory: [{ start, last }] });

/** A root port, a switch with two ports, and an endpoint below each. */
const withSwitch = (first: Partial<TopologyFunction>, second: Partial<TopologyFunction>) => [
  at('rp', 'root-port', 1, 0, { acs: GOOD }),
  at('up', 'upstream-port', 0, 0, { parent: 'rp' }),
  at('d0', 'downstream-port', 0, 0, { parent: 'up', ...first }),
  at('d1', 'downstream-port', 1, 0, { parent: 'up', ...second }),
  at('a', 'endpoint', 0, 0, { parent: 'd0', ...memory(0xe000_0000n, 0xe00f_ffffn) }),
  at('b', 'endpoint', 0, 0, { parent: 'd1', ...memory(0xe100_0000n, 0xe10f_ffffn) }),
];
const members = (functions: readonly TopologyFunction[]) =>
  groupsOf(functions).map((group) => [...group.functions].sort());

describe('groups', () => {
  const CASES: readonly (readonly [string, readonly TopologyFunction[], readonly (readonly string[])[]])[] = [
    [
      'single functions of the root bus are alone',
      [at('a', 'rc-endpoint', 1, 0), at('b', 'rc-endpoint', 2, 0)],
      [['a'], ['b']],
    ],
    [
      'a multifunction device without ACS is one',
      [at('a', 'endpoint', 0, 0, { parent: 'rp' }), at('b', 'endpoint', 0, 1, { parent: 'rp' })].concat(
        at('rp', 'root-port', 1, 0, { acs: GOOD }),
      ),
      [['a', 'b'], ['rp']],
    ],
    [
      'a multifunction device with ACS is not',
      [
        at('rp', 'root-port', 1, 0, { acs: GOOD }),
        at('a', 'endpoint', 0, 0, { parent: 'rp', acs: GOOD }),
        at('b', 'endpoint', 0, 1, { parent: 'rp', acs: GOOD }),
      ],
      [['rp'], ['a'], ['b']],
    ],
    [
      'of a multifunction device only the functions without ACS are one',
      [
        at('a', 'rc-endpoint', 1, 0),
        at('b', 'rc-endpoint', 1, 1, { acs: GOOD }),
        at('c', 'rc-endpoint', 1, 2),
      ],
      [['a', 'c'], ['b']],
    ],
    [
      'a device that the host knows to be isolated is split although it has no ACS',
      [at('a', 'rc-endpoint', 1, 0, { isolated: true }), at('b', 'rc-endpoint', 1, 1, { isolated: true })],
      [['a'], ['b']],
    ],
    [
      'a root port without ACS is one with what is below it',
      [at('rp', 'root-port', 1, 0), at('a', 'endpoint', 0, 0, { parent: 'rp' })],
      [['a', 'rp']],
    ],
    [
      'a service that the capability does not offer is taken for present',
      [
        at('rp', 'root-port', 1, 0, { acs: { capability: ACS.SV, control: ACS.SV } }),
        at('a', 'endpoint', 0, 0, { parent: 'rp' }),
      ],
      [['rp'], ['a']],
    ],
    [
      'one that is offered and disabled is not',
      [
        at('rp', 'root-port', 1, 0, { acs: { capability: ALL, control: ALL & ~ACS.CR } }),
        at('a', 'endpoint', 0, 0, { parent: 'rp' }),
      ],
      [['a', 'rp']],
    ],
    [
      'a switch with ACS keeps what is below its ports apart',
      withSwitch({ acs: GOOD }, { acs: GOOD }),
      [['rp'], ['up'], ['d0'], ['d1'], ['a'], ['b']],
    ],
    [
      'a switch without ACS makes one of everything below it',
      withSwitch({}, {}),
      [['rp'], ['up'], ['a', 'b', 'd0', 'd1']],
    ],
    [
      'one port without ACS is enough for that, because what is below it reaches the others',
      withSwitch({ acs: GOOD }, {}),
      [['rp'], ['up'], ['a', 'b', 'd0', 'd1']],
    ],
    [
      'conventional PCI behind a bridge has the id of the bridge',
      [
        at('rp', 'root-port', 1, 0, { acs: GOOD }),
        at('br', 'pcie-to-pci-bridge', 0, 0, { parent: 'rp' }),
        at('a', 'conventional', 1, 0, { parent: 'br' }),
        at('b', 'conventional', 2, 0, { parent: 'br' }),
      ],
      [['rp'], ['a', 'b', 'br']],
    ],
    [
      'virtual functions are apart from their physical function where the way up is',
      [
        at('rp', 'root-port', 1, 0, { acs: GOOD }),
        at('pf', 'endpoint', 0, 0, { parent: 'rp' }),
        at('vf', 'endpoint', 0, 1, { virtualOf: 'pf' }),
      ],
      [['rp'], ['pf'], ['vf']],
    ],
    [
      'a function with the requester id of another is one with it',
      [at('a', 'rc-endpoint', 1, 0), at('b', 'rc-endpoint', 2, 0, { alias: 'a' })],
      [['a', 'b']],
    ],
    [
      'a loop of parents ends',
      [at('a', 'pci-bridge', 1, 0, { parent: 'b' }), at('b', 'pci-bridge', 2, 0, { parent: 'a' })],
      [['a', 'b']],
    ],
  ];
  test.each(CASES)('%s', (_, functions, expected) => {
    expect(members(functions)).toEqual(expected.map((one) => [...one].sort()));
  });

  test('the constraint names every member that was joined, and why', () => {
    const [group] = groupsOf([at('a', 'rc-endpoint', 1, 0), at('b', 'rc-endpoint', 1, 1)]);

    expect(constraintOf(group!)).toEqual({
      group: 0,
      functions: ['a', 'b'],
      oneAddressSpace: true,
      why: 'all devices of group 0 must use the same address space, because b: a has no ACS capability, and it is a function of the same device',
    });
  });

  test('a device on its own has no constraint', () => {
    const [group] = groupsOf([at('a', 'rc-endpoint', 1, 0)]);

    expect(constraintOf(group!)).toMatchObject({ oneAddressSpace: false, why: 'a is alone in group 0' });
  });
});

describe('whatever the topology is', () => {
  const TYPES = [
    'root-port',
    'upstream-port',
    'downstream-port',
    'pcie-to-pci-bridge',
    'endpoint',
    'rc-endpoint',
  ] as const;
  const entry = fc.record({
    type: fc.constantFrom(...TYPES),
    parent: fc.option(fc.nat(11), { nil: undefined }),
    device: fc.nat(2),
    fn: fc.nat(2),
    acs: fc.option(fc.constant(GOOD), { nil: undefined }),
  });
  const topology = fc.array(entry, { minLength: 1, maxLength: 12 }).map((entries) =>
    entries.map(({ parent, acs, ...rest }, i) => ({
      name: `f${i}`,
      ...rest,
      // Parents before their children; loops are a case of their own.
      ...(parent === undefined || parent >= i ? {} : { parent: `f${parent}` }),
      ...(acs === undefined ? {} : { acs }),
    })),
  );

  test('every function is in one group, with a reason for each but the first', () => {
    fc.assert(
      fc.property(topology, (functions) => {
        const groups = groupsOf(functions);
        expect(groups.flatMap((group) => group.functions).sort()).toEqual(
          functions.map(({ name }) => name).sort(),
        );
        for (const { functions: names, reasons } of groups) expect(reasons.length).toBe(names.length - 1);
      }),
    );
  });

  test('ACS in one more place never joins what was apart', () => {
    fc.assert(
      fc.property(topology, fc.nat(11), (functions, which) => {
        const better = functions.map((one, i) => (i === which ? { ...one, acs: GOOD } : one));
        const before = groupsOf(functions);
        for (const group of groupsOf(better))
          expect(
            before.some(({ functions: names }) => group.functions.every((one) => names.includes(one))),
          ).toBe(true);
      }),
    );
  });
});

describe('requests with PASID', () => {
  test('pass freely where every port redirects', () => {
    expect(pasidPath(withSwitch({ acs: GOOD }, {}), 'a').verdict).toBe('free');
  });

  test('may meet the registers of every peer below a switch that does not', () => {
    expect(pasidPath(withSwitch({}, { acs: GOOD }), 'a')).toEqual({
      verdict: 'reserve',
      windows: [
        { start: 0xe000_0000n, last: 0xe00f_ffffn },
        { start: 0xe100_0000n, last: 0xe10f_ffffn },
      ],
      why: 'd0 has no ACS capability',
    });
  });

  test('need RR and UF only', () => {
    const acs = { capability: ALL, control: ACS.RR | ACS.UF };

    expect(pasidPath(withSwitch({ acs }, { acs }), 'a').verdict).toBe('free');
  });

  test('meet the other functions of their own device where that does not redirect', () => {
    const functions = [
      at('a', 'rc-endpoint', 1, 0, memory(0x1000n, 0x1fffn)),
      at('b', 'rc-endpoint', 1, 1, memory(0x2000n, 0x2fffn)),
      at('c', 'rc-endpoint', 2, 0, memory(0x8000n, 0x8fffn)),
    ];

    expect(pasidPath(functions, 'a').windows).toEqual([{ start: 0x1000n, last: 0x2fffn }]);
  });

  test('are refused where nobody knows what a peer claims', () => {
    const functions = [at('a', 'rc-endpoint', 1, 0, { memory: [] }), at('b', 'rc-endpoint', 1, 1)];

    expect(pasidPath(functions, 'a')).toEqual({
      verdict: 'refused',
      windows: [],
      why: 'a has no ACS capability; and nobody knows where the registers of b are',
    });
  });

  test('are free where no peer has memory', () => {
    const functions = [
      at('a', 'rc-endpoint', 1, 0, { memory: [] }),
      at('b', 'rc-endpoint', 1, 1, { memory: [] }),
    ];

    expect(pasidPath(functions, 'a').verdict).toBe('free');
  });
});
