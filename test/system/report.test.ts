import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type OpenPage, TestBrowser } from '../kit/browser.ts';
import { guideSteps } from '../kit/guide.ts';
import { describeWithTool } from '../kit/outside-tool.ts';
import { type Cli, copyOfCli } from '../kit/run-cli.ts';
import { type TraceFile, traceFormatProblems } from '../kit/trace-event-format.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

let cli: Cli;
let dir = '';
beforeAll(() => {
  cli = copyOfCli();
  dir = mkdtempSync(join(tmpdir(), 'tsvmm-report-'));
  const steps = guideSteps(readFileSync(join(root, 'docs/guide/timeline.md'), 'utf8'));
  const guest = steps.find((step) => step.kind === 'file');
  writeFileSync(join(dir, 'revoked.c'), guest?.kind === 'file' ? guest.text : '');
});
afterAll(() => {
  cli.remove();
  rmSync(dir, { recursive: true });
});

/** Runs a guest with --report, and gives the page. */
function reportOf(name: string, ...args: readonly string[]): string {
  const page = join(dir, name);
  cli.run(['run', ...args, '--report', page, '-q'], { cwd: dir });
  return page;
}

describe('a Chrome trace of a real run', () => {
  const traced = (...args: readonly string[]): TraceFile => {
    const file = join(dir, 'trace.json');
    cli.run(['run', ...args, '--trace', '*', '--trace-format', 'chrome', '--trace-file', file, '-q'], {
      cwd: dir,
    });
    return JSON.parse(readFileSync(file, 'utf8'));
  };

  test('is valid, and its flow leads from the guest over the vIOMMU to the fault of the requester', () => {
    const trace = traced('revoked.c');

    const name = (pid: number) =>
      trace.traceEvents.find((e) => e.name === 'process_name' && e.pid === pid)?.args?.['name'];
    expect(traceFormatProblems(trace)).toEqual([]);
    expect(
      trace.traceEvents.filter(({ ph }) => 'stf'.includes(ph)).map(({ ph, pid }) => [ph, name(pid)]),
    ).toEqual([
      ['s', 'guest'],
      ['t', 'vIOMMU'],
      ['f', '00:02.0 edu0'],
    ]);
    expect(
      trace.traceEvents
        .filter(({ ph, cat }) => ph === 'b' && cat === 'dma')
        .map(({ pid, name: dma }) => [name(pid), dma]),
    ).toEqual([
      ['00:02.0 edu0', 'DMA write 0x400000'],
      ['00:02.0 edu0', 'DMA write 0x400000'],
    ]);
    expect(
      trace.traceEvents.filter(({ ph, cat }) => ph === 'i' && cat === 'fault').map((e) => e.name),
    ).toEqual(['fault 05h']);
  });

  test.each(['stale-iotlb', 'irq-remap', 'edu'])('is valid for the example %s', (example) => {
    const trace = traced('--example', example);

    expect(traceFormatProblems(trace)).toEqual([]);
    expect(trace.traceEvents.length).toBeGreaterThan(50);
  });
});

describe('what a run leaves', () => {
  test('has the tables with every writer, though the driver stored them before the unit looked', () => {
    const file = join(dir, 'run.json');
    cli.run(['run', 'revoked.c', '--report', file, '-q'], { cwd: dir });

    const { inside } = JSON.parse(readFileSync(file, 'utf8'));
    const spine: [string, string][] = [];
    for (let node = inside.moments[0].tables.roots[0]; node !== undefined; node = node.children[0])
      spine.push([`${node.what} ${node.of}`, node.lastWriter]);

    expect(inside.moments.map((moment: { label: string }) => moment.label)).toEqual([
      'first fault, last DMA, end of the run',
    ]);
    expect(spine).toEqual([
      ['root entry bus 00', expect.stringMatching(/^make_context_entry .* main \(revoked\.c:\d+\)$/)],
      ['context entry 00:02.0', expect.stringMatching(/^publish_context .* main \(revoked\.c:\d+\)$/)],
      ['SS-PML4E 0x0 - 0x7fffffffff', expect.stringMatching(/main \(revoked\.c:\d+\)$/)],
      ['SS-PDPE 0x0 - 0x3fffffff', expect.stringMatching(/main \(revoked\.c:\d+\)$/)],
      ['SS-PDE 0x400000 - 0x5fffff', expect.stringMatching(/main \(revoked\.c:\d+\)$/)],
      ['SS-PTE 0x400000 - 0x400fff', expect.stringMatching(/^revoke_write \(revoked\.c:\d+\) < main/)],
    ]);
  });

  test('has the tables of an SMMUv3, from the stream table to the page, with every writer', () => {
    const file = join(dir, 'virt.json');
    const guest = join(root, 'test/guests/smmu-dma.c');
    cli.run(['run', guest, '--machine', 'virt', '--viommu', 'smmuv3', '--report', file, '-q'], { cwd: dir });

    const { inside } = JSON.parse(readFileSync(file, 'utf8'));
    const spine: [string, string][] = [];
    for (let node = inside.moments[0].tables.roots[0]; node !== undefined; node = node.children[0])
      spine.push([`${node.what} ${node.of}`, node.lastWriter]);

    expect(inside.moments[0].label).toMatch(/^first fault/);
    expect(spine).toEqual([
      [
        'L1 stream table descriptor 00:00.0 - 00:07.7',
        expect.stringMatching(/^smmu_stream .* main \(\S+\)$/),
      ],
      ['stream table entry 00:02.0', expect.stringMatching(/^smmu_set_stream .* main \(\S+\)$/)],
      ['context descriptor 00:02.0', expect.stringMatching(/main \(\S*smmu-dma\.c:\d+\)$/)],
      ['stage 1 level 0 0x0 - 0x7fffffffff', expect.stringMatching(/main \(\S*smmu-dma\.c:\d+\)$/)],
      ['stage 1 level 1 0x0 - 0x3fffffff', expect.stringMatching(/main \(\S*smmu-dma\.c:\d+\)$/)],
      ['stage 1 level 2 0x8000000 - 0x81fffff', expect.stringMatching(/main \(\S*smmu-dma\.c:\d+\)$/)],
      ['stage 1 level 3 0x8020000 - 0x8020fff', expect.stringMatching(/^smmu_map .* main \(\S+\)$/)],
    ]);
  });

  test('has the tables as they were at the last DMA when the driver has taken them down', () => {
    const file = join(dir, 'stale.json');
    cli.run(['run', '--example', 'stale-iotlb', '--report', file, '-q'], { cwd: dir });

    const { inside } = JSON.parse(readFileSync(file, 'utf8'));

    expect(
      inside.moments.map(({ label, tables }: { label: string; tables: { roots: unknown[] } }) => [
        label,
        tables.roots.length,
      ]),
    ).toEqual([
      ['last DMA', 1],
      ['end of the run', 0],
    ]);
  });

  test('does not change the run', () => {
    const page = join(dir, 'same.html');
    const plain = cli.run(['run', 'revoked.c', '--json'], { cwd: dir });
    const reported = cli.run(['run', 'revoked.c', '--json', '--report', page], { cwd: dir });

    expect(reported.stdout).toBe(plain.stdout);
  });
});

describeWithTool('chromium', 'a report in a browser', (chromium, browserTest) => {
  let browser: TestBrowser | undefined;
  const open = async (file: string, scheme?: 'light' | 'dark'): Promise<OpenPage> => {
    browser ??= await TestBrowser.start(chromium);
    return browser.open(file, scheme);
  };
  afterAll(() => browser?.close());

  browserTest(
    'shows verdict, timeline, faults and tables, from one small file, without a complaint',
    async () => {
      const file = reportOf('revoked.html', 'revoked.c');
      const { page, complaints, requests } = await open(file);

      expect(await page.title()).toBe('revoked.c: passed - tsvmm');
      expect(await page.locator('.verdict').textContent()).toBe('passed');
      for (const [selector, count] of [
        ['.item.dma', 2],
        ['.item.dma.bad', 1],
        ['.item.binding', 1],
        ['.item.store', 1],
        ['.item.announcement', 1],
        ['.item.fault', 1],
        ['.arrow.cause', 1],
        ['.lane', 4],
      ] as const) {
        expect(await page.locator(`#timeline svg ${selector}`).count(), selector).toBe(count);
      }
      expect(await page.locator('#faults details').count()).toBe(1);
      expect(await page.locator('#faults tbody tr').last().textContent()).toMatch(
        /^SS-PTE0xc08000.*W=0.*revoke_write \(revoked\.c:\d+\) < main/,
      );
      expect(await page.locator('#tables .entry > summary').last().textContent()).toMatch(
        /^SS-PTE 0x400000 - 0x400fff R=1 ADDR=/,
      );
      expect(await page.locator('#console pre').textContent()).toContain('the driver has noticed nothing');
      expect(requests).toEqual([pathToFileURL(file).href]);
      expect(complaints).toEqual([]);
      expect(statSync(file).size).toBeLessThan(100_000);
    },
  );

  browserTest('draws every item inside the picture, lanes below each other', async () => {
    const { page } = await open(reportOf('boxes.html', '--example', 'stale-iotlb'), 'dark');

    const picture = (await page.locator('#timeline svg').boundingBox())!;
    const boxes = await page.locator('#timeline svg .item').evaluateAll((nodes) =>
      nodes.map((node) => {
        const { x, y, width, height } = node.getBoundingClientRect();
        return { x, y, width, height };
      }),
    );
    const lanes = await page
      .locator('#timeline svg .lane')
      .evaluateAll((nodes) => nodes.map((node) => node.getBoundingClientRect().y));

    expect(boxes.length).toBeGreaterThan(60);
    for (const box of boxes) {
      expect(box.width).toBeGreaterThan(1);
      expect(box.height).toBeGreaterThan(1);
      expect(box.x).toBeGreaterThanOrEqual(picture.x);
      expect(box.x + box.width).toBeLessThanOrEqual(picture.x + picture.width + 5);
      expect(box.y).toBeGreaterThanOrEqual(picture.y);
      expect(box.y + box.height).toBeLessThanOrEqual(picture.y + picture.height);
    }
    expect(lanes).toEqual([...lanes].sort((a, b) => a - b));
    expect(new Set(lanes).size).toBe(lanes.length);
  });

  browserTest(
    'a fault tells of itself when pointed at, of all when clicked, and leads to its explanation',
    async () => {
      const { page, complaints } = await open(reportOf('click.html', 'revoked.c'));
      const explanation = page.locator('#fault-0');
      await explanation.locator('summary').click();

      await page.locator('.item.fault').hover();
      const tip = await page.locator('.tip').textContent();
      await page.locator('.item.fault').click();
      const linked = await page.locator('.details button').allTextContents();
      const wasOpen = await explanation.evaluate((node) => (node as HTMLDetailsElement).open);
      await page.locator('.details button', { hasText: 'explanation' }).click();

      expect(tip).toMatch(/^fault 05h.*sid = 00:02\.0.*address = 0x400000.*entries = [0-9a-fx ]+$/);
      expect(linked).toEqual([
        'table store: SS-PTE',
        'invalidation that announced table stores: announced: iotlb',
        'explanation',
      ]);
      expect(wasOpen).toBe(false);
      expect(await explanation.evaluate((node) => (node as HTMLDetailsElement).open)).toBe(true);
      expect(await explanation.locator('.why').isVisible()).toBe(true);
      expect(complaints).toEqual([]);
    },
  );

  browserTest('is filtered by requester and by text', async () => {
    const { page } = await open(reportOf('filter.html', 'revoked.c'));
    const counts = async () => ({
      stores: await page.locator('.item.store').count(),
      dmas: await page.locator('.item.dma').count(),
      text: await page.locator('#timeline .bar .quiet').textContent(),
    });

    await page.selectOption('#lane-filter', { label: '00:02.0 edu0' });
    await page.waitForFunction(() => document.querySelector('.item.store') === null);
    const ofEdu = await counts();
    await page.selectOption('#lane-filter', { label: 'everybody' });
    await page.fill('#event-filter', 'REVOKE_write');
    await page.waitForFunction(() => document.querySelector('.item.dma') === null);
    const ofText = await counts();

    expect(ofEdu).toMatchObject({ stores: 0, dmas: 2 });
    expect(ofText).toMatchObject({ stores: 1, dmas: 0, text: expect.stringMatching(/^1 of \d+ events$/) });
  });

  browserTest('is zoomed, moved and spaced by virtual time', async () => {
    const { page, complaints } = await open(reportOf('zoom.html', 'revoked.c'));
    const width = async () => (await page.locator('.item.dma').first().boundingBox())?.width ?? 0;
    const left = async () => (await page.locator('.item.dma').first().boundingBox())?.x ?? 0;
    const frame = () =>
      page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    const picture = page.locator('#timeline svg');
    const [width0, left0] = [await width(), await left()];

    await picture.focus();
    await page.keyboard.press('+');
    await frame();
    const zoomed = await width();
    const box = (await picture.boundingBox())!;
    await page.mouse.move(box.x + 700, box.y + 30);
    await page.mouse.down();
    const before = await left();
    await page.mouse.move(box.x + 760, box.y + 30);
    await page.mouse.up();
    await frame();
    const moved = (await left()) - before;
    await page.keyboard.press('0');
    await frame();
    const whole = [await width(), await left()];
    await page.selectOption('#spacing', 'time');
    await frame();
    // 100 ms each of 200 ms.
    const part = (await width()) / (box.width - 168);

    expect(zoomed / width0).toBeCloseTo(1.5, 1);
    expect(moved).toBeCloseTo(60, 0);
    expect(whole).toEqual([width0, left0]);
    expect(part).toBeGreaterThan(0.45);
    expect(part).toBeLessThan(0.51);
    expect(complaints).toEqual([]);
  });

  browserTest('the tree opens entry by entry and shows decoded fields', async () => {
    const { page } = await open(reportOf('tree.html', 'revoked.c'));
    await page.getByRole('button', { name: 'close every entry' }).click();
    const closed = await page.locator('#tables .entry[open]').count();

    await page.locator('#tables .entry > summary').first().click();
    await page.getByRole('button', { name: 'open every entry' }).click();
    await page.locator('#tables .entry .entry > .bits > summary').first().click();
    await page.locator('#tables .bits tbody tr').first().waitFor();

    expect(closed).toBe(0);
    expect(await page.locator('#tables .entry[open]').count()).toBe(6);
    expect(await page.locator('#tables .bits tbody tr').allTextContents()).toContain(
      'AW66:642Address width: 48-bit',
    );
  });

  browserTest('what the guest prints and calls itself stays text', async () => {
    const file = reportOf('hostile.html', join(root, 'test/guests/hostile.c'));
    const { page, complaints, requests } = await open(file);
    await page.locator('.item.store').click();

    expect(await page.title()).toBe('hostile.c: failed - tsvmm');
    expect(await page.locator('img').count()).toBe(0);
    expect(await page.locator('script').count()).toBe(2);
    expect(await page.locator('#console pre').textContent()).toContain(
      `</script><script>document.title='owned'</script><img src=x onerror="document.title='owned'">`,
    );
    expect(await page.locator('#faults tbody tr').last().textContent()).toContain(
      "</script><img/src=x/onerror=document.title='owned'>",
    );
    expect(await page.locator('#timeline .details').textContent()).toContain('<img/src=x');
    expect(requests.length).toBe(1);
    expect(complaints).toEqual([]);
  });
});
