import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import type { Cell } from '../../vmm/cli/matrix-grid.ts';
import { matrixSchema } from '../../vmm/cli/schemas.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function matrix(args: readonly string[]): Promise<Ran> {
  return new Promise((resolve) => {
    const options = { cwd: root, maxBuffer: 1 << 28, timeout: 280_000 };
    const child = execFile(
      process.execPath,
      [join(root, 'bin/tsvmm.js'), 'matrix', '--verify', '--json', ...args],
      options,
      (_, stdout, stderr) => resolve({ status: child.exitCode, stdout, stderr }),
    );
  });
}

/** `=` the same, `>` the same after its device has moved to software, `/` not the same, `-` the host cannot. */
function sign({ state, moved }: Pick<Cell, 'state' | 'moved'>): string {
  if (state === 'cannot') return '-';
  return state === 'differs' ? '/' : moved ? '>' : '=';
}

/** Every host that ships: a guest is nested, shadowed and served by software on each. */
const HOSTS = [
  'arm-mmu-600',
  'arm-mmu-700',
  'core-alder-lake',
  'xeon-mixed',
  'xeon-sapphire-rapids',
  'xeon-skylake-sp',
  'xeon-westmere',
];

/** By IOMMU of the guest: a word for each host, its signs for nested, shadow, software. */
type Grid = Readonly<Record<string, string>>;

const PASIDS: Grid = {
  intel: '-== -== --= === === --= --=',
  smmuv3: '-== === --= -== -== --= --=',
};
/** One device without PASIDs; xeon-mixed has none of that model. Units of hosts do not nest tables of second stages. */
const PLAIN: Grid = { intel: '-== -== -== --- -== -== -==' };
/** Page requests and ATS as iommufd has them show: LIMITS passthru-page-responses, passthru-device-tlb. */
const SHOWN: Grid = {
  intel: '-/= -/= --= //= //= --= --=',
  smmuv3: '-/= //= --= -/= -/= --= --=',
};

const GRIDS: Readonly<Record<string, Grid>> = {
  pasid: PASIDS,
  'unmap-race': PASIDS,
  // A second stage of the guest under its first one: software, unless the guest announces what becomes present.
  nested: {
    intel: '->= ->= --= >>= >>= --= --=',
    smmuv3: '->= >>= --= ->= ->= --= --=',
  },
  // Only an SMMUv3 holds transactions, and nobody holds those of a shadow.
  stall: { smmuv3: '->= =>= --= ->= ->= --= --=' },
  edu: PLAIN,
  'stale-iotlb': PLAIN,
  'mmio-plain': PLAIN,
  'irq-remap': PLAIN,
  pri: SHOWN,
  ats: SHOWN,
  // A device whose ATS the host has switched on asks first: what it is not granted is no fault of VT-d, nor of a shadow.
  'fault-storm': {
    intel: '-/= -/= --= //= //= --= --=',
    smmuv3: '-/= =/= --= -/= -/= --= --=',
  },
  // Of the two hosts with accelerators each has what one of the guests wants.
  svm: {
    intel: '--- --- --- /// === --- ---',
    smmuv3: '--- --- --- -// -== --- ---',
  },
  'fork-dma': {
    intel: '--- --- --- === /// --- ---',
    smmuv3: '--- --- --- -== -// --- ---',
  },
};

async function gridOf(args: readonly string[]): Promise<{ readonly ran: Ran; readonly grid: Grid }> {
  const ran = await matrix(args);
  if (ran.stdout === '') return { ran, grid: {} };
  const { machines } = matrixSchema(z).parse(JSON.parse(ran.stdout));
  const grid = machines.map(({ viommu, rows }) => [
    viommu,
    rows.map(({ cells }) => cells.map((cell) => sign(cell)).join('')).join(' '),
  ]);
  return { ran, grid: Object.fromEntries(grid) };
}

describe.concurrent('what a packaged guest sees on every shipped host, each translation verified', () => {
  test.each(Object.entries(GRIDS))('%s', async (example, expected) => {
    const { ran, grid } = await gridOf(['--example', example]);

    expect({ stderr: ran.stderr, grid }).toEqual({ stderr: '', grid: expected });
    expect(ran.status).toBe(Object.values(expected).join().includes('/') ? 1 : 0);
  });

  test('a vIOMMU that promises no more than the older SMMUv3 has is nested by it', async () => {
    const viommu = ['--viommu', 'smmuv3,svm=on,ril=off,httu=none'];
    const { grid } = await gridOf(['--example', 'pasid', '--host', HOSTS[0]!, ...viommu]);

    expect(grid).toEqual({ smmuv3: '===' });
  });
});
