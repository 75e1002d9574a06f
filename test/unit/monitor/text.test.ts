import { describe, expect, test } from 'vitest';
import { ROOT_ENTRY } from '../../../viommu/spec/vtd/structures.ts';
import { lookup } from '../../../vmm/monitor/state-tree.ts';
import { COMMANDS } from '../../../vmm/monitor/table.ts';
import { completions } from '../../../vmm/monitor/text.ts';
import { idleMonitor } from '../../kit/monitor.ts';

const VTD = 0xfed90000;
const [ROOT, CONTEXTS, PML4, PDPT, PD, PT] = [0x100000, 0x101000, 0x102000, 0x103000, 0x104000, 0x105000];

/** edu0 (00:02.0) in domain 7 with one page: 0x5000 leads to 0x300000, read-only. */
function translated() {
  const rig = idleMonitor();
  const { machine } = rig.monitor;
  const store = (address: number, value: number) => {
    machine.ram.u32[address >>> 2] = value;
    machine.ram.wrote(address, 8);
  };
  store(ROOT, CONTEXTS | 1);
  store(CONTEXTS + 0x10 * 16, PML4 | 1);
  store(CONTEXTS + 0x10 * 16 + 8, 0x702);
  store(PML4, PDPT | 3);
  store(PDPT, PD | 3);
  store(PD, PT | 3);
  store(PT + 5 * 8, 0x300000 | 1);
  machine.mmio.write(VTD + 0x20, 8, ROOT, 0);
  machine.mmio.write(VTD + 0x18, 4, 0x40000000, 0);
  machine.mmio.write(VTD + 0x18, 4, 0x80000000, 0);
  return rig;
}

describe('xlate', () => {
  test('explains a mapped address entry by entry', () => {
    const { monitor } = translated();

    expect(monitor.execute('xlate 00:02.0 0x5678')).toBe(
      [
        'read of 0x5678 by 00:02.0',
        '  root entry at 0x100000 = 0x0000000000101001 0x0000000000000000: P=1 CTP=0x101',
        '  context entry at 0x101100 = 0x0000000000102001 0x0000000000000702: P=1 SSPTPTR=0x102 AW=2 (48-bit) DID=7',
        '  SS-PML4E at 0x102000 = 0x0000000000103003: R=1 W=1 X=0 EMT=0 IPAT=0 PS=0 A=0 D=0 SNP=0 ADDR=0x103',
        '  SS-PDPE at 0x103000 = 0x0000000000104003: R=1 W=1 X=0 EMT=0 IPAT=0 PS=0 A=0 D=0 SNP=0 ADDR=0x104',
        '  SS-PDE at 0x104000 = 0x0000000000105003: R=1 W=1 X=0 EMT=0 IPAT=0 PS=0 A=0 D=0 SNP=0 ADDR=0x105',
        '  SS-PTE at 0x105028 = 0x0000000000300001: R=1 W=0 X=0 EMT=0 IPAT=0 PS=0 A=0 D=0 SNP=0 ADDR=0x300',
        '  translates to 0x300678',
      ].join('\n'),
    );
  });

  test('explains a write to a page that may only be read', () => {
    const { monitor } = translated();

    expect(monitor.execute('xlate edu0 0x5678 w').split('\n').at(-1)).toBe(
      '  fault 05h (LGN.2): a write or AtomicOp needs W=1 in every second-stage entry on the way',
    );
  });

  test('explains an address that nothing maps', () => {
    const { monitor } = translated();

    expect(monitor.execute('xlate 00:02.0 0x40000000').split('\n').slice(-2)).toEqual([
      '  SS-PDPE at 0x103008 = 0x0000000000000000: R=0 W=0 X=0 EMT=0 IPAT=0 PS=0 A=0 D=0 SNP=0 ADDR=0',
      '  fault 06h (LGN.3): a read needs R=1 in every second-stage entry on the way',
    ]);
  });

  test('changes nothing: no fault is recorded and no cache filled', () => {
    const { monitor } = translated();
    const before = JSON.stringify(monitor.units().map((unit) => unit.save()));

    monitor.execute('xlate 00:02.0 0x5678');
    monitor.execute('xlate 00:02.0 0x40000000 w');

    expect(JSON.stringify(monitor.units().map((unit) => unit.save()))).toBe(before);
    expect(monitor.execute('info faults')).toBe('');
    expect(monitor.execute('info iotlb')).toBe('');
  });

  test('has the same as JSON, with the PASID that was asked for', () => {
    const { monitor } = translated();

    expect(JSON.parse(monitor.execute('xlate 00:02.0 pasid=5 0x5678 x --json'))).toMatchObject({
      requester: '00:02.0',
      pasid: 5,
      address: '0x5678',
      access: 'x',
    });
    expect(JSON.parse(monitor.execute('xlate 00:02.0 0x5678 --json'))).toMatchObject({
      steps: [
        { what: ROOT_ENTRY.name, address: '0x100000', source: 'memory' },
        { what: 'context entry' },
        {},
        {},
        {},
        { what: 'SS-PTE', raw: ['0x0000000000300001'] },
      ],
      outcome: 'translates to 0x300678',
    });
  });

  test.each([
    ['xlate', 'Error: usage: xlate BDF [pasid=N] ADDR [r|w|x]'],
    ['xlate 00:02.0', 'Error: usage: xlate BDF [pasid=N] ADDR [r|w|x]'],
    [
      'xlate nobody 0x1000',
      "Error: 'nobody' is no requester; use one of: host-bridge, edu0, td0, svm0, rp0, edu1, bb:dd.f",
    ],
    ['xlate 00:02.0 zero', "Error: 'zero' is no address: the address that the device uses"],
    ['xlate 00:02.0 0x1000 q', "Error: 'q' is no access: read, write or execute; read if absent"],
    ['xlate 00:02.0 pasid=0x100000 0x1000', "Error: Parameter 'pasid' expects a PASID of at most 20 bits"],
    ['xlate 00:02.0 0x1000 r more', 'Error: usage: xlate BDF [pasid=N] ADDR [r|w|x]'],
  ])('%s', (line, text) => {
    expect(idleMonitor().monitor.execute(line)).toBe(text);
  });
});

describe('info', () => {
  test.each([
    ['pci', /^00:00\.0 8086:29c0 class 060000 host-bridge none\n00:02\.0 1234:11e8 class 00ff00 edu0 intx/],
    ['mtree', /^memory 0x0000000000-0x00007fffff ram\n/],
    ['iommu', /^Every register with its fields:\n {2}offset=0x0 name=VER value=0x00000010/],
    ['iotlb', /^$/],
    ['queues', /^invalidation queue: base=0x0 bytes=4096 head=0x0 tail=0x0$/],
    ['faults', /^$/],
    ['irq', /./],
    ['limits', /pci-aer: /],
    ['trace', /^\w+\(/],
    ['pasid', /^translation is off$/],
    ['status', /^VM status: prelaunch$/],
    ['version', /^tsvmm-0\.0\.1$/],
    ['jobs', /^$/],
    ['nope', /^Error: 'nope' is no topic: what to show$/],
    ['', /^Error: usage: info TOPIC$/],
  ])('%s', (topic, text) => {
    expect(idleMonitor().monitor.execute(`info ${topic}`)).toMatch(text);
  });

  test('every topic has JSON too', () => {
    const { client } = idleMonitor();

    for (const topic of [
      'pci',
      'mtree',
      'iommu',
      'pasid',
      'iotlb',
      'queues',
      'faults',
      'irq',
      'limits',
      'trace',
    ])
      expect(JSON.stringify(client.value('x-tsvmm-info', { topic }))).toMatch(/^[[{]/);
  });

  test('queues shows what waits between head and tail', () => {
    const { monitor } = idleMonitor();
    const { mmio, ram } = monitor.machine;
    mmio.write(VTD + 0x90, 8, 0x200000, 0);
    ram.u32[0x200000 / 4] = 0x11;
    mmio.write(VTD + 0x88, 8, 0x10, 0);

    expect(monitor.execute('info queues')).toBe(
      'invalidation queue: base=0x200000 bytes=4096 head=0x0 tail=0x10\n  0x200000: 0x0000000000000011 0x0000000000000000',
    );
  });

  test('faults are explained', () => {
    const { monitor } = translated();
    monitor.machine.root.configWrite(0x10, 4, 2, 7);
    monitor.machine.pciDevice('edu0')!.fn.w.dma.read(0x40000000, 0, new Uint8Array(4), 0, 4);

    expect(monitor.execute('info faults')).toMatch(
      /^iommu: read of 0x40000000 by 00:02\.0 refused: fault 06h \(LGN\.3\)\n/,
    );
  });

  test('without an IOMMU its topics say so', () => {
    const { monitor } = idleMonitor({ viommu: null });

    expect(monitor.execute('info iotlb')).toBe('Error: this machine has no IOMMU');
    expect(monitor.execute('xlate 00:02.0 0x1234')).toBe(
      'read of 0x1234 by 00:02.0\n  this machine has no IOMMU: memory address 0x1234',
    );
  });
});

describe('inspect', () => {
  test('walks the tree of the state by name', () => {
    const { monitor } = idleMonitor();

    expect(
      monitor
        .execute('inspect')
        .split('\n')
        .map((line) => line.split(':')[0]),
    ).toEqual(monitor.units().map((unit) => unit.id));
    expect(monitor.execute('inspect edu0.regs.LIVENESS')).toBe('0x00000000');
    expect(monitor.execute('inspect edu0.pci.intx')).toBe('false');
    expect(monitor.execute('inspect clock --json')).toBe('{"now":0,"seq":0,"queue":[]}');
  });

  test.each([
    ['inspect edu', "Error: there is no 'edu'; did you mean 'edu0'?"],
    ['inspect edu0.reg', "Error: there is no 'reg' in edu0; did you mean 'regs'?"],
    ['inspect clock.now.x', "Error: there is no 'x' in clock.now; it is a value"],
    ['inspect a b', 'Error: usage: inspect [a.b.c]'],
  ])('%s', (line, text) => {
    expect(idleMonitor().monitor.execute(line)).toBe(text);
  });

  test('a name with a dot is found before a shorter one', () => {
    expect(lookup({ a: { b: 1 }, 'a.b': 2 }, 'a.b')).toBe(2);
  });
});

describe('lines', () => {
  test.each([
    ['', ''],
    ['   ', ''],
    ['stpo', "Error: unknown command: 'stpo'; did you mean 'stop'?"],
    ['zzzzzz', "Error: unknown command: 'zzzzzz'; type 'help'"],
    ['stop now', 'Error: usage: stop'],
    ['step x', "Error: 'x' is no count: how many; 1 if absent"],
    ['help qui', 'quit  End tsvmm'],
    ['help nope', "Error: unknown command: 'nope'; type 'help'"],
    [
      'qom-list /machine/nobody --json',
      '{"error":{"class":"DeviceNotFound","desc":"Device \'/machine/nobody\' not found"}}',
    ],
    ['device_add', 'Error: usage: device_add KIND[,KEY=VAL...]'],
    ['device_add edu,id=a,id=b', "Error: bad property 'id=b'"],
    [
      'device_add edu,id=hot,bus=rp0,dma_mask=0xff',
      'Error: hot: slot 0.0 belongs to edu1; choose another addr= or bus= (slots of the root bus: 00:00.0 to 00:1f.7)',
    ],
    ['device_del nobody', "Error: Device 'nobody' not found"],
    [
      'loadvm /nowhere/at/all',
      "Error: /nowhere/at/all: there is no such snapshot; give a directory that 'snapshot save' made",
    ],
    ['savevm', 'Error: usage: savevm DIR [force=on]'],
  ])('%j', (line, text) => {
    expect(idleMonitor().monitor.execute(line)).toBe(text);
  });

  test('help lists every command that has a text form', () => {
    const help = idleMonitor().monitor.execute('help');

    for (const { text } of COMMANDS) if (text !== undefined) expect(help).toContain(text.name);
  });

  test('help on one command, and as JSON', () => {
    const { monitor } = idleMonitor();

    expect(monitor.execute('help stop')).toBe('stop  Stop the machine');
    expect(monitor.execute('help stop --json')).toBe('[{"usage":"stop","doc":"Stop the machine"}]');
    expect(monitor.execute('help nothing --json')).toBe(
      `{"error":{"class":"GenericError","desc":"unknown command: 'nothing'; type 'help'"}}`,
    );
  });

  test('human-monitor-command answers as the text monitor does', () => {
    const { client } = idleMonitor();

    expect(client.value('human-monitor-command', { 'command-line': 'info status' })).toBe(
      'VM status: prelaunch\r\n',
    );
    expect(client.value('human-monitor-command', { 'command-line': 'cont' })).toBe('');
  });

  test('properties of a device as people write them, commas doubled', () => {
    const { monitor } = idleMonitor({ devices: ['rp'] });

    expect(monitor.execute('device_add edu,id=hot,bus=rp0,dma_mask=0xff')).toBe('');
    expect(monitor.machine.config.devices.at(-1)).toMatchObject({ id: 'hot', bus: 'rp0' });
    expect(monitor.execute('device_del hot')).toBe('');
  });
});

describe('completion', () => {
  test.each([
    ['xl', ['xlate']],
    ['info p', ['pasid', 'passthrough', 'pci']],
    ['info st', ['status']],
    ['help qu', ['quit']],
    ['xlate 00:02', ['00:02.0']],
    ['run-until vtd_inv_des', ['vtd_inv_desc']],
    ['inspect edu0', ['edu0', 'edu0.pci']],
    ['device_add ed', ['edu']],
    ['device_del td', ['td0']],
    ['nope x', []],
  ])('%j', (line, words) => {
    expect(completions(idleMonitor().monitor, line)).toEqual(words);
  });
});
