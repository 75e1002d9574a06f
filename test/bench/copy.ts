/** Whole DMA moves that hit, against a look-up and memcpy in C. */
import { DMA_OK } from '../../vmm/bus/dma.ts';
import { CReference } from './kit/c-reference.ts';
import { IOVA, mapped } from './kit/dma.ts';
import { type Contender, median, type Probe, rounds } from './kit/rounds.ts';
import { compare, figure, finish, skip } from './kit/row.ts';

/** As in copy-reference.c. */
const PAGES = 64;
const LAST_BYTE = PAGES * 4096 - 1;
const CALL_BYTES = 2 << 20;
/**
 * Where a buffer lies in its page changes the time of a copy by up to a factor of 2, so both programs take the middle of a
 * page. Only a linear memory is known to begin at one.
 */
const BLOCK_PAGES = 16;
const IN_BLOCK = 2048;
/** Runs of the C program in one round; the median counts, as it does for ours. */
const SAMPLES = 25;
const MOVES = [
  { bytes: 4096, write: false, name: 'read 4 KiB', limit: 1.4 },
  { bytes: 4096, write: true, name: 'write 4 KiB', limit: 1.4 },
  { bytes: 65536, write: false, name: 'read 64 KiB', limit: 1.25 },
  { bytes: 65536, write: true, name: 'write 64 KiB', limit: 1.25 },
] as const;
type Move = (typeof MOVES)[number];

function ours({ name, bytes, write }: Move): Contender {
  const { port } = mapped(PAGES);
  const buffer = new Uint8Array(
    new WebAssembly.Memory({ initial: BLOCK_PAGES }).buffer,
    IN_BLOCK,
    bytes,
  ).fill(1);
  const operations = CALL_BYTES / bytes;
  return { name, operations, run: write ? writes : reads };

  function reads(): void {
    for (let i = 0, at = 0; i < operations; i++, at = (at + bytes) & LAST_BYTE)
      if (port.read((IOVA + at) | 0, 0, buffer, 0, bytes) !== DMA_OK)
        throw new Error('the request was refused');
  }

  function writes(): void {
    for (let i = 0, at = 0; i < operations; i++, at = (at + bytes) & LAST_BYTE)
      if (port.write((IOVA + at) | 0, 0, buffer, 0, bytes) !== DMA_OK)
        throw new Error('the request was refused');
  }
}

function inC(c: CReference, { name, bytes, write }: Move): Probe {
  const operations = CALL_BYTES / bytes;
  return {
    name: `C ${name}`,
    sample: async () => {
      const samples: number[] = [];
      for (let i = 0; i < SAMPLES; i++) samples.push(await c.ask(`${bytes} ${operations} ${write ? 1 : 0}`));
      return median(samples) / operations;
    },
  };
}

async function main(): Promise<void> {
  const c = CReference.start('copy-reference');
  for (const move of MOVES) {
    const times = await rounds(c === undefined ? [ours(move)] : [ours(move), inC(c, move)]);
    const what = `DMA ${move.name} through the vIOMMU, hits`;
    const values = times[move.name]!;
    if (c === undefined) figure(what, 'ns', values);
    else {
      const limit = { text: `<= ${move.limit}x of C`, ratio: move.limit };
      compare(what, 'ns', values, { name: 'C look-up + memcpy', values: times[`C ${move.name}`]! }, limit);
    }
  }
  if (c === undefined) skip('DMA against C', 'no C compiler (cc) here');
  c?.stop();
  finish();
}

await main();
