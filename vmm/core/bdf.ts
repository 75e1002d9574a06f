/** Requester ids: bus 15:8, device 7:3, function 2:0. Printed as the kernel prints them, `bb:dd.f`. */

export function bdf(bus: number, device: number, fn: number): number {
  return ((bus & 0xff) << 8) | ((device & 0x1f) << 3) | (fn & 7);
}

export function bdfText(id: number): string {
  const hex2 = (n: number) => n.toString(16).padStart(2, '0');
  return `${hex2((id >> 8) & 0xff)}:${hex2((id >> 3) & 0x1f)}.${id & 7}`;
}

/** Accepts `bb:dd.f` and `dddd:bb:dd.f` (segment 0 only); undefined when it is neither. */
export function parseBdf(text: string): number | undefined {
  const m = /^(?:0{1,4}:)?([0-9a-f]{1,2}):([0-9a-f]{1,2})\.([0-7])$/i.exec(text);
  if (m === null) return undefined;
  const device = Number.parseInt(m[2]!, 16);
  return device > 0x1f ? undefined : bdf(Number.parseInt(m[1]!, 16), device, Number(m[3]));
}
