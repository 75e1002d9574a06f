import { describe, expect, test } from 'vitest';
import { TsvmmError } from '../../../../vmm/core/errors.ts';
import { ACS_ON, ENGINE, hostJson, hostOf, ROOT_PORT, SMMU_UNIT, VTD_UNIT } from '../../../kit/host-file.ts';

function refusalOf(json: unknown): string {
  try {
    hostOf(json);
  } catch (error) {
    if (error instanceof TsvmmError) return error.message;
    throw error;
  }
  return 'accepted';
}

const units = (changes: object) => hostJson(undefined, [{ ...VTD_UNIT, ...changes }]);
const registers = (changes: object) =>
  units({ registers: { ...(VTD_UNIT['registers'] as object), ...changes } });
const smmu = (changes: object) =>
  hostJson(undefined, [{ ...SMMU_UNIT, registers: { ...(SMMU_UNIT['registers'] as object), ...changes } }]);
const engine = (changes: object) => hostJson([ROOT_PORT, { ...ENGINE, ...changes }]);
const SWITCH = [
  ROOT_PORT,
  { address: '0000:01:00.0', type: 'upstream-port', under: '0000:00:01.0' },
  { address: '0000:02:00.0', type: 'downstream-port', under: '0000:01:00.0' },
];
const row = (offset: string) => `${offset}:${' 00'.repeat(16)}`;
const rows = Array.from({ length: 16 }, (_, i) => row((i * 16).toString(16).padStart(2, '0')));

/** What is wrong, and the message: file, place, reason, what to do. */
const MISTAKES: readonly (readonly [string, unknown, string])[] = [
  [
    'another format',
    { format: 'x' },
    'is no host file: its format is not "tsvmm-host"; see \'tsvmm schema host\'',
  ],
  ['no object', null, 'is no host file'],
  ['a newer version', { ...hostJson(), version: 2 }, 'test.json at version: invalid input: expected 1'],
  ['a key too many', { ...hostJson(), color: 'red' }, 'test.json: unrecognized key: "color"'],
  ['no unit', hostJson(undefined, []), 'test.json at units: too small'],
  ['no number', registers({ CAP: '12' }), 'test.json at units.0.registers.CAP: write a number as 0x1f'],
  ['too many bits', registers({ VER: '0x123456789' }), 'units.0.registers.VER: has more than 32 bits'],
  ['a register of the other architecture', registers({ IDR0: '0x0' }), 'unrecognized key: "IDR0"'],
  [
    'an erratum of the other architecture',
    units({ quirks: ['repeat-invalidations'] }),
    "units.0.quirks: 'repeat-invalidations' is no erratum of a vtd unit",
  ],
  [
    'two architectures',
    hostJson(undefined, [VTD_UNIT, { ...SMMU_UNIT, devices: ['0000:01:00.0'] }]),
    'units.1.kind: a host has units of one architecture, and dmar0 is vtd',
  ],
  [
    'two units of one name',
    hostJson(undefined, [VTD_UNIT, { ...VTD_UNIT, base: '0x1000' }]),
    "units.1.id: another unit is 'dmar0', too",
  ],
  [
    'two units at one place',
    hostJson(undefined, [VTD_UNIT, { ...VTD_UNIT, id: 'b' }]),
    'units.1.base: unit dmar0 has its registers there',
  ],
  [
    'the rest twice',
    hostJson(undefined, [VTD_UNIT, { ...VTD_UNIT, id: 'b', base: '0x1000' }]),
    'units.1.devices: unit dmar0 stands for the rest already',
  ],
  [
    'a unit for nobody',
    units({ devices: ['0000:09:00.0'] }),
    'units.0.devices.0: there is no function 0000:09:00.0; did you mean',
  ],
  [
    'a device for no unit',
    units({ devices: ['0000:01:00.0'] }),
    'test.json at 0000:00:01.0: no unit stands for it',
  ],
  ['no address', engine({ address: '1:0.0' }), 'functions.1.address: write an address as 0000:3a:00.0'],
  [
    'an address twice',
    hostJson([ROOT_PORT, ENGINE, ENGINE]),
    'functions.2.address (0000:01:00.0): another function has this address',
  ],
  [
    'behind nothing',
    engine({ under: '0000:00:07.0' }),
    'functions.1.under (0000:01:00.0): there is no function 0000:00:07.0 before it',
  ],
  [
    'behind an endpoint',
    hostJson([ROOT_PORT, ENGINE, { ...ENGINE, address: '0000:02:00.0', under: '0000:01:00.0' }]),
    '0000:01:00.0 is of type endpoint, and nothing is behind those',
  ],
  [
    'two buses behind a port',
    hostJson([ROOT_PORT, ENGINE, { ...ENGINE, address: '0000:02:00.0' }]),
    'functions.2.address (0000:02:00.0): the bus behind 0000:00:01.0 is 01',
  ],
  [
    'a bus number below the port',
    hostJson([
      { ...ROOT_PORT, address: '0000:03:01.0' },
      { ...ENGINE, under: '0000:03:01.0' },
    ]),
    'has a number above its own',
  ],
  [
    'one bus number for two buses',
    hostJson([
      ROOT_PORT,
      { ...ROOT_PORT, address: '0000:00:02.0' },
      ENGINE,
      { ...ENGINE, address: '0000:01:01.0', under: '0000:00:02.0' },
    ]),
    'test.json at the bus behind 0000:00:02.0: 01 is the number of the bus behind 0000:00:01.0, too',
  ],
  [
    'an endpoint behind an upstream port',
    hostJson([...SWITCH.slice(0, 2), { ...ENGINE, address: '0000:02:00.0', under: '0000:01:00.0' }]),
    'a endpoint is not behind a upstream-port',
  ],
  [
    'a switch on a root bus',
    hostJson([{ address: '0000:00:01.0', type: 'upstream-port' }]),
    'a upstream-port is behind another port; name the port',
  ],
  [
    'a virtual function of nobody',
    hostJson([ROOT_PORT, ENGINE, { address: '0000:01:00.1', type: 'vf' }]),
    'functions.2.of (0000:01:00.1): a virtual function has a physical one',
  ],
  [
    'more virtual functions than the model has',
    hostJson([ROOT_PORT, ENGINE, { address: '0000:01:00.1', type: 'vf', of: '0000:01:00.0' }]),
    'test.json at 0000:01:00.1: the model of 0000:01:00.0 has 0 virtual functions; give the model more (vfs)',
  ],
  [
    'virtual functions out of order',
    hostJson([
      ROOT_PORT,
      { ...ENGINE, model: { kind: 'svm-engine', options: { vfs: 2 } } },
      { address: '0000:01:00.2', type: 'vf', of: '0000:01:00.0' },
    ]),
    'virtual function 1 of 0000:01:00.0 has routing id 0000:01:00.0 plus 1',
  ],
  [
    'an unknown model',
    engine({ model: { kind: 'svm-engin' } }),
    "test.json at 0000:01:00.0: there is no device kind 'svm-engin'; did you mean 'svm-engine'?",
  ],
  [
    'an unknown option of a model',
    engine({ model: { kind: 'svm-engine', options: { frame: 1 } } }),
    'test.json at 0000:01:00.0 model: unrecognized key: "frame"; did you mean \'frames\'?',
  ],
  [
    'a bad option of a model',
    engine({ model: { kind: 'svm-engine', options: { frames: 0 } } }),
    'test.json at 0000:01:00.0 model.frames: too small',
  ],
  [
    'a model and a dump',
    engine({ config: rows }),
    'functions.1.config (0000:01:00.0): the model says the configuration space; leave out config or model',
  ],
  [
    'a model of a port',
    hostJson([{ ...ROOT_PORT, model: { kind: 'edu' } }]),
    'functions.0.model (0000:00:01.0): a port moves no data of its own',
  ],
  ['half a dump', engine({ model: undefined, config: rows.slice(0, 2) }), 'functions.1.config: too small'],
  [
    'no row',
    engine({ model: undefined, config: ['00: zz', ...rows.slice(1)] }),
    'functions.1.config.0: write a row of 16 bytes as lspci -xxxx does',
  ],
  [
    'rows out of order',
    engine({ model: undefined, config: [rows[1], rows[0], ...rows.slice(2)] }),
    'functions.1.config.1 (0000:01:00.0): a row at 00 does not come after one at 10',
  ],
  [
    'a reserved range of half a page',
    engine({ reserved: [{ base: '0x1000', limit: '0x17ff' }] }),
    'functions.1.reserved.0 (0000:01:00.0): is no range of whole pages',
  ],
  [
    'no width of tables',
    registers({ CAP: '0x9ed008c40780066' }),
    'test.json: unit dmar0: CAP.SAGAW (12:8): has no width of 39, 48 or 57 bits',
  ],
  [
    'a reserved number of domains',
    registers({ CAP: '0x9ed008c40780467' }),
    'CAP.ND (2:0): is 7, which is reserved',
  ],
  [
    'reserved large pages',
    registers({ CAP: '0x9ed008840780466' }),
    'CAP.SSLPS (37:34): is 2, which is reserved',
  ],
  ['no queue', registers({ ECAP: '0x3ef9ea6f050dd' }), 'ECAP.QI (1): is 0'],
  [
    'PASIDs that are too wide',
    registers({ ECAP: '0x3effea6f050df' }),
    'ECAP.PSS (39:35): means PASIDs of over 20 bits',
  ],
  [
    'no stage',
    smmu({ IDR0: '0x80ff6bc' }),
    'test.json: unit smmu0: IDR0.S1P (1) and S2P (0): are 0: there is no stage',
  ],
  ['32-bit tables only', smmu({ IDR0: '0x80ff6b7' }), 'IDR0.TTF (3:2): has no AArch64 tables'],
  [
    'big-endian tables',
    smmu({ IDR0: '0x86ff6bf' }),
    'IDR0.TTENDIAN (22:21): does not have little-endian tables',
  ],
  ['no granule', smmu({ IDR5: '0x5' }), 'IDR5.GRAN4K, GRAN16K, GRAN64K (6:4): are 0'],
  [
    'StreamIDs that are too narrow',
    smmu({ IDR1: '0xe739d08' }),
    'test.json at 0000:01:00.0: its StreamID has more than the 8 bits of IDR1.SIDSIZE (5:0) of unit smmu0',
  ],
];

describe('a host file with a mistake is refused in one line with the place', () => {
  test.each(MISTAKES)('%s', (_, json, message) => {
    const text = refusalOf(json);

    expect(text).toContain(message);
    expect(text).toMatch(/^test\.json/);
    expect(text).not.toContain('\n');
  });
});

test('a host with a switch, virtual functions and a dump is read', () => {
  const json = hostJson([
    ...SWITCH,
    {
      ...ENGINE,
      address: '0000:03:00.0',
      under: '0000:02:00.0',
      model: { kind: 'svm-engine', options: { vfs: 2 } },
    },
    { address: '0000:03:00.1', type: 'vf', of: '0000:03:00.0' },
    { ...ROOT_PORT, address: '0000:00:02.0', acs: ACS_ON },
    { address: '0000:04:00.0', type: 'endpoint', under: '0000:00:02.0', config: rows },
  ]);

  expect(refusalOf(json)).toBe('accepted');
});
