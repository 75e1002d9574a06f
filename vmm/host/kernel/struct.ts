/** A field of a structure that user space passes: little-endian, naturally aligned. */
export interface UapiField {
  readonly kind: 'u8' | 'u16' | 'u32' | 's32' | 'u64';
  readonly at: number;
}
export type UapiFields = Readonly<Record<string, UapiField>>;

export const u8 = (at: number) => ({ kind: 'u8', at }) as const;
export const u16 = (at: number) => ({ kind: 'u16', at }) as const;
export const u32 = (at: number) => ({ kind: 'u32', at }) as const;
export const s32 = (at: number) => ({ kind: 's32', at }) as const;
export const u64 = (at: number) => ({ kind: 'u64', at }) as const;

/** A structure's fields as values: 64-bit fields are bigints. */
export type UapiValues<F extends UapiFields> = {
  -readonly [K in keyof F]: F[K]['kind'] extends 'u64' ? bigint : number;
};

const WIDTH = { u8: 1, u16: 2, u32: 4, s32: 4, u64: 8 } as const;

/** A structure of the user interface: its whole length, the shortest that is taken, and its fields. */
export interface UapiStruct<F extends UapiFields = UapiFields> {
  readonly name: string;
  readonly bytes: number;
  readonly least: number;
  readonly fields: F;
  /** The fields as a list: what is decoded with every call is not to be listed each time. */
  readonly list: readonly (readonly [name: string, field: UapiField])[];
  /** All fields, zero: what is decoded begins as a copy, so that it has one shape. */
  readonly blank: Readonly<Record<string, number | bigint>>;
}

export function uapi<const F extends UapiFields>(
  name: string,
  bytes: number,
  least: number,
  fields: F,
): UapiStruct<F> {
  const list = Object.entries(fields);
  const blank = Object.fromEntries(list.map(([field, { kind }]) => [field, kind === 'u64' ? 0n : 0]));
  return { name, bytes, least, fields, list, blank };
}

export function decode<F extends UapiFields>(struct: UapiStruct<F>, bytes: Uint8Array): UapiValues<F> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values: Record<string, number | bigint> = { ...struct.blank };
  const { list } = struct;
  for (let i = 0; i < list.length; i++) {
    const entry = list[i]!;
    values[entry[0]] = valueAt(view, entry[1]);
  }
  return values as UapiValues<F>;
}

export function encode<F extends UapiFields>(
  struct: UapiStruct<F>,
  values: Partial<UapiValues<F>>,
  bytes: Uint8Array = new Uint8Array(struct.bytes),
): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const name in values) {
    const value = values[name];
    const { kind, at } = struct.fields[name] as UapiField;
    if (kind === 'u64') view.setBigUint64(at, BigInt.asUintN(64, value as bigint), true);
    else WRITE[kind](view, at, value as number);
  }
  return bytes;
}

function valueAt(view: DataView, { kind, at }: UapiField): number | bigint {
  switch (kind) {
    case 'u32':
      return view.getUint32(at, true);
    case 'u64':
      return view.getBigUint64(at, true);
    case 's32':
      return view.getInt32(at, true);
    case 'u16':
      return view.getUint16(at, true);
    case 'u8':
      return view.getUint8(at);
  }
}

const WRITE = {
  u8: (view: DataView, at: number, value: number) => view.setUint8(at, value),
  u16: (view: DataView, at: number, value: number) => view.setUint16(at, value, true),
  u32: (view: DataView, at: number, value: number) => view.setUint32(at, value >>> 0, true),
  s32: (view: DataView, at: number, value: number) => view.setInt32(at, value, true),
} as const;

/** Fields overlap, leave the structure or are not aligned: the mistakes a table can have. Used by tests. */
export function faultsOf(struct: UapiStruct): readonly string[] {
  const taken = new Map<number, string>();
  const faults: string[] = [];
  for (const [name, { kind, at }] of struct.list) {
    if (at % WIDTH[kind] !== 0) faults.push(`${struct.name}.${name} is not aligned`);
    if (at + WIDTH[kind] > struct.bytes) faults.push(`${struct.name}.${name} ends outside`);
    for (let byte = at; byte < at + WIDTH[kind]; byte++) {
      const other = taken.get(byte);
      if (other !== undefined) faults.push(`${struct.name}.${name} overlaps ${other}`);
      taken.set(byte, name);
    }
  }
  return faults;
}
