#!/usr/bin/env node
// The CNI plugin where there is no Perl (relay-script.ts is the other): relays environment and configuration to the agent's
// socket as they came, and prints the answer. It loads nothing but Node's own modules, as every pod pays for its start.
// Spec: CNI 1.1.0 "Section 2: Execution Protocol".

import { connect } from 'node:net';

// Kept beside lib/protocol/cni.ts by a test: importing that file would load the schema library.
const PROTOCOL_VERSION = 1;
const SPEC_VERSIONS = ['0.3.1', '0.4.0', '1.0.0', '1.1.0'];
const TRY_AGAIN_LATER = 11;
const DECODE_FAILURE = 6;
const TIMEOUT_MS = 90_000;
const MAX_BYTES = 1024 * 1024;
const DEFAULT_SOCKET = '/run/calico/cni.sock';

class PluginError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

async function readStandardInput(): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BYTES) throw new PluginError(DECODE_FAILURE, 'the network configuration is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function ask(socketPath: string, request: object): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    const chunks: Buffer[] = [];
    let size = 0;
    const away = (why: string): void => {
      socket.destroy();
      reject(
        new PluginError(
          TRY_AGAIN_LATER,
          `the calico-node agent at ${socketPath} ${why}; is calico-node running?`,
        ),
      );
    };
    socket.setTimeout(TIMEOUT_MS, () => away(`did not answer within ${TIMEOUT_MS / 1000} s`));
    socket.on('error', (error: NodeJS.ErrnoException) =>
      away(`is not there (${error.code ?? error.message})`),
    );
    socket.on('data', (chunk) => {
      size += chunk.length;
      if (size > MAX_BYTES) away('answers without end');
      else chunks.push(chunk);
    });
    socket.on('close', () => resolve(Buffer.concat(chunks).toString('utf8')));
    socket.write(`${JSON.stringify(request)}\n`);
  });
}

async function main(): Promise<number> {
  let cniVersion = '1.0.0';
  try {
    const config = await readStandardInput();
    cniVersion = /"cniVersion"\s*:\s*"([0-9.]+)"/.exec(config)?.[1] ?? cniVersion;
    if (process.env['CNI_COMMAND'] === 'VERSION')
      return print({ cniVersion, supportedVersions: SPEC_VERSIONS });
    const request = {
      version: PROTOCOL_VERSION,
      command: process.env['CNI_COMMAND'] ?? '',
      containerId: process.env['CNI_CONTAINERID'] ?? '',
      netns: process.env['CNI_NETNS'] ?? '',
      ifName: process.env['CNI_IFNAME'] ?? '',
      args: process.env['CNI_ARGS'] ?? '',
      config,
    };
    const configured = /"agent_socket"\s*:\s*"([^"\\]+)"/.exec(config)?.[1];
    const socketPath = process.env['CALICO_CNI_SOCKET'] ?? configured ?? DEFAULT_SOCKET;
    return printAnswer(await ask(socketPath, request));
  } catch (error) {
    const code = error instanceof PluginError ? error.code : 100;
    return print({ cniVersion, code, msg: error instanceof Error ? error.message : String(error) }, 1);
  }
}

function printAnswer(text: string): number {
  let answer: { result?: object; error?: object };
  try {
    answer = JSON.parse(text) as typeof answer;
  } catch {
    throw new PluginError(TRY_AGAIN_LATER, 'the agent ended before it answered');
  }
  if (answer.error !== undefined) return print(answer.error, 1);
  return answer.result === undefined ? 0 : print(answer.result);
}

function print(value: object, code = 0): number {
  process.stdout.write(`${JSON.stringify(value)}\n`);
  return code;
}

process.exitCode = await main();
