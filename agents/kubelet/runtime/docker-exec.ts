// A command in an engine's container (docker's "Exec"): one connection carries input and both outputs.

import { PassThrough } from 'node:stream';
import type Docker from 'dockerode';
import type { ExecProcess, ExecRequest } from './container-runtime.ts';

export async function startDockerExec(
  docker: Docker,
  container: string,
  request: ExecRequest,
  signal: AbortSignal,
): Promise<ExecProcess> {
  const exec = await docker.getContainer(container).exec({
    Cmd: [...request.argv],
    AttachStdin: request.stdin,
    AttachStdout: request.stdout,
    AttachStderr: request.stderr && !request.tty,
    Tty: request.tty,
    abortSignal: signal,
  });
  const stream = await exec.start({ hijack: true, stdin: request.stdin, Tty: request.tty });
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
    const { ExitCode } = await exec.inspect();
    return { exitCode: ExitCode ?? 137 };
  };
  return {
    onStdout: (listener) => void stdout.on('data', listener),
    onStderr: (listener) => void stderr.on('data', listener),
    write: (chunk) => void stream.write(chunk),
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
