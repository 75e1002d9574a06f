import { lspciDump } from '../../devices/pci/lspci.ts';
import type { DeviceView } from '../bus/device.ts';
import { allLimits } from './limits.ts';
import type { Machine } from './machine.ts';
import type { Registry } from './registry.ts';

interface MapRow {
  readonly space: 'memory' | 'io';
  readonly base: string;
  readonly end: string;
  readonly owner: string;
}

/** Views of the machine as a whole, beside those of its devices. */
export function machineViews(machine: Machine, registry: Registry): DeviceView[] {
  return [
    {
      name: 'mtree',
      doc: 'What is mapped where in memory and I/O port space',
      json: () => mapRows(machine),
      text: () =>
        mapRows(machine)
          .map((r) => `${r.space.padEnd(6)} ${r.base}-${r.end} ${r.owner}`)
          .join('\n'),
    },
    {
      name: 'lspci',
      doc: "Config space as 'lspci -F' reads it",
      json: () => lspciDump(machine.root),
      text: () => lspciDump(machine.root),
    },
    vconfigView(machine),
    traceView(machine),
    limitsView(registry),
    ...ownedBy(machine, 'iommu', 'iommu', 'State and capabilities of the IOMMU'),
    machine.platform.irqView,
    ...(machine.host?.views ?? [NO_HOST]),
  ];
}

/** In place of what a host says of the devices that it gave. */
const NO_HOST: DeviceView = {
  name: 'passthrough',
  doc: 'Assigned devices',
  json: () => ({ devices: [], refused: [] }),
  text: () => 'the machine runs on no host (--host): no device is assigned',
};

/** Of every function whose config space was planned. */
function vconfigView(machine: Machine): DeviceView {
  const planned = () =>
    machine.root
      .functions()
      .flatMap(({ id, w }) => (w.layout.planned?.views ?? []).map((v) => ({ id, ...v })));
  return {
    name: 'vconfig',
    doc: 'Virtual config spaces',
    json: () => Object.fromEntries(planned().map(({ id, json }) => [id, json()])),
    text: () =>
      planned()
        .map(({ id, text }) => `${id}:\n${indent(text())}`)
        .join('\n'),
  };
}

/** All views of one device as one. */
function ownedBy(machine: Machine, owner: string, name: string, doc: string): DeviceView[] {
  const views = machine.deviceViews.filter((v) => v.owner === owner);
  if (views.length === 0) return [];
  return [
    {
      name,
      doc,
      json: () => Object.fromEntries(views.map((v) => [v.name, v.json()])),
      text: () => views.map((v) => `${v.doc}:\n${indent(v.text())}`).join('\n'),
    },
  ];
}

function indent(text: string): string {
  return text
    .split('\n')
    .map((line) => (line === '' ? line : `  ${line}`))
    .join('\n');
}

function mapRows({ ram, mmio, ports }: Machine): MapRow[] {
  const memory = [{ name: 'ram', base: ram.base, size: ram.size }, ...mmio.ranges].sort(
    (a, b) => a.base - b.base,
  );
  const io = [...ports.ranges].sort((a, b) => a.base - b.base);
  const row =
    (space: MapRow['space'], digits: number) =>
    (r: { name: string; base: number; size: number }): MapRow => ({
      space,
      base: `0x${r.base.toString(16).padStart(digits, '0')}`,
      end: `0x${(r.base + r.size - 1).toString(16).padStart(digits, '0')}`,
      owner: r.name,
    });
  return [...memory.map(row('memory', 10)), ...io.map(row('io', 4))];
}

function traceView({ tracer }: Machine): DeviceView {
  const rows = () =>
    tracer
      .declared()
      .map(({ name, decl }) => ({ name, doc: decl.doc, args: decl.args }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  return {
    name: 'trace',
    doc: 'The trace events',
    json: rows,
    text: () =>
      rows()
        .map(({ name, doc, args }) => `${name}(${Object.keys(args).join(', ')}): ${doc}`)
        .join('\n'),
  };
}

function limitsView(registry: Registry): DeviceView {
  return {
    name: 'limits',
    doc: 'What a specification defines and tsvmm does not do',
    json: () => allLimits(registry),
    text: () =>
      allLimits(registry)
        .map(({ id, what, cite }) => `${id}: ${what} (${cite})`)
        .join('\n'),
  };
}
