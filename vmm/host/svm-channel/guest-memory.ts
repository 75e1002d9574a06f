import type { Ioas } from '../iommufd/ioas.ts';
import { Refusal, refuse } from '../kernel/errno.ts';

const PAGE = 4096n;

/** Bytes at addresses of the container, copied; they stay inside one page. Throws EFAULT where nothing is mapped there. */
export function bytesAt({ table }: Ioas, address: bigint, length: number): Uint8Array {
  try {
    const [piece] = table.pieces(address, BigInt(length));
    return piece!.pages.peek(piece!.offset, length, false).slice();
  } catch (cause) {
    if (!(cause instanceof Refusal)) throw cause;
    refuse('EFAULT', `the container maps nothing at 0x${address.toString(16)}`);
  }
}

/** Calls `see` with each piece of a range, in ascending order, page by page. Throws EFAULT. */
export function eachPage(
  ioas: Ioas,
  address: bigint,
  length: bigint,
  see: (bytes: Uint8Array, at: bigint) => void,
): void {
  for (let at = address; at < address + length; ) {
    const rest = address + length - at;
    const inPage = PAGE - (at % PAGE);
    const bytes = rest < inPage ? rest : inPage;
    see(bytesAt(ioas, at, Number(bytes)), at);
    at += bytes;
  }
}
