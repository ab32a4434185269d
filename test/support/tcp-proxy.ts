// A TCP relay that a test can cut, close for new connections, or make swallow what comes back.
import { connect, createServer, type Server, type Socket } from 'node:net';

export class TcpProxy {
  readonly #targetPort: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isOpen = true;
  #swallowsAnswers = false;
  #cutAfterBytes: number | undefined;
  #cuts = 0;

  private constructor(targetPort: number) {
    this.#targetPort = targetPort;
    this.#server = createServer((client) => this.#onConnection(client));
  }

  static async start(targetPort: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(targetPort);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject);
      proxy.#server.listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  get endpoint(): string {
    const address = this.#server.address();
    if (typeof address !== 'object' || address === null) throw new Error('the proxy does not listen');
    return `http://127.0.0.1:${address.port}`;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Connections cut so far by `cut` or `cutAfter`. */
  get cuts(): number {
    return this.#cuts;
  }

  /** Ends all connections at once. */
  cut(): void {
    this.#cuts += 1;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Cuts once, when so many octets have come back from the target. */
  cutAfter(bytes: number): void {
    this.#cutAfterBytes = bytes;
  }

  /** Ends all connections, and new ones until `open`. */
  close(): void {
    this.#isOpen = false;
    this.cut();
  }

  open(): void {
    this.#isOpen = true;
    this.#swallowsAnswers = false;
  }

  /** Requests still arrive; answers do not. */
  swallowAnswers(): void {
    this.#swallowsAnswers = true;
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #onConnection(client: Socket): void {
    if (!this.#isOpen) {
      client.destroy();
      return;
    }
    const target = connect(this.#targetPort, '127.0.0.1');
    for (const [socket, other] of [
      [client, target],
      [target, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    client.pipe(target);
    target.on('data', (chunk) => this.#onAnswer(chunk, client, target));
  }

  #onAnswer(chunk: Buffer, client: Socket, target: Socket): void {
    if (this.#swallowsAnswers) return;
    if (this.#cutAfterBytes !== undefined) {
      this.#cutAfterBytes -= chunk.length;
      if (this.#cutAfterBytes <= 0) {
        this.#cutAfterBytes = undefined;
        this.cut();
        return;
      }
    }
    if (client.write(chunk)) return;
    target.pause();
    client.once('drain', () => target.resume());
  }
}
