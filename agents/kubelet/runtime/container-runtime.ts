// What the kubelet needs of whatever runs containers: built-in images as processes (process-runtime.ts) or a Docker engine
// (docker-runtime.ts). Everything is found again by its identifiers after a restart of the kubelet.

import type { LogOptions } from './log-lines.ts';

/** One run of one container of one pod. A restart is the next attempt. */
export interface ContainerRef {
  readonly podUid: string;
  readonly container: string;
  readonly attempt: number;
}

export interface Mount {
  /** Name of the pod's volume. */
  readonly volume: string;
  /** Folder on the host. */
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
}

export interface ContainerConfig {
  readonly ref: ContainerRef;
  readonly namespace: string;
  readonly pod: string;
  readonly image: string;
  /** Entry point of the image if left out. */
  readonly command: readonly string[] | undefined;
  readonly args: readonly string[] | undefined;
  readonly env: readonly (readonly [name: string, value: string])[];
  /** The image's own if left out. */
  readonly workingDir: string | undefined;
  readonly hostname: string;
  readonly sandbox: Sandbox;
  readonly mounts: readonly Mount[];
}

export interface SandboxConfig {
  readonly podUid: string;
  readonly namespace: string;
  readonly pod: string;
  readonly hostNetwork: boolean;
}

/** The network namespace of a pod. */
export interface Sandbox {
  /** Identifies the attachment to CNI. */
  readonly id: string;
  /** Path of the network namespace; undefined with `hostNetwork`. */
  readonly netns: string | undefined;
}

export type ContainerState =
  | { readonly kind: 'absent' }
  | { readonly kind: 'running'; readonly startedAt: Date; readonly id: string }
  | {
      readonly kind: 'exited';
      readonly exitCode: number;
      readonly startedAt: Date;
      readonly finishedAt: Date;
      readonly id: string;
      readonly reason: string;
      readonly message?: string;
    };

export type ImageVerdict =
  | { readonly ok: true; readonly imageId: string }
  /** Reason and message of a waiting container, as Kubernetes words them. */
  | { readonly ok: false; readonly reason: string; readonly message: string };

export interface ExecRequest {
  readonly argv: readonly string[];
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}

/** Input that a command has not read yet, at most; a caller that says more loses the command. */
export const MAX_PENDING_INPUT_BYTES = 32 * 1024 * 1024;

/** A command under way in a container. */
export interface ExecProcess {
  onStdout(listener: (chunk: Buffer) => void): void;
  onStderr(listener: (chunk: Buffer) => void): void;
  write(chunk: Buffer): void;
  endInput(): void;
  resize(columns: number, rows: number): void;
  /** Stops reading its output until `resume`. */
  pause(): void;
  resume(): void;
  /** The caller is gone: the command is told to hang up. */
  hangUp(): void;
  /** Settles when it has ended and its output was read; `message` when it could not be started. */
  readonly ended: Promise<{ readonly exitCode: number; readonly message?: string }>;
}

export interface ContainerRuntime {
  /** `NAME://VERSION`, as the Node reports it. */
  readonly version: string;
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Whether containers of the image can be run here; pulls it where that is possible. */
  ensureImage(image: string, signal: AbortSignal): Promise<ImageVerdict>;
  createSandbox(config: SandboxConfig, signal: AbortSignal): Promise<Sandbox>;
  /** Whether it is still what it was: a host that booted meanwhile has lost it. */
  isSandboxAlive(sandbox: Sandbox, signal: AbortSignal): Promise<boolean>;
  removeSandbox(sandbox: Sandbox, signal: AbortSignal): Promise<void>;
  startContainer(config: ContainerConfig, signal: AbortSignal): Promise<void>;
  inspect(ref: ContainerRef, signal: AbortSignal): Promise<ContainerState>;
  /** TERM or KILL to the container's first process; a container that has ended is no error. */
  signalContainer(ref: ContainerRef, kind: 'TERM' | 'KILL', signal: AbortSignal): Promise<void>;
  removeContainer(ref: ContainerRef, signal: AbortSignal): Promise<void>;
  exec(ref: ContainerRef, request: ExecRequest, signal: AbortSignal): Promise<ExecProcess>;
  /** Output of a container that was started, as asked for; ends with it when following. */
  readLog(ref: ContainerRef, options: LogOptions, signal: AbortSignal): AsyncIterable<Buffer>;
  /** Tells of containers that may have changed; returns what ends it. */
  onChange(listener: (podUid: string) => void): () => void;
}

export type RuntimeErrorType =
  | { readonly code: 'sandboxFailed'; readonly detail: string }
  | { readonly code: 'startFailed'; readonly detail: string }
  | { readonly code: 'notRunning'; readonly container: string }
  | { readonly code: 'noAnswer'; readonly limitMs: number }
  | { readonly code: 'unsupported'; readonly what: string };

export class RuntimeError extends Error {
  override readonly name = 'RuntimeError';
  readonly type: RuntimeErrorType;

  constructor(type: RuntimeErrorType, options?: ErrorOptions) {
    super(describe(type), options);
    this.type = type;
  }
}

function describe(type: RuntimeErrorType): string {
  switch (type.code) {
    case 'sandboxFailed':
      return `the pod's network namespace could not be made: ${type.detail}`;
    case 'startFailed':
      return `the container could not be started: ${type.detail}`;
    case 'notRunning':
      return `container ${type.container} is not running`;
    case 'noAnswer':
      return `the Docker engine did not answer within ${type.limitMs} ms`;
    case 'unsupported':
      return `${type.what} is not supported`;
  }
}
