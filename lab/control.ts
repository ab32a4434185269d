// How `npm run lab` talks to a running lab: a unix socket in the state directory, one JSON request a line, one JSON answer
// a line. The socket's folder belongs to the user alone; there is no other authentication.

import { rmSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { LabError } from './lab-error.ts';

const CALL_TIMEOUT_MS = 60_000;
const MAX_REQUEST_BYTES = 64 * 1024;

const controlRequestSchema = z.discriminatedUnion('op', [
  z.strictObject({ op: z.literal('status') }),
  z.strictObject({ op: z.literal('addHost'), name: z.string(), kind: z.enum(['node', 'external']) }),
  z.strictObject({ op: z.literal('removeHost'), name: z.string(), how: z.enum(['shut-down', 'power-off']) }),
  z.strictObject({ op: z.literal('stop') }),
]);
export type ControlRequest = z.infer<typeof controlRequestSchema>;

const labStatusSchema = z.strictObject({
  etcdEndpoint: z.string(),
  hosts: z.array(
    z.strictObject({
      name: z.string(),
      kind: z.enum(['node', 'external']),
      netns: z.string(),
      address: z.string(),
      address6: z.string(),
      stateDir: z.string(),
      processes: z.array(
        z.strictObject({ name: z.string(), pid: z.number().optional(), restarts: z.number() }),
      ),
    }),
  ),
});
/** What runs where; process ids are those inside the lab. */
export type LabStatus = z.infer<typeof labStatusSchema>;

const answerSchema = z.discriminatedUnion('ok', [
  z.strictObject({ ok: z.literal(true), status: labStatusSchema }),
  z.strictObject({ ok: z.literal(false), error: z.string() }),
]);
type Answer = z.infer<typeof answerSchema>;

/** Does what a request asks for and answers the status after it; throws a sentence for the user. */
export type ControlHandler = (request: ControlRequest) => Promise<LabStatus>;

function controlSocketPath(stateDir: string): string {
  return join(stateDir, 'control.sock');
}

/** Serves the control socket until closed. Requests of one connection are handled one after another. */
export async function serveControl(stateDir: string, handle: ControlHandler): Promise<Server> {
  const path = controlSocketPath(stateDir);
  rmSync(path, { force: true });
  const server = createServer((socket) => void serveConnection(socket, handle));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  return server;
}

async function serveConnection(socket: Socket, handle: ControlHandler): Promise<void> {
  socket.on('error', () => socket.destroy());
  try {
    for await (const line of createInterface({ input: socket })) {
      const answer: Answer = line.length > MAX_REQUEST_BYTES ? tooLong() : await answerTo(line, handle);
      socket.write(`${JSON.stringify(answer)}\n`);
    }
  } catch {
    // The caller went away in the middle of a line: there is nobody left to tell.
    socket.destroy();
  }
}

function tooLong(): Answer {
  return { ok: false, error: 'the request is too long' };
}

async function answerTo(line: string, handle: ControlHandler): Promise<Answer> {
  try {
    const request = controlRequestSchema.parse(JSON.parse(line));
    return { ok: true, status: await handle(request) };
  } catch (error) {
    return { ok: false, error: error instanceof Error ? error.message : String(error) };
  }
}

/** Sends one request to the lab with this state directory. Rejects when nobody listens, with LabError `refused` when the lab refuses. */
export async function callControl(stateDir: string, request: ControlRequest): Promise<LabStatus> {
  const socket = createConnection(controlSocketPath(stateDir));
  socket.setTimeout(CALL_TIMEOUT_MS, () => socket.destroy(new Error(`the lab did not answer ${request.op}`)));
  const line = await new Promise<string>((resolve, reject) => {
    socket.once('error', reject);
    socket.once('connect', () => socket.write(`${JSON.stringify(request)}\n`));
    const lines = createInterface({ input: socket });
    // readline hands the socket's errors on.
    lines.once('error', reject);
    lines.once('line', resolve);
    lines.once('close', () => reject(new Error('the lab closed the connection without an answer')));
  }).finally(() => socket.destroy());
  const answer = answerSchema.parse(JSON.parse(line));
  if (!answer.ok) throw new LabError({ code: 'refused', reason: answer.error });
  return answer.status;
}
