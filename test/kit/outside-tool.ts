import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { describe, test } from 'vitest';

/** Where an outside tool (iasl, lspci, ...) lies, or why tests that need it are skipped. */
export function outsideTool(name: string): { path: string } | { skip: string } {
  for (const directory of (process.env['PATH'] ?? '').split(delimiter)) {
    if (directory === '') continue;
    const path = join(directory, name);
    try {
      accessSync(path, constants.X_OK);
      return { path };
    } catch {
      // Not in this directory: look in the next one.
    }
  }
  return { skip: `needs ${name}` };
}

export type ToolTest = (title: string, body: () => void | Promise<void>) => void;

/**
 * A describe block whose tests need an outside tool. Absent, they are skipped, counted and named in one printed line; with
 * CI=true they fail instead, so that a CI image which lost a tool cannot pass.
 */
export function describeWithTool(
  name: string,
  title: string,
  tests: (path: string, toolTest: ToolTest) => void,
): void {
  const tool = outsideTool(name);
  describe(title, () => {
    if ('path' in tool) {
      tests(tool.path, (testTitle, body) => test(testTitle, body));
      return;
    }
    let count = 0;
    tests(name, (testTitle) => {
      count++;
      registerAbsent(testTitle, tool.skip);
    });
    if (process.env['CI'] !== 'true') console.log(`SKIPPED: ${tool.skip} (${count} tests)`);
  });
}

function registerAbsent(title: string, reason: string): void {
  if (process.env['CI'] !== 'true') {
    test.skip(`${title} [${reason}]`, () => {});
    return;
  }
  test(title, () => {
    throw new Error(`${reason}, which CI has to install: a skip is a failure there`);
  });
}
