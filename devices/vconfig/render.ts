import { read16, read32 } from './capability-table.ts';
import { type Capability, dissect, type Owner, ownership } from './space.ts';

const ROW = 16;
const hex2 = (value: number): string => value.toString(16).padStart(2, '0');

/** A space as `lspci -xxxx` prints it, which `lspci -F` reads back. */
export function lspciText(name: string, title: string, space: Uint8Array): string {
  const slot = /^([0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/i.test(name) ? name : '00:00.0';
  const code = read16(space, 0x0a).toString(16).padStart(4, '0');
  const lines = [
    `${slot} ${title === '' ? `Class ${code}: ${read16(space, 0).toString(16).padStart(4, '0')}:${read16(space, 2).toString(16).padStart(4, '0')}` : title}`,
  ];
  for (let offset = 0; offset < space.length; offset += ROW) {
    const row = Array.from(space.subarray(offset, offset + ROW), hex2);
    lines.push(`${offset.toString(16).padStart(offset < 0x100 ? 2 : 3, '0')}: ${row.join(' ')}`);
  }
  return `${lines.join('\n')}\n`;
}

/** What lspci -vvv would say of the capabilities that matter here, and one line for every other. */
export function describe(space: Uint8Array): readonly string[] {
  const { capabilities, diagnoses } = dissect(space);
  const lines = capabilities.flatMap((one) => [
    headline(one),
    ...details(space, one).map((line) => `        ${line}`),
  ]);
  return [
    ...lines,
    ...diagnoses.map(({ offset, why }) => `! ${offset.toString(16).padStart(3, '0')}: ${why}`),
  ];
}

function headline({ kind, offset, length, version, exact }: Capability): string {
  const place =
    kind.chain === 'standard' ? hex2(offset) : `${offset.toString(16).padStart(3, '0')} v${version}`;
  const hidden = kind.shown ? '' : ', hidden by vfio-pci';
  return `[${place}] ${kind.name} (${length} bytes${exact ? '' : ' at most'}${hidden})`;
}

const flag = (name: string, on: boolean): string => `${name}${on ? '+' : '-'}`;

function details(space: Uint8Array, { kind, offset }: Capability): readonly string[] {
  const cap = read16(space, offset + 4);
  const control = read16(space, offset + 6);
  switch (kind.key) {
    case 'pasid':
      return [
        `PASIDCap: ${flag('Exec', (cap & 2) !== 0)} ${flag('Priv', (cap & 4) !== 0)}, Max PASID Width: ${(cap >> 8) & 0x1f}`,
        `PASIDCtl: ${flag('Enable', (control & 1) !== 0)} ${flag('Exec', (control & 2) !== 0)} ${flag('Priv', (control & 4) !== 0)}`,
      ];
    case 'ats':
      return [
        `ATSCap: Invalidate Queue Depth: ${cap & 0x1f || 32}`,
        `ATSCtl: ${flag('Enable', (control & 0x8000) !== 0)}, Smallest Translation Unit: ${control & 0x1f}`,
      ];
    case 'pri':
      return [
        `PRICtl: ${flag('Enable', (cap & 1) !== 0)} ${flag('Reset', (cap & 2) !== 0)}`,
        `PRISta: ${flag('RF', (control & 1) !== 0)} ${flag('UPRGI', (control & 2) !== 0)} ${flag('Stopped', (control & 0x100) !== 0)} ${flag('PASID', (control & 0x8000) !== 0)}`,
        `Page Request Capacity: ${read32(space, offset + 8)}, Page Request Allocation: ${read32(space, offset + 12)}`,
      ];
    case 'dvsec':
      return [
        `Vendor=${read16(space, offset + 4)
          .toString(16)
          .padStart(4, '0')} ID=${read16(space, offset + 8)
          .toString(16)
          .padStart(4, '0')}`,
      ];
    default:
      return [];
  }
}

/** What each cell of a map stands for, with the letter and the colours that show it. */
export const CLASSES = {
  header: { letter: 'H', ansi: 44, svg: '#4c78a8', doc: 'header' },
  shown: { letter: '#', ansi: 42, svg: '#54a24b', doc: 'capability' },
  hidden: { letter: 'x', ansi: 43, svg: '#eeca3b', doc: 'capability hidden by vfio-pci' },
  quirk: { letter: '!', ansi: 41, svg: '#e45756', doc: 'registers that no capability claims' },
  unclaimed: { letter: '.', ansi: 0, svg: '#f2f2f2', doc: 'free' },
} as const;

/** Bytes a cell of the map stands for, and cells a row. */
const CELL = 4;
const CELLS = 64;

/** The class of each dword. */
function cells(space: Uint8Array, quirks: readonly { start: number; end: number }[]): Owner['class'][] {
  const owners = ownership(space);
  const out: Owner['class'][] = [];
  let index = 0;
  for (let at = 0; at < space.length; at += CELL) {
    while (index < owners.length - 1 && (owners[index] as Owner).end <= at) index++;
    const quirk = quirks.some(({ start, end }) => start < at + CELL && at < end);
    out.push(quirk ? 'quirk' : (owners[index] as Owner).class);
  }
  return out;
}

/** The space as a picture for terminals: a letter a dword, 256 bytes a row. */
export function mapText(
  space: Uint8Array,
  quirks: readonly { start: number; end: number }[],
  color: boolean,
): string {
  const all = cells(space, quirks);
  const rows: string[] = [];
  for (let row = 0; row * CELLS < all.length; row++) {
    const line = all.slice(row * CELLS, (row + 1) * CELLS).map((one) => cell(one, color));
    rows.push(`${(row * CELLS * CELL).toString(16).padStart(3, '0')}: ${line.join('')}`);
  }
  const legend = Object.entries(CLASSES).map(
    ([name, { doc }]) => `${cell(name as Owner['class'], color)} ${doc}`,
  );
  return `${rows.join('\n')}\n${legend.join('   ')}\n`;
}

function cell(name: Owner['class'], color: boolean): string {
  const { letter, ansi } = CLASSES[name];
  return color && ansi !== 0 ? `\u001b[${ansi}m${letter}\u001b[0m` : letter;
}

/** The same as SVG, each owner with its name. */
export function mapSvg(
  title: string,
  space: Uint8Array,
  quirks: readonly { start: number; end: number }[],
): string {
  const side = 12;
  const all = cells(space, quirks);
  const names = ownership(space);
  const nameAt = (at: number) => names.find(({ start, end }) => start <= at && at < end)?.name ?? '';
  const rects = all.map((one, index) => {
    const at = index * CELL;
    const [x, y] = [(index % CELLS) * side + 40, Math.floor(index / CELLS) * side + 24];
    const label = `${at.toString(16).padStart(3, '0')} ${one === 'quirk' ? CLASSES.quirk.doc : nameAt(at)}`;
    return `<rect x="${x}" y="${y}" width="${side - 1}" height="${side - 1}" fill="${CLASSES[one].svg}"><title>${escapeXml(label)}</title></rect>`;
  });
  const rows = Math.ceil(all.length / CELLS);
  const labels = Array.from({ length: rows }, (_, row) => {
    const at = (row * CELLS * CELL).toString(16).padStart(3, '0');
    return `<text x="4" y="${row * side + 34}">${at}</text>`;
  });
  const width = CELLS * side + 48;
  const height = rows * side + 32;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="monospace" font-size="10">`,
    `<text x="4" y="14">${escapeXml(title)}</text>`,
    ...labels,
    ...rects,
    '</svg>\n',
  ].join('\n');
}

function escapeXml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
