import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as zod from 'zod';
import { builtinRegistry } from '../../../vmm/machine/builtin.ts';
import { COMMANDS } from '../../../vmm/monitor/table.ts';
import { idleMonitor } from '../../kit/monitor.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tsvmm-monitor-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe('a QMP connection', () => {
  test('is greeted, and every command before the negotiation is refused', () => {
    const { client } = idleMonitor({ negotiate: false });

    expect(client.take()).toEqual([
      {
        QMP: {
          version: { qemu: { major: 11, minor: 1, micro: 2 }, package: 'tsvmm-0.0.1' },
          capabilities: [],
        },
      },
    ]);
    expect(client.ask({ execute: 'query-status', id: 7 })).toEqual([
      {
        error: {
          class: 'CommandNotFound',
          desc: "Expecting capabilities negotiation with 'qmp_capabilities'",
        },
        id: 7,
      },
    ]);
  });

  test('negotiates once', () => {
    const { client } = idleMonitor();

    expect(client.ask({ execute: 'qmp_capabilities' })).toEqual([
      {
        error: {
          class: 'CommandNotFound',
          desc: 'Capabilities negotiation is already complete, command ignored',
        },
      },
    ]);
  });

  test('offers no capability, and refuses one that is asked for', () => {
    const { client } = idleMonitor({ negotiate: false });
    client.take();

    expect(client.ask({ execute: 'qmp_capabilities', arguments: { enable: ['oob'] } })).toEqual([
      { error: { class: 'GenericError', desc: "Capability 'oob' is not available" } },
    ]);
    expect(client.ask({ execute: 'qmp_capabilities' })).toEqual([{ return: {} }]);
  });

  test.each([
    [
      { execute: 'query-status', id: 'a' },
      { return: { running: false, status: 'prelaunch' }, id: 'a' },
    ],
    [
      { execute: 'query-status', id: null },
      { return: { running: false, status: 'prelaunch' }, id: null },
    ],
    [
      { execute: 'query-status', id: { x: [1] } },
      { return: { running: false, status: 'prelaunch' }, id: { x: [1] } },
    ],
    [
      { execute: 'query-statu' },
      {
        error: {
          class: 'CommandNotFound',
          desc: "The command query-statu has not been found; did you mean 'query-status'?",
        },
      },
    ],
    [
      { execute: 'query-status', arguments: { x: 1 } },
      { error: { class: 'GenericError', desc: "Parameter 'x' is unexpected" } },
    ],
    [{ execute: 'qom-list' }, { error: { class: 'GenericError', desc: "Parameter 'path' is missing" } }],
    [
      { execute: 'qom-list', arguments: { path: 1 } },
      { error: { class: 'GenericError', desc: "Invalid parameter type for 'path', expected: string" } },
    ],
    [
      { execute: 'x-tsvmm-info', arguments: { topic: 'nope' } },
      { error: { class: 'GenericError', desc: "Parameter 'topic' does not accept value 'nope'" } },
    ],
    [
      { execute: 1 },
      { error: { class: 'GenericError', desc: "QMP input member 'execute' must be a string" } },
    ],
    [{}, { error: { class: 'GenericError', desc: "QMP input lacks member 'execute'" } }],
    [[], { error: { class: 'GenericError', desc: 'QMP input must be a JSON object' } }],
    [
      { execute: 'stop', arguments: [] },
      { error: { class: 'GenericError', desc: "QMP input member 'arguments' must be an object" } },
    ],
    [
      { execute: 'stop', argument: {} },
      { error: { class: 'GenericError', desc: "QMP input member 'argument' is unexpected" } },
    ],
  ])('%j is answered', (message, answer) => {
    const { client } = idleMonitor();

    expect(client.ask(message)).toEqual([answer]);
  });
});

describe('query commands', () => {
  test('query-commands names the whole table', () => {
    const { client } = idleMonitor();

    const names = (client.value('query-commands') as { name: string }[]).map((c) => c.name);

    expect(names).toEqual(COMMANDS.map((c) => c.name));
    expect(names).toContain('device_add');
  });

  test('query-qmp-schema describes every command and event, and every type it names', () => {
    const { client } = idleMonitor();

    const entities = client.value('query-qmp-schema') as Record<string, unknown>[];
    const named = new Set(entities.map((e) => e['name']));
    const used = entities.flatMap((e) => [
      ...['arg-type', 'ret-type', 'element-type'].map((key) => e[key]).filter((x) => x !== undefined),
      ...((e['members'] as { type?: string }[] | undefined) ?? []).flatMap((m) => m.type ?? []),
    ]);

    expect(used.filter((name) => !named.has(name))).toEqual([]);
    expect(entities.filter((e) => e['meta-type'] === 'command')).toHaveLength(COMMANDS.length);
    expect(entities).toContainEqual({ name: 'str', 'meta-type': 'builtin', 'json-type': 'string' });
    expect(entities.find((e) => e['name'] === 'DEVICE_DELETED')).toMatchObject({ 'meta-type': 'event' });
  });

  test('query-machines has q35', () => {
    const { client } = idleMonitor();

    expect(client.value('query-machines')).toContainEqual({
      name: 'q35',
      'is-default': true,
      'cpu-max': 1,
      'hotpluggable-cpus': false,
      'numa-mem-supported': false,
      deprecated: false,
      acpi: true,
    });
  });

  test('query-pci shows functions with BARs, bridges with what is behind them', () => {
    const { client } = idleMonitor();

    const [bus] = client.value('query-pci') as { devices: Record<string, unknown>[] }[];
    const port = bus!.devices.find((d) => d['qdev_id'] === 'rp0') as {
      pci_bridge: { bus: { secondary: number }; devices: { qdev_id: string; bus: number }[] };
    };

    expect(bus!.devices.find((d) => d['qdev_id'] === 'edu0')).toMatchObject({
      bus: 0,
      slot: 2,
      function: 0,
      class_info: { class: 0x00ff },
      id: { vendor: 0x1234, device: 0x11e8 },
      irq_pin: 1,
      regions: [{ bar: 0, type: 'memory', size: 0x100000, prefetch: false, mem_type_64: false }],
    });
    expect(port.pci_bridge.bus.secondary).toBe(1);
    expect(port.pci_bridge.devices).toMatchObject([{ qdev_id: 'edu1', bus: 1 }]);
  });

  test('query-cpus-fast has the processor, whether a guest runs or not', () => {
    const { client } = idleMonitor();

    expect(client.value('query-cpus-fast')).toEqual([
      {
        'cpu-index': 0,
        'qom-path': '/machine/unattached/device[0]',
        'thread-id': process.pid,
        target: 'x86_64',
      },
    ]);
  });

  test('qom-list-types finds kinds by what they implement', () => {
    const { client } = idleMonitor();

    expect(client.value('qom-list-types', { implements: 'pci-device' })).toEqual(
      builtinRegistry().pciKinds.map((kind) => ({ name: kind.name, parent: 'pci-device' })),
    );
    expect(client.value('qom-list-types', { implements: 'accel' })).toEqual([
      { name: 'qtest-accel', parent: 'accel' },
    ]);
    expect(client.value('qom-list-types', { abstract: true })).toContainEqual({
      name: 'object',
      abstract: true,
    });
  });

  test('qom-list walks from the root to a device', () => {
    const { client } = idleMonitor();

    expect(client.value('qom-list', { path: '/' })).toContainEqual({
      name: 'machine',
      type: 'child<q35-machine>',
    });
    expect(client.value('qom-list', { path: '/machine/peripheral' })).toContainEqual({
      name: 'edu0',
      type: 'child<edu>',
    });
    expect(client.value('qom-list', { path: '/machine/peripheral/edu0/' })).toContainEqual({
      name: 'dma_delay_ns',
      type: 'int',
    });
    expect(client.fails('qom-list', { path: '/machine/nobody' })).toEqual({
      class: 'DeviceNotFound',
      desc: "Device '/machine/nobody' not found",
    });
  });

  test('device-list-properties has the properties with their defaults', () => {
    const { client } = idleMonitor();

    expect(client.value('device-list-properties', { typename: 'pcie-root-port' })).toEqual([
      { name: 'id', type: 'str' },
      { name: 'addr', type: 'str' },
      { name: 'bus', type: 'str' },
      { name: 'vconfig', type: 'str' },
      { name: 'slot', type: 'int', 'default-value': 0 },
    ]);
    expect(client.value('device-list-properties', { typename: 'intel-iommu' })).toContainEqual({
      name: 'intremap',
      type: 'bool',
      'default-value': true,
    });
    expect(client.fails('device-list-properties', { typename: 'nvme' })).toEqual({
      class: 'DeviceNotFound',
      desc: "Device 'nvme' not found",
    });
  });
});

describe('running and resetting', () => {
  test('cont and stop change the status and tell every client', () => {
    const { client, monitor, open } = idleMonitor();
    const other = open();

    expect(client.ask({ execute: 'cont' })).toMatchObject([{ event: 'RESUME' }, { return: {} }]);
    expect(other.take()).toEqual([{ event: 'RESUME', timestamp: { seconds: 1704067200, microseconds: 0 } }]);
    monitor.machine.clock.advanceTo(2_000_003_999);
    expect(client.ask({ execute: 'stop' })).toEqual([
      { event: 'STOP', timestamp: { seconds: 1704067202, microseconds: 3 } },
      { return: {} },
    ]);
    expect(client.value('query-status')).toEqual({ running: false, status: 'paused' });
  });

  test('system_reset resets before the event', () => {
    const { client, monitor } = idleMonitor();
    expect(monitor.machine.root.configRead(0x10, 4, 2)).toBe(0x0003);

    const answers = client.ask({ execute: 'system_reset' });

    expect(monitor.machine.root.configRead(0x10, 4, 2)).toBe(0);
    expect(answers).toMatchObject([
      { event: 'RESET', data: { guest: false, reason: 'host-qmp-system-reset' } },
      { return: {} },
    ]);
  });

  test('quit says so and ends', () => {
    const { client, log } = idleMonitor();

    expect(client.ask({ execute: 'quit' })).toMatchObject([
      { event: 'SHUTDOWN', data: { guest: false, reason: 'host-qmp-quit' } },
      { return: {} },
    ]);
    expect(log).toEqual(['quit']);
  });

  test('without a guest there is nothing to step', () => {
    const { client } = idleMonitor();

    expect(client.fails('x-tsvmm-step', { count: 3 }).desc).toBe('no guest runs on this machine');
    expect(client.fails('x-tsvmm-step', { count: 0 }).desc).toBe(
      "Parameter 'count' expects a positive number",
    );
    expect(client.fails('x-tsvmm-run-until', { event: 'vtd_*' }).desc).toBe('no guest runs on this machine');
    expect(client.fails('x-tsvmm-run-until', { event: 'nope*' }).desc).toBe("no trace event matches 'nope*'");
  });
});

describe('plugging', () => {
  test('a device is there at once behind its root port, and gone with its event', () => {
    const { client, monitor } = idleMonitor({ devices: ['rp'] });
    expect(client.value('device_add', { driver: 'edu', id: 'hot', bus: 'rp0', dma_mask: '0xffff' })).toEqual(
      {},
    );
    const bdf = monitor.machine.pciDevice('hot')!.fn.bdf;

    expect(monitor.machine.root.configRead(bdf, 0, 4)).toBe(0x11e81234);
    expect(monitor.units().map((u) => u.id)).toContain('hot.pci');
    expect(client.ask({ execute: 'device_del', arguments: { id: 'hot' } })).toEqual([
      {
        event: 'DEVICE_DELETED',
        data: { device: 'hot', path: '/machine/peripheral/hot' },
        timestamp: { seconds: 1704067200, microseconds: 0 },
      },
      { return: {} },
    ]);
    expect(monitor.machine.root.configRead(bdf, 0, 4)).toBe(0xffffffff);
    expect(monitor.units().map((u) => u.id)).not.toContain('hot.pci');
    expect(client.value('device_add', { driver: 'edu', id: 'hot', bus: 'rp0' })).toEqual({});
  });

  test.each([
    [{ driver: 'nvme' }, "'nvme' is not a valid device model name"],
    [{ driver: 'edu', id: 'x' }, "Bus 'pcie.0' does not support hotplugging; name a root port with bus="],
    [{ driver: 'edu', id: 'rp0', bus: 'rp0' }, "Duplicate device ID 'rp0'"],
    [{ driver: 'edu', id: '0x', bus: 'rp0' }, "Parameter 'id' expects an identifier"],
    [{ driver: 'edu', id: 'x', bus: 'rp0', speed: 1 }, "Property 'edu.speed' not found"],
    [{ driver: 'edu', id: 'x', bus: 'nobody' }, "Bus 'nobody' not found"],
    [
      { driver: 'edu', id: 'x', bus: 'rp0', addr: '1' },
      'x: there is no slot 1.0 behind rp0; choose another addr= or bus= (slots of the root bus: 00:00.0 to 00:1f.7)',
    ],
  ])('%j is refused, and nothing has changed', (args, desc) => {
    const { client, monitor } = idleMonitor({ devices: ['rp'] });
    const before = monitor.units().map((u) => u.id);

    expect(client.fails('device_add', args)).toEqual({ class: 'GenericError', desc });
    expect(monitor.units().map((u) => u.id)).toEqual(before);
    expect(client.value('device_add', { driver: 'edu', id: 'x', bus: 'rp0' })).toEqual({});
  });

  test('what was never plugged in cannot be unplugged', () => {
    const { client } = idleMonitor();

    expect(client.fails('device_del', { id: 'nobody' })).toEqual({
      class: 'DeviceNotFound',
      desc: "Device 'nobody' not found",
    });
    expect(client.fails('device_del', { id: 'edu0' }).desc).toBe(
      "Bus 'pcie.0' does not support hotplugging; name a root port with bus=",
    );
  });

  test('scheduled work of a device that is pulled out is dropped', () => {
    const { client, monitor } = idleMonitor({ devices: ['rp'] });
    client.value('device_add', { driver: 'edu', id: 'hot', bus: 'rp0' });
    monitor.machine.clock.after(100, 'hot', 'dma');

    client.value('device_del', { id: 'hot' });
    monitor.machine.clock.advanceTo(1000);

    expect(monitor.machine.clock.now).toBe(1000);
  });
});

describe('memory', () => {
  test('memsave and pmemsave write what is in RAM', () => {
    const { client, monitor } = idleMonitor();
    const file = join(dir, 'memory');
    monitor.machine.ram.u8.set([1, 2, 3, 4], 0x1000);

    for (const command of ['memsave', 'pmemsave']) {
      rmSync(file, { force: true });
      expect(client.value(command, { val: 0x1000, size: 4, filename: file })).toEqual({});
      expect([...readFileSync(file)]).toEqual([1, 2, 3, 4]);
    }
  });

  test('what is not RAM and what cannot be written is refused', () => {
    const { client } = idleMonitor();

    expect(client.fails('pmemsave', { val: 0xfed90000, size: 4, filename: join(dir, 'x') }).desc).toBe(
      '4 bytes at 0xfed90000 are not all RAM: iommu is there',
    );
    expect(client.fails('pmemsave', { val: 0, size: 4, filename: join(dir, 'no/such') }).desc).toBe(
      `Could not open '${join(dir, 'no/such')}': No such file or directory`,
    );
    expect(client.fails('memsave', { val: 0, size: 4, filename: 'x', 'cpu-index': 1 }).desc).toBe(
      "Invalid parameter 'cpu-index', expected: a CPU number",
    );
  });

  test.each([
    ['x 0x1000', '0000000000001000: 0x04030201'],
    ['x/2xw 0x1000', '0000000000001000: 0x04030201 0xfffffffe'],
    ['xp /1gx 0x1000', '0000000000001000: 0xfffffffe04030201'],
    ['x/1dw 0x1004', '0000000000001004:         -2'],
    ['x/2uh 0x1004', '0000000000001004: 65534 65535'],
    ['x/3ob 0x1000', '0000000000001000: #  1 #  2 #  3'],
    ['x/3c 0x1008', "0000000000001008: 'A' '\\n' '\\x80'"],
    [
      'x/5xw 0x1ff0',
      '0000000000001ff0: 0x00000000 0x00000000 0x00000000 0x00000000\n0000000000002000: 0x00000000',
    ],
    ['x/1i 0x1000', 'Error: instructions are WebAssembly and not in guest memory'],
    ['x', 'Error: usage: x [/FMT] ADDR'],
    ['x/2xw 0xfed90000', 'Error: 8 bytes at 0xfed90000 are not all RAM: iommu is there'],
    ['x/2xw 0x1000 --json', '{"address":"0x1000","values":["0x4030201","0xfffffffe"]}'],
  ])('%s', (line, text) => {
    const { monitor } = idleMonitor();
    monitor.machine.ram.u8.set([1, 2, 3, 4, 0xfe, 0xff, 0xff, 0xff, 0x41, 0x0a, 0x80], 0x1000);

    expect(monitor.execute(line)).toBe(text);
  });
});

describe('tracing', () => {
  test('events are switched by glob and printed to the text clients', () => {
    const { client, monitor } = idleMonitor();
    const lines: string[] = [];
    const text = monitor.openText((line) => lines.push(line));

    expect(text.line('info trace-events vtd_inv*')).toContain(' : state 0');
    expect(client.value('trace-event-set-state', { name: 'pci_cfg_*', enable: true })).toEqual({});
    expect(client.value('trace-event-get-state', { name: 'pci_cfg_read' })).toEqual([
      { name: 'pci_cfg_read', state: 'enabled' },
    ]);
    monitor.machine.root.configRead(0, 0, 4);
    expect(lines).toEqual(['         0 pci_cfg_read bdf=00:00.0 offset=0x0 size=0x4 value=0x29c08086']);
    expect(text.line('trace-event pci_cfg_* off')).toBe('');
    monitor.machine.root.configRead(0, 0, 4);
    expect(lines).toHaveLength(1);
    expect(client.fails('trace-event-get-state', { name: 'nope' }).desc).toBe('unknown event "nope"');
  });
});

describe('snapshots as jobs', () => {
  test('a machine is saved, changed and loaded again', () => {
    const { client, monitor } = idleMonitor();
    const tag = join(dir, 'snap');
    monitor.machine.ram.u8[0x5000] = 7;

    expect(client.ask({ execute: 'snapshot-save', arguments: { 'job-id': 'j0', tag } })).toMatchObject([
      { event: 'JOB_STATUS_CHANGE', data: { id: 'j0', status: 'created' } },
      { event: 'JOB_STATUS_CHANGE', data: { id: 'j0', status: 'running' } },
      { event: 'JOB_STATUS_CHANGE', data: { id: 'j0', status: 'waiting' } },
      { event: 'JOB_STATUS_CHANGE', data: { id: 'j0', status: 'pending' } },
      { event: 'JOB_STATUS_CHANGE', data: { id: 'j0', status: 'concluded' } },
      { return: {} },
    ]);
    monitor.machine.ram.u8[0x5000] = 8;
    monitor.machine.root.configWrite(0x10, 4, 2, 0);
    client.value('snapshot-load', { 'job-id': 'j1', tag });

    expect(client.value('query-jobs')).toEqual([
      { id: 'j0', type: 'snapshot-save', status: 'concluded', 'current-progress': 1, 'total-progress': 1 },
      { id: 'j1', type: 'snapshot-load', status: 'concluded', 'current-progress': 1, 'total-progress': 1 },
    ]);
    expect(monitor.machine.ram.u8[0x5000]).toBe(7);
    expect(monitor.machine.root.configRead(0x10, 4, 2)).toBe(3);
    expect(client.value('job-dismiss', { id: 'j0' })).toEqual({});
    expect(client.fails('job-dismiss', { id: 'j0' }).desc).toBe('Job not found');
  });

  test('vmstate is the directory of the tag, and there is no block device to save', () => {
    const { client } = idleMonitor();
    const args = { 'job-id': 'j', tag: 'named', vmstate: dir };

    expect(client.fails('snapshot-save', { ...args, devices: ['disk0'] }).desc).toBe(
      "No block device node 'disk0'",
    );
    expect(client.fails('snapshot-load', { ...args, devices: ['disk0'] }).desc).toBe(
      "No block device node 'disk0'",
    );
    expect(client.fails('snapshot-save', { 'job-id': 'j', tag: '' }).desc).toBe(
      "Parameter 'tag' expects a directory",
    );
    expect(client.value('snapshot-save', { ...args, devices: [] })).toEqual({});
    expect(existsSync(join(dir, 'named'))).toBe(true);
    expect(client.value('snapshot-load', { ...args, 'job-id': 'l', devices: [] })).toEqual({});
    expect(client.value('query-jobs')).toMatchObject([{ id: 'j' }, { id: 'l', status: 'concluded' }]);
  });

  test('a job that fails says why, and another machine keeps its state', () => {
    const { client } = idleMonitor();
    const tag = join(dir, 'other');
    client.value('snapshot-save', { 'job-id': 'a', tag });
    const other = idleMonitor({ devices: ['rp'] });

    const said = other.client.ask({ execute: 'snapshot-load', arguments: { 'job-id': 'b', tag } });

    expect(said).toMatchObject([
      { event: 'JOB_STATUS_CHANGE', data: { id: 'b', status: 'created' } },
      { event: 'JOB_STATUS_CHANGE', data: { id: 'b', status: 'running' } },
      { event: 'JOB_STATUS_CHANGE', data: { id: 'b', status: 'aborting' } },
      { event: 'JOB_STATUS_CHANGE', data: { id: 'b', status: 'concluded' } },
      { return: {} },
    ]);
    expect(other.client.value('query-jobs')).toMatchObject([
      {
        id: 'b',
        status: 'concluded',
        error: `${tag}: is of another machine; load it into the machine it was saved from`,
      },
    ]);
    expect(client.fails('snapshot-save', { 'job-id': 'a', tag }).desc).toBe("Job ID 'a' already in use");
    expect(client.fails('snapshot-save', { 'job-id': '', tag }).desc).toBe("Invalid job ID ''");
  });
});

describe('numbers that are not exact', () => {
  const sent = (id: string, execute = 'query-version') => {
    const out: string[] = [];
    const connection = idleMonitor().monitor.openQmp((text) => out.push(text));
    connection.input(Buffer.from(`{"execute":"qmp_capabilities"}`));
    connection.input(Buffer.from(`{"id":${id},"execute":"${execute}","arguments":{}}`));
    return out.at(-1)!;
  };

  test.each([
    '9007199254740993',
    '18446744073709551615',
    '-9223372036854775808',
    '1e400',
    '0.10000000000000000001',
    '{"id":[18446744073709551615,{"id":"}, 1234567890123456789"}]}',
    '["\\"12345678901234567890\\\\",1234567890123456789]',
  ])('id %s comes back as it was sent', (id) => {
    expect(sent(id)).toMatch(/^\{"return":\{"qemu"/);
    expect(sent(id).endsWith(`},"id":${id}}\r\n`)).toBe(true);
    expect(sent(id, 'nope').endsWith(`},"id":${id}}\r\n`)).toBe(true);
  });

  test('an id of several lines comes back on one', () => {
    expect(sent('[ 9007199254740993,\n\t"a b" ]')).toMatch(/,"id":\[9007199254740993,"a b"\]\}\r\n$/);
  });

  test('the id of another level is not that of the message', () => {
    const out: string[] = [];
    const connection = idleMonitor().monitor.openQmp((text) => out.push(text));
    connection.input(Buffer.from(`{"execute":"nope","arguments":{"id":9007199254740993}}`));

    expect(JSON.parse(out.at(-1)!)).not.toHaveProperty('id');
  });

  test('an argument beyond 2^53 is refused: it would be another number', () => {
    const { client } = idleMonitor();

    expect(client.fails('pmemsave', { val: 0, size: 2 ** 60, filename: 'x' }).desc).toBe(
      "Parameter 'size' is beyond 2^53",
    );
    expect(client.fails('x-tsvmm-xlate', { device: 'edu0', address: 2 ** 60 }).desc).toBe(
      "Parameter 'address' is beyond 2^53: give it as a string in hex",
    );
    expect(client.fails('x-tsvmm-memory', { address: '0xffffffffffffffff' }).desc).toBe(
      '4 bytes at 0xffffffffffffffff are not all RAM: nothing is mapped there',
    );
  });
});

test('the checks of the light types agree with the zod schemas made from them', async () => {
  const { zodOf, problemWith, object, may, need, STR, INT, ADDRESS, oneOf, arrayOf } = await import(
    '../../../vmm/monitor/types.ts'
  );
  const type = object({
    a: need(STR, ''),
    b: may(INT, ''),
    c: may(oneOf('x', 'y'), ''),
    d: may(arrayOf(ADDRESS), ''),
  });
  const schema = zodOf(zod, type);
  const samples: unknown[] = [
    { a: 'x' },
    { a: 1 },
    {},
    [],
    null,
    { a: '', b: 1.5 },
    { a: '', b: 2 },
    { a: '', c: 'z' },
    { a: '', c: 'y' },
    { a: '', d: ['0x10', 5] },
    { a: '', d: ['10h'] },
    { a: '', d: [-1] },
    { a: '', e: 0 },
  ];

  for (const sample of samples)
    expect([sample, problemWith(type, sample, 'v') === undefined]).toEqual([
      sample,
      schema.safeParse(sample).success,
    ]);
});
