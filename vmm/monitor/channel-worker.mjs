// Owns the monitor's sockets and terminal while the main thread runs a guest and cannot look after an event loop. Messages
// go over a port; after each one the shared counter is raised, which is all the main thread looks at, or waits on.
import { createReadStream, fstatSync, unlinkSync } from 'node:fs';
import { connect, createServer, Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { isatty, ReadStream, WriteStream } from 'node:tty';
import { workerData } from 'node:worker_threads';

const { port, counter, endpoints } = workerData;
/** Messages of one client that the main thread has not taken yet before it is not read any further. */
const MAX_AHEAD = 16;
/** Bytes that a client may leave unread before it is dropped. */
const MAX_UNREAD = 64 << 20;
const MAX_LINE = 1 << 20;

const clients = new Map();
const servers = [];
let next = 1;
let terminal;

function tell(message) {
  port.postMessage(message);
  Atomics.add(counter, 0, 1);
  Atomics.notify(counter, 0);
}

/** Text clients send lines; what is longer than any command is cut off there. */
function lineSplitter(emit) {
  const decoder = new TextDecoder();
  let rest = '';
  return (bytes) => {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n');
    rest = lines.pop();
    if (rest.length > MAX_LINE) {
      lines.push(rest);
      rest = '';
    }
    for (const line of lines) emit(line);
  };
}

function open(kind, stream, client) {
  const id = next++;
  clients.set(id, client);
  client.ahead = 0;
  client.stream = stream;
  tell({ type: 'open', client: id, kind });
  const ahead = (message) => {
    tell({ ...message, client: id });
    if (++client.ahead >= MAX_AHEAD) stream.pause();
  };
  const onData =
    kind === 'qmp'
      ? (bytes) => ahead({ type: 'data', bytes: new Uint8Array(bytes) })
      : lineSplitter((line) => ahead({ type: 'line', line: line.replace(/\r$/, '') }));
  stream.on('data', onData);
  // It says no more, but what it has said is still to be answered.
  const over = () => {
    if (client.over) return;
    client.over = true;
    tell({ type: 'close', client: id });
  };
  const gone = () => {
    clients.delete(id);
    over();
  };
  stream.on('error', gone);
  stream.on('end', over);
  stream.on('close', client.keep ? over : gone);
}

function accept(kind, socket) {
  socket.setNoDelay?.(true);
  open(kind, socket, {
    send(text) {
      socket.write(text);
      if (socket.writableLength > MAX_UNREAD) socket.destroy();
    },
    finish: (done) => socket.end(done),
  });
}

function listen({ kind, path, host, port: tcpPort }) {
  const where = path === undefined ? { host, port: tcpPort } : { path };
  return new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: true }, (socket) => accept(kind, socket));
    const ready = () => {
      server.off('error', reject);
      servers.push(server);
      resolve(path === undefined ? { kind, host, port: server.address().port } : { kind, path });
    };
    server.once('error', async (error) => {
      if (error.code !== 'EADDRINUSE' || path === undefined || !(await isDead(path))) return reject(error);
      unlinkSync(path);
      server.once('error', reject);
      server.listen(where, ready);
    });
    server.listen(where, ready);
  });
}

/** A socket left behind by a program that is gone. */
function isDead(path) {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(false);
    });
    probe.once('error', (error) => resolve(error.code === 'ECONNREFUSED'));
  });
}

/** A pipe may be one that does not block: reading it as a file would fail while it is empty. */
function inputStream() {
  const stat = fstatSync(0);
  return stat.isFIFO() || stat.isSocket()
    ? new Socket({ fd: 0, readable: true, writable: false })
    : createReadStream('', { fd: 0 });
}

function openStdio() {
  if (!isatty(0)) {
    open('stdio', inputStream(), { keep: true, send() {}, finish: (done) => done() });
    return;
  }
  const input = new ReadStream(0);
  const waiting = new Map();
  let asked = 0;
  const id = next++;
  terminal = createInterface({
    input,
    output: new WriteStream(1),
    prompt: '(tsvmm) ',
    completer(line, done) {
      waiting.set(++asked, (words) => done(null, [words, /\S*$/.exec(line)[0]]));
      tell({ type: 'complete', client: id, ask: asked, line });
    },
  });
  clients.set(id, {
    ahead: 0,
    stream: input,
    send() {},
    prompt: () => terminal.prompt(true),
    completed: (ask, words) => {
      waiting.get(ask)?.(words);
      waiting.delete(ask);
    },
    finish(done) {
      terminal.close();
      done();
    },
  });
  tell({ type: 'open', client: id, kind: 'terminal' });
  terminal.on('line', (line) => tell({ type: 'line', client: id, line }));
  terminal.on('SIGINT', () => tell({ type: 'line', client: id, line: 'stop' }));
  terminal.on('close', () => {
    if (clients.delete(id)) tell({ type: 'close', client: id });
  });
}

async function start() {
  try {
    const listening = [];
    for (const endpoint of endpoints) {
      if (endpoint.path === undefined && endpoint.host === undefined) openStdio();
      else listening.push(await listen(endpoint));
    }
    tell({ type: 'ready', listening });
  } catch (error) {
    tell({ type: 'failed', code: error.code ?? String(error), address: error.address ?? '' });
  }
}

/** Everything that was sent arrives before the process ends. */
function finish() {
  for (const server of servers) server.close();
  let open = clients.size;
  const one = () => {
    if (--open <= 0) tell({ type: 'finished' });
  };
  if (open === 0) one();
  for (const client of clients.values()) client.finish(one);
}

port.on('message', (message) => {
  const client = clients.get(message.client);
  switch (message.type) {
    case 'send':
      client?.send(message.text);
      break;
    case 'taken':
      if (client !== undefined && client.ahead-- === MAX_AHEAD) client.stream.resume();
      break;
    case 'prompt':
      client?.prompt?.();
      break;
    case 'completed':
      client?.completed?.(message.ask, message.words);
      break;
    case 'end':
      clients.delete(message.client);
      client?.finish(() => {});
      break;
    case 'finish':
      finish();
      break;
  }
});

start();
