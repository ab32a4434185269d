// bgpd's metrics over HTTP on localhost, for a bgpd without an agent beside it (docs/bgp.md "Metrics").

import { once } from 'node:events';
import { createServer, type Server } from 'node:http';

export class MetricsServer {
  readonly #server: Server;
  readonly #port: number;

  constructor(port: number, text: () => string) {
    this.#port = port;
    this.#server = createServer((request, response) => {
      response.on('error', () => response.destroy());
      const isKnown = request.url === '/metrics';
      response.writeHead(isKnown ? 200 : 404, { 'content-type': 'text/plain; version=0.0.4' });
      response.end(isKnown ? text() : 'only /metrics is served\n');
    });
  }

  /** Rejects where the port is taken. */
  async start(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
