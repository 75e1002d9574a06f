import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { verdictSchema } from '../../../vmm/cli/schemas.ts';
import { runData } from '../../../vmm/report/data.ts';
import { reportPage } from '../../../vmm/report/page.ts';
import { runSchema } from '../../../vmm/report/schema.ts';
import { HOSTILE, sampleRun } from './sample-run.ts';

const scriptsOf = (page: string) => [...page.matchAll(/<script([^>]*)>([\s\S]*?)<\/script>/g)];

describe('the page', () => {
  test('asks nothing of a network: no address, no import, no element that loads', () => {
    const page = reportPage(sampleRun());

    // The name of SVG is an address that nothing is loaded from.
    expect(page.match(/https?:\/\/[^'"]*/g)).toEqual(['http://www.w3.org/2000/svg']);
    expect(page).not.toMatch(
      /<(link|img|iframe|object|embed)\b|\bsrc=|@import|url\((?!#)|^import |\bimport\(/m,
    );
  });

  test('has the run as data that cannot leave its element, whatever the guest printed', () => {
    const page = reportPage(sampleRun(HOSTILE));
    const scripts = scriptsOf(page);

    expect(scripts.map(([, attributes]) => attributes)).toEqual([' id="run" type="application/json"', '']);
    expect(scripts[0]![2]).not.toMatch(/[<>&]/);
    expect(JSON.parse(scripts[0]![2]!)).toEqual(sampleRun(HOSTILE));
    expect(page.replace(scripts[0]![2]!, '')).toBe(
      reportPage(sampleRun()).replace(scriptsOf(reportPage(sampleRun()))[0]![2]!, ''),
    );
  });

  test('lets only its own script and style count', () => {
    const page = reportPage(sampleRun());
    const policy = /Content-Security-Policy" content="([^"]*)"/.exec(page)![1]!;
    const sha = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

    expect(policy.split('; ')).toEqual([
      "default-src 'none'",
      `script-src ${sha(scriptsOf(page)[1]![2]!)}`,
      `style-src ${sha(/<style>([\s\S]*?)<\/style>/.exec(page)![1]!)}`,
      "base-uri 'none'",
      "form-action 'none'",
    ]);
  });

  test('never makes HTML of text', () => {
    expect(reportPage(sampleRun())).not.toMatch(
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function/,
    );
  });
});

describe('what a run leaves', () => {
  const schema = runSchema(z, verdictSchema(z));

  test('follows its schema', () => {
    const data = JSON.parse(JSON.stringify(sampleRun(HOSTILE)));

    expect(schema.safeParse(data).error).toBeUndefined();
  });

  test.each([
    ['an item in a lane that does not exist', ['inside', 'timeline', 'items', 0, 'lane'], 9],
    ['a flow to an item that does not exist', ['inside', 'timeline', 'flows', 0], [0, 77]],
    ['another version', ['tsvmmRun'], 2],
    ['a kind of item that nobody knows', ['inside', 'timeline', 'items', 0, 'kind'], 'magic'],
    ['a table node without children', ['inside', 'moments', 0, 'tables', 'roots', 0, 'children'], undefined],
  ] as const)('is refused with %s', (_, path, value) => {
    const data = JSON.parse(JSON.stringify(sampleRun()));
    const place = path.slice(0, -1).reduce((at, key) => at[key], data);
    place[path.at(-1)!] = value;

    expect(schema.safeParse(data).success).toBe(false);
  });

  test('has the end of a console that is very long', () => {
    const { verdict, machine, inside } = sampleRun();
    const long = { ...verdict, console: `${'x'.repeat(300_000)}END` };

    const { console } = runData('1', long, machine, inside).verdict;

    expect(console.slice(0, 52)).toBe('[37859 characters before this are left out]\nxxxxxxxx');
    expect(console.endsWith('END')).toBe(true);
  });
});
