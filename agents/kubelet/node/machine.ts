// Reads what the Node object says of this machine from the kernel and /etc.

import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { availableParallelism, release, totalmem } from 'node:os';
import type { Machine } from './node-object.ts';

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

export function readMachine(
  given: Pick<Machine, 'name' | 'address' | 'runtimeVersion' | 'kubeletVersion' | 'kubeletPort'>,
): Machine {
  const bootId = readText('/proc/sys/kernel/random/boot_id');
  // Hosts that are containers or namespaces have one machine id between them.
  const machineId = createHash('sha256')
    .update(`${readText('/etc/machine-id')}/${given.name}`)
    .digest('hex');
  return {
    ...given,
    cpus: availableParallelism(),
    memoryBytes: totalmem(),
    architecture: ARCHITECTURES[process.arch] ?? process.arch,
    kernelVersion: release(),
    osImage: /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(readText('/etc/os-release'))?.[1] ?? 'Linux',
    machineId: machineId.slice(0, 32),
    bootId,
  };
}

/**
 * Different after each boot, also of a host that is a container or a namespace: boot, process and network namespace. A number
 * of a namespace may come again; what sandboxes are kept by is looked at besides.
 */
export function hostLife(): string {
  const netns = statSync('/proc/self/ns/net').ino;
  return `${readText('/proc/sys/kernel/random/boot_id')}/${readlinkSync('/proc/self/ns/pid')}/${netns}`;
}

/** The address of ours from which `server` (https://host:port) is reached. */
export function addressTowards(server: string, signal: AbortSignal): Promise<string | undefined> {
  const { hostname, port } = new URL(server);
  return new Promise((resolve) => {
    const socket = connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || '443'), signal });
    socket.once('connect', () => {
      resolve(socket.localAddress);
      socket.destroy();
    });
    socket.once('error', () => resolve(undefined));
  });
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}
