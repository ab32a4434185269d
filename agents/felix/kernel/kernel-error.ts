// The errors of kernel writes: one class, told apart by `type.code` (lib/protocol/kernel-writer.ts and the writer's own end).

import type { KernelErrorType } from '../../../lib/protocol/kernel-writer.ts';

export type KernelWriteErrorType =
  | KernelErrorType
  /** The writer ended, or was ended, while the request was with it: whether it took effect is not known. */
  | { readonly code: 'writerEnded' }
  | { readonly code: 'timedOut'; readonly timeoutMs: number }
  | { readonly code: 'queueFull'; readonly limit: number }
  | { readonly code: 'stopped' };

export class KernelWriteError extends Error {
  override readonly name = 'KernelWriteError';
  readonly type: KernelWriteErrorType;

  constructor(type: KernelWriteErrorType, options?: ErrorOptions) {
    super(describe(type), options);
    this.type = type;
  }
}

function describe(type: KernelWriteErrorType): string {
  switch (type.code) {
    case 'refused':
      return `the kernel refused the transaction: ${type.message.trim().slice(0, 2000)}`;
    case 'linesFailed':
      return type.failures.map((failure) => `line ${failure.line}: ${failure.message}`).join('; ');
    case 'commandFailed':
      return `${type.command} failed: ${type.message.trim().slice(0, 2000)}`;
    case 'libraryMissing':
      return `${type.library} could not be loaded (package libnftables1): ${type.message}`;
    case 'writerEnded':
      return 'the kernel writer ended before it answered';
    case 'timedOut':
      return `the kernel writer did not answer within ${type.timeoutMs} ms`;
    case 'queueFull':
      return `more than ${type.limit} kernel writes are waiting`;
    case 'stopped':
      return 'the kernel writer was stopped';
  }
}
