import { connect, type Socket } from 'node:net';

/** A client of a monitor's socket that reads what comes until it fits. */
export class SocketClient {
  #text = '';
  #wake: () => void = () => {};
  readonly #socket: Socket;
  closed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      this.#text += text;
      this.#wake();
    });
    socket.on('close', () => {
      this.closed = true;
      this.#wake();
    });
    socket.on('error', () => {});
  }

  static open(where: { path: string } | { host: string; port: number }): Promise<SocketClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(where, () => resolve(new SocketClient(socket)));
      socket.once('error', reject);
    });
  }

  send(text: string): void {
    this.#socket.write(text);
  }

  /** What has come up to and with the first match, which is taken away. */
  async until(pattern: RegExp): Promise<string> {
    for (;;) {
      const match = pattern.exec(this.#text);
      if (match !== null) {
        const end = match.index + match[0].length;
        const taken = this.#text.slice(0, end);
        this.#text = this.#text.slice(end);
        return taken;
      }
      if (this.closed) throw new Error(`closed before ${pattern}: ${this.#text}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** The next QMP message. */
  async message(): Promise<Record<string, unknown>> {
    return JSON.parse(await this.until(/^.*\r\n/)) as Record<string, unknown>;
  }

  /** The answer to a command and the events before it. */
  async ask(execute: string, args?: object): Promise<Record<string, unknown>[]> {
    this.send(JSON.stringify({ execute, ...(args === undefined ? {} : { arguments: args }) }));
    const messages: Record<string, unknown>[] = [];
    do messages.push(await this.message());
    while (Object.hasOwn(messages.at(-1)!, 'event'));
    return messages;
  }

  end(): void {
    this.#socket.end();
  }

  async gone(): Promise<void> {
    while (!this.closed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
