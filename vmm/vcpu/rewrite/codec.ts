import { TsvmmError } from '../../core/errors.ts';
import type { RewriteResult } from './result.ts';
import { REWRITER_VERSION } from './version.ts';

/**
 * A RewriteResult as one run of bytes: magic, length of the JSON part, JSON (with the lengths of the three binary parts),
 * then wasm, offset map functions and offset map stream.
 */
const MAGIC = 0x57525654; // 'TVRW'
const HEAD = 8;

export function encodeRewritten(result: RewriteResult): Uint8Array<ArrayBuffer> {
  const { wasm, offsetMap, ...plain } = result;
  const { functions, stream, ...map } = offsetMap;
  const parts = [wasm, new Uint8Array(functions.buffer, functions.byteOffset, functions.byteLength), stream];
  const lengths = parts.map((part) => part.length);
  const json = new TextEncoder().encode(JSON.stringify({ plain, map, lengths }));
  const bytes = new Uint8Array(HEAD + json.length + lengths.reduce((sum, n) => sum + n, 0));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, json.length, true);
  bytes.set(json, HEAD);
  let at = HEAD + json.length;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

interface Header {
  readonly plain: Omit<RewriteResult, 'wasm' | 'offsetMap'>;
  readonly map: { readonly firstOriginal: number; readonly end: number };
  readonly lengths: readonly [number, number, number];
}

/** @throws TsvmmError when the bytes are not a rewritten module of this version. */
export function decodeRewritten(bytes: Uint8Array): RewriteResult {
  const { plain, map, lengths } = readHeader(bytes);
  if (plain.version !== REWRITER_VERSION) throw damaged('it was made by another version of the rewriter');
  const jsonLength = new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true);
  let at = HEAD + jsonLength;
  if (bytes.length !== at + lengths[0] + lengths[1] + lengths[2]) throw damaged('its length is wrong');
  const part = (length: number): Uint8Array<ArrayBuffer> => {
    at += length;
    return bytes.slice(at - length, at) as Uint8Array<ArrayBuffer>;
  };
  const wasm = part(lengths[0]);
  const functions = new Uint32Array(part(lengths[1]).buffer);
  const stream = part(lengths[2]);
  // JSON has no undefined: the three optional names may be missing.
  const { stackPointer, table, start } = plain;
  return { ...plain, stackPointer, table, start, wasm, offsetMap: { ...map, functions, stream } };
}

function readHeader(bytes: Uint8Array): Header {
  if (bytes.length < HEAD) throw damaged('it is too short');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const jsonLength = view.getUint32(4, true);
  if (view.getUint32(0, true) !== MAGIC || jsonLength > bytes.length - HEAD)
    throw damaged('its head is wrong');
  try {
    return JSON.parse(new TextDecoder().decode(bytes.subarray(HEAD, HEAD + jsonLength))) as Header;
  } catch (cause) {
    throw damaged('its description cannot be read', cause);
  }
}

function damaged(why: string, cause?: unknown): TsvmmError {
  return new TsvmmError({
    code: 'bad-rewritten-module',
    object: 'rewritten module',
    why,
    mend: 'rewrite the guest again',
    cause,
  });
}
