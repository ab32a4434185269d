// A command in an engine's container (docker's "Exec"): one connection carries input and both outputs.

import { PassThrough } from 'node:stream';
import type Docker from 'dockerode';
import { type ExecProcess, type ExecRequest, MAX_PENDING_INPUT_BYTES } from './container-runtime.ts';
import type { EngineCall } from './engine-call.ts';

export async function startDockerExec(
  docker: Docker,
  call: EngineCall,
  container: string,
  request: ExecRequest,
  signal: AbortSignal,
): Promise<ExecProcess> {
  const exec = await call(signal, (abortSignal) =>
    docker.getContainer(container).exec({
      Cmd: [...request.argv],
      AttachStdin: request.stdin,
      AttachStdout: request.stdout,
      AttachStderr: request.stderr && !request.tty,
      Tty: request.tty,
      abortSignal,
    }),
  );
  // No signal: it would end the stream with the time for the answer.
  const stream = await call(signal, () =>
    exec.start({ hijack: true, stdin: request.stdin, Tty: request.tty }),
  );
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  if (request.tty) stream.pipe(stdout);
  else docker.modem.demuxStream(stream, stdout, stderr);
  stream.on('error', () => stream.destroy());
  const closed = new Promise<void>((resolve) => {
    stream.once('end', resolve);
    stream.once('close', resolve);
  });
  const end = async (): Promise<Awaited<ExecProcess['ended']>> => {
    await closed;
    stdout.end();
    stderr.end();
    try {
      const { ExitCode } = await call(signal, (abortSignal) => exec.inspect({ abortSignal }));
      return { exitCode: ExitCode ?? 137 };
    } catch (error) {
      return { exitCode: 137, message: (error as { message?: string }).message ?? String(error) };
    }
  };
  return {
    onStdout: (listener) => void stdout.on('data', listener),
    onStderr: (listener) => void stderr.on('data', listener),
    write: (chunk) => {
      stream.write(chunk);
      if (stream.writableLength > MAX_PENDING_INPUT_BYTES) stream.destroy();
    },
    endInput: () => stream.end(),
    resize: (columns, rows) => {
      // A size that comes too late is of no consequence.
      exec.resize({ w: columns, h: rows }).catch(() => undefined);
    },
    pause: () => void stream.pause(),
    resume: () => void stream.resume(),
    hangUp: () => stream.destroy(),
    ended: end(),
  };
}
