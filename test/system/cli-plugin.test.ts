import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

/** A third IOMMU from outside: DMA below 1 MiB is moved by the value of its one register, all other DMA is refused. */
const PLUGIN = `
import { DMA_MESSAGE, DMA_OK, DMA_UR, Device, defineState, deliverCompatible, inMsiWindow, u32 } from 'tsvmm';

const STATE = defineState('window-iommu', 1, { base: u32 });

class WindowIommu extends Device {
  stateDef() { return STATE; }
  buildCache() { return null; }
  reset() { this.s.base = 0; }
}

function create(config, services) {
  const device = new WindowIommu({ config, services });
  const refuse = (port, lo, access) => {
    services.onFault({
      iommu: services.id, requester: port.requester, pasid: port.pasid, address: '0x' + lo.toString(16),
      access: access & 2 ? 'write' : 'read', code: '1', name: 'outside', why: 'the window ends at 1 MiB', steps: [],
      recorded: false,
    });
    return DMA_UR;
  };
  return {
    device,
    translator: {
      translate(port, lo, hi, access) {
        if (inMsiWindow(lo, hi)) return DMA_MESSAGE;
        if (hi !== 0 || lo >= 0x100000) return refuse(port, lo, access);
        port.outLo = lo + device.s.base;
        port.outHi = 0;
        port.outSpan = 4096 - (lo & 4095);
        return DMA_OK;
      },
      message(port, lo, hi, data) {
        deliverCompatible(services.interrupts, lo, data);
        return DMA_OK;
      },
    },
    mmio: [{
      name: 'window', base: config.base, size: 4096,
      handler: { read: () => device.s.base, write: (offset, size, lo) => { device.s.base = lo; } },
    }],
    firmware: {
      table: 'DMAR', base: config.base, haw: 32, interruptRemapping: false, x2apicOptOut: false, deviceTlb: false,
    },
    views: [{ name: 'window', doc: 'The window', json: () => device.s.base, text: () => String(device.s.base) }],
    explain: () => ({ steps: [], outcome: 'moved' }),
  };
}

export const plugin = {
  name: 'window',
  iommus: [{
    name: 'window', summary: 'moves DMA by a constant', machines: ['q35'], defaults: { base: 0xfed90000 },
    schema: (z) => z.strictObject({ base: z.number().int() }), create,
  }],
};
`;

const GUEST = `
#include <stdint.h>
#include <stdio.h>
#define REG(a) (*(volatile uint32_t *)(a))
#define EDU 0xe0000000u
static void dma(uint32_t from, uint32_t to, uint32_t command) {
  REG(EDU + 0x80) = from; REG(EDU + 0x84) = 0; REG(EDU + 0x88) = to; REG(EDU + 0x8c) = 0;
  REG(EDU + 0x90) = 4; REG(EDU + 0x94) = 0; REG(EDU + 0x98) = command | 1;
  while (REG(EDU + 0x98) & 1) {}
}
int main(void) {
  REG(0xb0000000u + (2 << 15) + 4) |= 6;
  REG(0xfed90000u) = 0x2000000;
  REG(0x2000100) = 0xabcd;
  dma(0x100, 0x40000, 0);
  dma(0x40000, 0x200, 2);
  dma(0x40000, 0x300000, 2);
  int moved = REG(0x2000200) == 0xabcd;
  printf("1..1\\n%s 1 - DMA was moved by the window\\n", moved ? "ok" : "not ok");
  return 0;
}
`;

let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tsvmm-plugin-'));
  mkdirSync(join(dir, 'node_modules'));
  symlinkSync(resolve('.'), join(dir, 'node_modules/tsvmm'));
  writeFileSync(join(dir, 'window.mjs'), PLUGIN);
  writeFileSync(join(dir, 'guest.c'), GUEST);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function tsvmm(...args: string[]) {
  return spawnSync(process.execPath, [resolve('bin/tsvmm.js'), ...args], { cwd: dir, encoding: 'utf8' });
}

test('an IOMMU from a plugin translates, refuses and explains', () => {
  const machine = ['--plugin', 'window.mjs', '--viommu', 'window', '--device', 'edu,dma_delay_ns=1000'];
  const ran = tsvmm('run', 'guest.c', ...machine);

  expect(ran.stderr).toContain('write of 0x300000 by 00:02.0 refused: fault 1 (outside)');
  expect(ran).toMatchObject({ status: 0, stdout: '1..1\nok 1 - DMA was moved by the window\n' });
});

test('the keys of a plugin are checked like any other', () => {
  const ran = tsvmm('run', 'guest.c', '--plugin', 'window.mjs', '--viommu', 'window,bas=1');

  expect(ran).toMatchObject({
    status: 2,
    stderr: "tsvmm: --viommu window: there is no key 'bas'; did you mean 'base'?\n",
  });
});

test('the types of the package check a plugin', () => {
  const text = `import { bdfText, type Plugin } from 'tsvmm';
export const plugin: Plugin = { name: 'p', devices: [] };
export const wrong: number = bdfText(3);`;
  writeFileSync(join(dir, 'plugin.mts'), text);
  const tsc = resolve('node_modules/typescript/bin/tsc');
  const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2023'];
  symlinkSync(resolve('node_modules/zod'), join(dir, 'node_modules/zod'));
  const checked = spawnSync(process.execPath, [tsc, ...options, 'plugin.mts'], {
    cwd: dir,
    encoding: 'utf8',
  });

  expect(checked.stdout).toBe(
    "plugin.mts(3,14): error TS2322: Type 'string' is not assignable to type 'number'.\n",
  );
});
