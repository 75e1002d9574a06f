import { TsvmmError } from '../../vmm/core/errors.ts';
import { read16 } from './capability-table.ts';
import { type ByteRange, merged, parseRange } from './ranges.ts';

/** A line of the quirk list: a device that hides registers in bytes that no capability claims. */
export interface Quirk {
  readonly vendor: number;
  /** `undefined`: every device of the vendor. */
  readonly device: number | undefined;
  readonly subsystem: { readonly vendor: number; readonly device: number } | undefined;
  readonly ranges: readonly ByteRange[];
  readonly why: string;
}

const ID = /^([0-9a-f]{4}):([0-9a-f]{4}|\*)$/i;

/**
 * Reads a quirk list: `vendor:device [subvendor:subdevice] ranges  # why` a line, everything in hex, `*` for every device of a
 * vendor, ranges inclusive and separated by commas. Empty lines and lines that begin with # are comments.
 * @throws TsvmmError naming the line
 */
export function parseQuirks(name: string, text: string): readonly Quirk[] {
  return text.split(/\r?\n/).flatMap((line, index) => {
    const [content, ...comment] = line.split('#');
    const words = (content as string)
      .trim()
      .split(/\s+/)
      .filter((word) => word !== '');
    return words.length === 0 ? [] : [parseLine(`${name}:${index + 1}`, words, comment.join('#').trim())];
  });
}

function parseLine(where: string, words: readonly string[], why: string): Quirk {
  const bad = (reason: string) =>
    new TsvmmError({
      code: 'bad-quirk-list',
      object: where,
      why: reason,
      mend: 'write vendor:device [subvendor:subdevice] ranges  # why',
    });
  const id = ID.exec(words[0] as string);
  if (id === null) throw bad(`'${words[0]}' is no vendor:device`);
  const rest = words.slice(1);
  const sub = rest.length > 1 ? ID.exec(rest[0] as string) : null;
  if (rest.length > 1 && (sub === null || sub[2] === '*')) throw bad(`'${rest[0]}' is no subsystem`);
  const list = rest[rest.length - 1];
  if (list === undefined || rest.length > 2) throw bad('there is no list of ranges');
  const ranges = list.split(',').map((one) => parseRange(one) ?? refuseRange(bad, one));
  if (why === '') throw bad('the line does not say why');
  const number = (text: string | undefined) => Number.parseInt(text as string, 16);
  return {
    vendor: number(id[1]),
    device: id[2] === '*' ? undefined : number(id[2]),
    subsystem: sub === null ? undefined : { vendor: number(sub[1]), device: number(sub[2]) },
    ranges: merged(ranges),
    why,
  };
}

function refuseRange(bad: (reason: string) => TsvmmError, text: string): never {
  throw bad(`'${text}' is no range of bytes`);
}

/** The lines that apply to a device. */
export function quirksOf(space: Uint8Array, list: readonly Quirk[]): readonly Quirk[] {
  const vendor = read16(space, 0);
  const device = read16(space, 2);
  return list.filter(
    (quirk) =>
      quirk.vendor === vendor &&
      (quirk.device === undefined || quirk.device === device) &&
      (quirk.subsystem === undefined ||
        (quirk.subsystem.vendor === read16(space, 0x2c) && quirk.subsystem.device === read16(space, 0x2e))),
  );
}
