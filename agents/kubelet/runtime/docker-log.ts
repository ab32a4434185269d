// Output of an engine's container in the words of the Kubernetes API (docker's "Get container logs").

import { PassThrough } from 'node:stream';
import type Docker from 'dockerode';
import type { LogOptions } from './log-lines.ts';

export async function* readDockerLog(
  container: Docker.Container,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const query = {
    stdout: true,
    stderr: true,
    timestamps: options.timestamps,
    ...(options.tailLines === undefined ? {} : { tail: options.tailLines }),
    ...(options.sinceMs === undefined ? {} : { since: Math.floor(options.sinceMs / 1000) }),
    abortSignal: signal,
  };
  const output = new PassThrough();
  if (options.follow) {
    const stream = await container.logs({ ...query, follow: true });
    container.modem.demuxStream(stream, output, output);
    stream.on('end', () => output.end());
    stream.on('close', () => output.end());
    stream.on('error', () => output.end());
  } else {
    output.end(withoutHeaders(await container.logs({ ...query, follow: false })));
  }
  let left = options.limitBytes ?? Number.POSITIVE_INFINITY;
  for await (const chunk of output as AsyncIterable<Buffer>) {
    yield chunk.length > left ? chunk.subarray(0, left) : chunk;
    left -= chunk.length;
    if (left <= 0) return;
  }
}

/** The engine frames both streams: kind, three zeros, length (4 bytes, big endian), data. */
function withoutHeaders(framed: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at + 8 <= framed.length; ) {
    const length = framed.readUInt32BE(at + 4);
    parts.push(framed.subarray(at + 8, at + 8 + length));
    at += 8 + length;
  }
  return Buffer.concat(parts);
}
