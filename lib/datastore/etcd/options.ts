// How etcd is reached: endpoints, TLS by PEM files, user; and the gRPC settings that both need to be safe (docs/datastore.md).

import { readFileSync } from 'node:fs';
import type { CallOptions } from '@grpc/grpc-js';
import { InterceptingCall, type Interceptor } from '@grpc/grpc-js';
import { noop } from 'cockatiel';
import type { IOptions } from 'etcd3';

export interface EtcdTls {
  /** Paths of PEM files. With `certFile` and `keyFile` the user is the certificate's common name. */
  readonly caFile: string;
  readonly certFile?: string;
  readonly keyFile?: string;
  /** Name to verify in the server's certificate, where it differs from the endpoint's. */
  readonly serverName?: string;
}

export type ConnectionState = 'connected' | 'lost';

export interface EtcdOptions {
  /** `http://host:2379` or `https://…`: all of one kind. */
  readonly endpoints: readonly string[];
  readonly tls?: EtcdTls;
  /** A user by password; a client certificate is better: tokens expire in the middle of watches. */
  readonly auth?: { readonly username: string; readonly password: string };
  /** For each unary call; 5 s if left out. */
  readonly callTimeoutMs?: number;
  /** How long a watch tries to reconnect before it throws `unavailable`; 5 s if left out. */
  readonly watchReconnectMs?: number;
  /** How long a watch waits for the answer to a request for progress before it takes the stream for dead; 5 s if left out. */
  readonly progressTimeoutMs?: number;
  /** Called at each change, not for repetitions. */
  readonly onConnection?: (state: ConnectionState) => void;
}

const DEFAULT_CALL_TIMEOUT_MS = 5_000;

/** The options of the etcd3 package. Reads the PEM files: rotated certificates need a new client. */
export function etcd3Options(options: EtcdOptions): IOptions {
  if (options.endpoints.length === 0) throw new RangeError('etcd needs at least one endpoint');
  const callTimeoutMs = options.callTimeoutMs ?? DEFAULT_CALL_TIMEOUT_MS;
  const { tls, auth } = options;
  return {
    hosts: [...options.endpoints],
    ...(tls === undefined ? {} : { credentials: readCredentials(tls) }),
    ...(auth === undefined ? {} : { auth: { ...auth, callOptions: unaryOptions(callTimeoutMs) } }),
    grpcOptions: {
      'grpc.keepalive_time_ms': 10_000,
      'grpc.keepalive_timeout_ms': 3_000,
      'grpc.keepalive_permit_without_calls': 1,
      'grpc.max_receive_message_length': -1,
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.min_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 2_000,
      ...(tls?.serverName === undefined
        ? {}
        : { 'grpc.ssl_target_name_override': tls.serverName, 'grpc.default_authority': tls.serverName }),
    },
    defaultCallOptions: (context) =>
      context.isStream ? streamOptions(context.service) : unaryOptions(callTimeoutMs)(),
    // The package would retry writes whose outcome is unknown, and stop calling a host for 5 s after three failures.
    faultHandling: { global: noop, host: () => noop },
  };
}

function unaryOptions(callTimeoutMs: number): () => CallOptions {
  return () => ({ deadline: Date.now() + callTimeoutMs });
}

/** A member that is cut off from its quorum ends streams with this header instead of serving them stale. */
const requireLeader: Interceptor = (options, nextCall) =>
  new InterceptingCall(nextCall(options), {
    start: (metadata, listener, next) => {
      metadata.set('hasleader', 'true');
      next(metadata, listener);
    },
  });

function streamOptions(service: string): CallOptions {
  return service === 'Watch' ? { interceptors: [requireLeader] } : {};
}

function readCredentials(tls: EtcdTls): NonNullable<IOptions['credentials']> {
  if ((tls.certFile === undefined) !== (tls.keyFile === undefined)) {
    throw new RangeError('a client certificate needs both its certFile and its keyFile');
  }
  return {
    rootCertificate: readFileSync(tls.caFile),
    ...(tls.certFile === undefined ? {} : { certChain: readFileSync(tls.certFile) }),
    ...(tls.keyFile === undefined ? {} : { privateKey: readFileSync(tls.keyFile) }),
  };
}
