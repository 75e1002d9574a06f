/** A tool's output as one cache entry: u32 length of the diagnostics, the diagnostics, the file. */

export function encodeBuilt(text: string, bytes: Uint8Array): Uint8Array {
  const diagnostics = new TextEncoder().encode(text);
  const out = new Uint8Array(4 + diagnostics.length + bytes.length);
  new DataView(out.buffer).setUint32(0, diagnostics.length, true);
  out.set(diagnostics, 4);
  out.set(bytes, 4 + diagnostics.length);
  return out;
}

export function decodeBuilt(
  entry: Uint8Array,
): { readonly text: string; readonly bytes: Uint8Array } | undefined {
  if (entry.length < 4) return undefined;
  const length = new DataView(entry.buffer, entry.byteOffset, 4).getUint32(0, true);
  if (4 + length > entry.length) return undefined;
  return {
    text: new TextDecoder().decode(entry.subarray(4, 4 + length)),
    bytes: entry.subarray(4 + length),
  };
}
