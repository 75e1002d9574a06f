import { describe, expect, test } from 'vitest';
import { endpointText, parseEndpoint } from '../../../vmm/monitor/endpoint.ts';
import { tsvmm } from './fake-backend.ts';

describe('monitors of a run', () => {
  test('the backend is told where they are and whether the guest is held', async () => {
    const ran = await tsvmm(['run', 'a.c', '-S', '--monitor', 'stdio', '--qmp', 'unix:q', '--qmp', 'tcp::0']);

    expect(ran.requests[0]?.monitor).toMatchObject({
      held: true,
      endpoints: [{ kind: 'text' }, { kind: 'qmp', path: 'q' }, { kind: 'qmp', host: '127.0.0.1', port: 0 }],
    });
  });

  test('a run without them has none', async () => {
    expect((await tsvmm(['run', 'a.c'])).requests[0]).not.toHaveProperty('monitor');
  });

  test.each([
    [['--qmp', 'stdio'], "tsvmm: --qmp: 'stdio' is no address; write unix:PATH or tcp:HOST:PORT\n"],
    [
      ['--monitor', 'tcp:h:70000'],
      "tsvmm: --monitor: 'tcp:h:70000' is no address; write stdio, unix:PATH or tcp:HOST:PORT\n",
    ],
    [
      ['--monitor', 'stdio', '--monitor', 'stdio'],
      'tsvmm: --monitor stdio: there is one terminal; write --monitor unix:PATH\n',
    ],
    [['-S'], 'tsvmm: -S: nobody could let the guest go; add --monitor stdio, or another monitor\n'],
  ])('%j is refused', async (args, stderr) => {
    expect(await tsvmm(['run', 'a.c', ...args])).toMatchObject({ code: 2, stderr, requests: [] });
  });

  test('a guest that a monitor ended has a verdict of its own', async () => {
    const outcome = { end: 'stopped', reason: 'ended from the monitor' } as const;

    const ran = await tsvmm(['run', 'a.c', '--json', '--qmp', 'unix:q'], { outcome });

    expect(ran.code).toBe(0);
    expect(JSON.parse(ran.stdout)).toMatchObject({
      verdict: 'stopped',
      exitStatus: null,
      reason: 'ended from the monitor',
    });
  });

  test.each(['unix:/tmp/a b', 'tcp:localhost:1', 'tcp:[::1]:65535'])('%s reads back as written', (text) => {
    expect(endpointText(parseEndpoint(text, 'qmp', '--qmp'))).toBe(text);
  });
});

describe('tsvmm inspect', () => {
  test('carries out every command, refused ones too, and says by its exit code whether one was', async () => {
    expect(await tsvmm(['inspect', 'snap', '-c', 'a', '-c', 'bad', '-c', 'b'])).toMatchObject({
      code: 2,
      stdout: 'snap: a\nError: bad\nsnap: b\n',
    });
    expect(await tsvmm(['inspect', 'snap', '-c', 'a', '--json'])).toMatchObject({
      code: 0,
      stdout: 'snap: a --json\n',
    });
  });
});
