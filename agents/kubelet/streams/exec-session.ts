// One `kubectl exec` over a WebSocket (v5.channel.k8s.io): the first byte of each binary message names the channel; the
// outcome is a Status on channel 3, then the close.

import type { RawData, WebSocket } from 'ws';
import type { ExecProcess } from '../runtime/container-runtime.ts';

export const EXEC_PROTOCOL = 'v5.channel.k8s.io';

const Channel = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;
/** Output that the caller has not taken yet; the command is paused beyond it. */
const MAX_BUFFERED_BYTES = 1024 * 1024;
const DRAIN_POLL_MS = 10;
const NORMAL_CLOSURE = 1000;

/** The Status that tells how the command ended. */
export function exitStatus(exitCode: number, message: string | undefined): object {
  if (message !== undefined) return { metadata: {}, status: 'Failure', reason: 'InternalError', message };
  if (exitCode === 0) return { metadata: {}, status: 'Success' };
  return {
    metadata: {},
    status: 'Failure',
    reason: 'NonZeroExitCode',
    message: `command terminated with non-zero exit code: exit status ${exitCode}`,
    details: { causes: [{ reason: 'ExitCode', message: String(exitCode) }] },
  };
}

/** A message of the caller. */
export type ChannelMessage =
  | { readonly kind: 'input'; readonly data: Buffer }
  | { readonly kind: 'endOfInput' }
  | { readonly kind: 'resize'; readonly columns: number; readonly rows: number }
  /** Not of this protocol, or of no meaning here. */
  | { readonly kind: 'other' };

export function decodeChannelMessage(message: Buffer): ChannelMessage {
  const data = message.subarray(1);
  switch (message[0]) {
    case Channel.stdin:
      return { kind: 'input', data };
    case Channel.close:
      return data[0] === Channel.stdin ? { kind: 'endOfInput' } : { kind: 'other' };
    case Channel.resize:
      return decodeResize(data);
    default:
      return { kind: 'other' };
  }
}

function decodeResize(data: Buffer): ChannelMessage {
  try {
    const { Width, Height } = JSON.parse(data.toString('utf8')) as { Width?: unknown; Height?: unknown };
    const isSize = (value: unknown): value is number =>
      typeof value === 'number' && Number.isInteger(value) && value > 0 && value < 65_536;
    if (isSize(Width) && isSize(Height)) return { kind: 'resize', columns: Width, rows: Height };
  } catch {
    // Not a size.
  }
  return { kind: 'other' };
}

/** Joins both until the command has ended or the caller is gone. */
export async function serveExec(socket: WebSocket, command: ExecProcess): Promise<void> {
  let draining: NodeJS.Timeout | undefined;
  const send = (channel: number, chunk: Buffer): void => {
    if (socket.readyState !== socket.OPEN) return;
    socket.send(Buffer.concat([Buffer.from([channel]), chunk]));
    if (socket.bufferedAmount < MAX_BUFFERED_BYTES || draining !== undefined) return;
    command.pause();
    draining = setInterval(() => {
      if (socket.bufferedAmount >= MAX_BUFFERED_BYTES && socket.readyState === socket.OPEN) return;
      clearInterval(draining);
      draining = undefined;
      command.resume();
    }, DRAIN_POLL_MS);
  };
  command.onStdout((chunk) => send(Channel.stdout, chunk));
  command.onStderr((chunk) => send(Channel.stderr, chunk));
  socket.on('message', (data) => take(command, decodeChannelMessage(toBuffer(data))));
  socket.on('error', () => socket.terminate());
  socket.on('close', () => command.hangUp());
  const { exitCode, message } = await command.ended;
  clearInterval(draining);
  send(Channel.error, Buffer.from(JSON.stringify(exitStatus(exitCode, message))));
  socket.close(NORMAL_CLOSURE);
}

function take(command: ExecProcess, message: ChannelMessage): void {
  switch (message.kind) {
    case 'input':
      command.write(message.data);
      break;
    case 'endOfInput':
      command.endInput();
      break;
    case 'resize':
      command.resize(message.columns, message.rows);
      break;
    case 'other':
      break;
  }
}

function toBuffer(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data;
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);
}
