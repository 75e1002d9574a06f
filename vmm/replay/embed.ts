import { createHash } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { Embedded } from './format.ts';

/** More than any guest: what claims to unpack to more is no record of ours. */
const MOST_BYTES = 1 << 30;

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export function embed(bytes: Uint8Array): Embedded {
  return { sha256: sha256(bytes), data: gzipSync(bytes, { level: 1 }).toString('base64') };
}

/** The bytes; undefined when they are not those that were put in. */
export function unpack({ sha256: said, data }: Embedded): Uint8Array | undefined {
  try {
    const { buffer, byteOffset, length } = gunzipSync(Buffer.from(data, 'base64'), {
      maxOutputLength: MOST_BYTES,
    });
    const bytes = new Uint8Array(buffer, byteOffset, length);
    return sha256(bytes) === said ? bytes : undefined;
  } catch {
    return undefined;
  }
}
