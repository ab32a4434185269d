#!/usr/bin/env node
// The CNI plugin: reads the environment and the configuration, relays both to the agent's socket, prints the answer. It
// loads nothing but Node's own modules, as every pod pays for its start. Spec: CNI 1.1.0 "Section 2: Execution Protocol".

import { connect } from 'node:net';

// Kept beside lib/protocol/cni.ts by a test: importing that file would load the schema library.
const PROTOCOL_VERSION = 1;
const SPEC_VERSIONS = ['0.3.1', '0.4.0', '1.0.0', '1.1.0'];
const COMMANDS = ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS', 'VERSION'];
const TRY_AGAIN_LATER = 11;
const INVALID_ENVIRONMENT = 4;
const DECODE_FAILURE = 6;
const TIMEOUT_MS = 90_000;
const MAX_BYTES = 1024 * 1024;
const DEFAULT_SOCKET = '/run/calico/cni.sock';

interface Configuration {
  cniVersion?: string;
  agent_socket?: string;
}

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

/** `A=1;B=2`, as CNI_ARGS is written. */
function parseArgs(text: string): Record<string, string> {
  const pairs = text.split(';').filter((pair) => pair !== '');
  return Object.fromEntries(
    pairs.map((pair) => {
      const equals = pair.indexOf('=');
      if (equals < 1)
        throw new PluginError(INVALID_ENVIRONMENT, `CNI_ARGS: not KEY=VALUE: ${JSON.stringify(pair)}`);
      return [pair.slice(0, equals), pair.slice(equals + 1)];
    }),
  );
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
  const command = process.env['CNI_COMMAND'] ?? '';
  let cniVersion = '1.0.0';
  try {
    const text = await readStandardInput();
    const config = parseConfiguration(text);
    cniVersion = config.cniVersion ?? cniVersion;
    if (!COMMANDS.includes(command))
      throw new PluginError(INVALID_ENVIRONMENT, `CNI_COMMAND is none of ${COMMANDS.join(', ')}`);
    if (command === 'VERSION') return print({ cniVersion, supportedVersions: SPEC_VERSIONS });
    const request = {
      version: PROTOCOL_VERSION,
      command,
      containerId: process.env['CNI_CONTAINERID'] ?? '',
      netns: process.env['CNI_NETNS'] ?? '',
      ifName: process.env['CNI_IFNAME'] ?? '',
      args: parseArgs(process.env['CNI_ARGS'] ?? ''),
      config,
    };
    const socketPath = process.env['CALICO_CNI_SOCKET'] ?? config.agent_socket ?? DEFAULT_SOCKET;
    return printAnswer(await ask(socketPath, request));
  } catch (error) {
    const code = error instanceof PluginError ? error.code : 100;
    return print({ cniVersion, code, msg: error instanceof Error ? error.message : String(error) }, 1);
  }
}

function parseConfiguration(text: string): Configuration {
  if (text.trim() === '') return {};
  try {
    return JSON.parse(text) as Configuration;
  } catch {
    throw new PluginError(DECODE_FAILURE, 'the network configuration is not JSON');
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
