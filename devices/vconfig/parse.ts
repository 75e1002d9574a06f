import { TsvmmError } from '../../vmm/core/errors.ts';
import { type Bar, CONVENTIONAL_BYTES, type ConfigSpace, EXPRESS_BYTES } from './space.ts';

/** `0000:3a:00.0 ...`, the domain being optional, as lspci prints the first line of a device. */
const SLOT = /^((?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])\s*(.*)$/i;
/** What looks like a row but is none. */
const BAD_ROW = /^[0-9a-f]{2,8}: /i;
const HEADER_BYTES = 64;

/**
 * Reads what a file holds: the text of `lspci -xxx` or `-xxxx` (any number of devices), or a sysfs `config` file.
 * @throws TsvmmError naming line or offset
 */
export function parseDump(name: string, data: Uint8Array): readonly ConfigSpace[] {
  const spaces = isText(data) ? parseLspci(name, new TextDecoder().decode(data)) : [parseBinary(name, data)];
  if (spaces.length === 0) {
    throw refusal(name, 'has no device in it', 'give the output of lspci -xxxx, or a sysfs config file');
  }
  return spaces;
}

function isText(data: Uint8Array): boolean {
  return !data
    .subarray(0, 4096)
    .some((byte) => byte === 0 || byte > 0x7e || (byte < 0x20 && byte !== 9 && byte !== 10 && byte !== 13));
}

/** sysfs shows 64 bytes to users without privileges. */
function parseBinary(name: string, data: Uint8Array): ConfigSpace {
  if (![HEADER_BYTES, CONVENTIONAL_BYTES, EXPRESS_BYTES].includes(data.length)) {
    throw refusal(
      name,
      `has ${data.length} bytes, and a configuration space has 64, 256 or 4096`,
      'read it whole, as root',
    );
  }
  return { source: name, name, title: '', bytes: new Uint8Array(data) };
}

function parseLspci(name: string, text: string): ConfigSpace[] {
  const spaces: ConfigSpace[] = [];
  let open: { slot: string; title: string; line: number } | undefined;
  let bars: Bar[] = [];
  const rows = new Uint8Array(EXPRESS_BYTES);
  let length = 0;
  const close = () => {
    if (open === undefined || length === 0) return;
    const { slot, title, line } = open;
    if (![HEADER_BYTES, CONVENTIONAL_BYTES, EXPRESS_BYTES].includes(length)) {
      const why = `device ${slot} has ${length} bytes, and a configuration space has 64, 256 or 4096`;
      throw refusal(`${name}:${line}`, why, 'dump it with lspci -xxxx, as root');
    }
    const known = bars.length === 0 ? {} : { bars };
    spaces.push({ source: name, name: slot, title, bytes: rows.slice(0, length), ...known });
  };
  let line = 0;
  for (let start = 0; start <= text.length; ) {
    const found = text.indexOf('\n', start);
    const end = found < 0 ? text.length : found;
    line++;
    const row = parseRow(text, start, end);
    if (row !== undefined) {
      if (open === undefined) throw refusal(`${name}:${line}`, 'has bytes before the first device');
      if (row.offset !== length) {
        const next = length.toString(16).padStart(2, '0');
        throw refusal(
          `${name}:${line}`,
          `starts at ${row.offset.toString(16).padStart(2, '0')} where ${next} comes next`,
        );
      }
      if (length + row.count > EXPRESS_BYTES)
        throw refusal(`${name}:${line}`, 'has more bytes than a configuration space');
      rows.set(row.count === ROW_BYTES ? ROW : ROW.subarray(0, row.count), length);
      length += row.count;
    } else {
      const content = text.slice(start, end).trimEnd();
      const slot = SLOT.exec(content);
      if (slot !== null) {
        close();
        open = { slot: (slot[1] as string).toLowerCase(), title: slot[2] as string, line };
        length = 0;
        bars = [];
      } else if (content.startsWith('\tRegion ')) {
        const bar = parseRegion(content);
        if (bar !== undefined) bars.push(bar);
      } else if (BAD_ROW.test(content) && open !== undefined) {
        throw refusal(`${name}:${line}`, 'is no row of at most 16 bytes in hex');
      }
    }
    start = end + 1;
  }
  close();
  return spaces;
}

/** `Region 0: Memory at e0000000 (64-bit, prefetchable) [disabled] [size=64K]`: what `lspci -vv` prints of a BAR. */
const REGION =
  /^\tRegion ([0-5]): (?:Memory at [^(]*\((32|64|low-1M)-bit, (non-)?prefetchable\)|I\/O ports at ).*\[size=(\d+)([KMGT]?)\]/;
const UNITS: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

function parseRegion(line: string): Bar | undefined {
  const match = REGION.exec(line);
  if (match === null) return undefined;
  const [, index, width, non, size, unit] = match;
  return {
    index: Number(index),
    kind: width === undefined ? 'io' : width === '64' ? 'memory64' : 'memory32',
    prefetchable: width !== undefined && non === undefined,
    size: Number(size) * (UNITS[unit as string] as number),
  };
}

const ROW_BYTES = 16;
/** The bytes of the row that was parsed last. */
const ROW = new Uint8Array(ROW_BYTES);

/** `1f0: 00 11 ...` by its characters: a fleet has hundreds of thousands of rows. Its bytes are in `ROW`. */
function parseRow(text: string, start: number, end: number): { offset: number; count: number } | undefined {
  let at = start;
  let offset = 0;
  for (; at < end && at - start <= 8; at++) {
    const digit = hexDigit(text.charCodeAt(at));
    if (digit < 0) break;
    offset = offset * 16 + digit;
  }
  if (at - start < 2 || at - start > 8 || text.charCodeAt(at) !== COLON) return undefined;
  at++;
  let count = 0;
  while (at + 2 < end && text.charCodeAt(at) === SPACE) {
    const high = hexDigit(text.charCodeAt(at + 1));
    const low = hexDigit(text.charCodeAt(at + 2));
    if (high < 0 || low < 0) break;
    if (count === ROW_BYTES) return undefined;
    ROW[count++] = high * 16 + low;
    at += 3;
  }
  // What may follow is white space, as of lines that end in CR LF.
  for (; at < end; at++) if (text.charCodeAt(at) > SPACE) return undefined;
  return count === 0 ? undefined : { offset, count };
}

const SPACE = 0x20;
const COLON = 0x3a;

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x61 + 10 : -1;
}

function refusal(object: string, why: string, mend?: string): TsvmmError {
  return new TsvmmError({ code: 'bad-config-dump', object, why, ...(mend === undefined ? {} : { mend }) });
}
