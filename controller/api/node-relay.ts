// exec, attach and logs go to the pod's node as raw bytes: authenticated here, then the same request line and headers under
// the API's own certificate; WebSocket frames and log lines pass unread (docs/api.md "exec and logs").

import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { connect, type SecureContextOptions, type TLSSocket } from 'node:tls';
import type { Resource } from '../../lib/model/metadata.ts';
import { ApiError } from './api-error.ts';
import { at } from './columns.ts';
import { internalAddress } from './node-address.ts';

export interface NodeRelayOptions {
  /** The API's client certificate and the CA that signs the nodes' servers. */
  readonly tls: SecureContextOptions;
}

const CONNECT_TIMEOUT_MS = 5000;
/** The caller's credentials and hop-by-hop fields that we set ourselves. */
const DROPPED = new Set(['authorization', 'host', 'connection']);

/** Opens the node's port and sends the request on; resolves with the socket once it is connected. */
export async function openToNode(
  options: NodeRelayOptions,
  node: Resource,
  request: IncomingMessage,
): Promise<TLSSocket> {
  const { host, port } = kubeletAddress(node);
  const socket = connect({ host, port, ...options.tls, servername: 'kubelet' });
  await new Promise<void>((resolve, reject) => {
    const fail = (cause?: unknown): void => {
      socket.destroy();
      reject(
        new ApiError(
          'ServiceUnavailable',
          `the kubelet of ${node.metadata.name} at ${host}:${port} does not answer`,
          undefined,
          { cause },
        ),
      );
    };
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => fail());
    socket.once('error', fail);
    socket.once('secureConnect', () => {
      socket.off('error', fail);
      socket.setTimeout(0);
      resolve();
    });
  });
  socket.write(requestHead(request, `${host}:${port}`));
  return socket;
}

export function kubeletAddress(node: Resource): { host: string; port: number } {
  const host = internalAddress(node);
  const port = at(node, 'status.daemonEndpoints.kubeletEndpoint.Port');
  if (typeof port === 'number') return { host, port };
  throw new ApiError(
    'ServiceUnavailable',
    `node ${node.metadata.name} has not said where its kubelet listens`,
  );
}

function requestHead(request: IncomingMessage, host: string): string {
  const isUpgrade = request.headers.upgrade !== undefined;
  const lines = [`${request.method ?? 'GET'} ${request.url ?? '/'} HTTP/1.1`, `Host: ${host}`];
  for (let index = 0; index + 1 < request.rawHeaders.length; index += 2) {
    const name = request.rawHeaders[index] ?? '';
    if (!DROPPED.has(name.toLowerCase())) lines.push(`${name}: ${request.rawHeaders[index + 1] ?? ''}`);
  }
  lines.push(`Connection: ${isUpgrade ? 'Upgrade' : 'close'}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** Joins two sockets until either ends. */
export function joinSockets(client: Duplex, node: Duplex, head?: Buffer): void {
  const end = (): void => {
    client.destroy();
    node.destroy();
  };
  for (const socket of [client, node]) socket.on('error', end);
  client.on('close', end);
  node.on('close', () => client.end());
  if (head !== undefined && head.length > 0) node.write(head);
  client.pipe(node);
  node.pipe(client);
}
