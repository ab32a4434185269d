// The kernel writer, but for one thing: while the file named by DIE_AFTER is there, it takes that file away and kills itself after
// the kernel has taken a transaction that makes a generation's chains, before it answers.

import { existsSync, rmSync } from 'node:fs';

const flag = process.env['DIE_AFTER'] ?? '';
const answer = process.send?.bind(process);
let makesGeneration = false;

process.on('message', (message: { readonly text?: string; readonly isCheck?: boolean }) => {
  makesGeneration = message.isCheck === false && /add chain inet calico stamp_/.test(message.text ?? '');
});
process.send = (message: unknown): boolean => {
  if (makesGeneration && existsSync(flag)) {
    rmSync(flag);
    process.kill(process.pid, 'SIGKILL');
  }
  return answer?.(message) ?? false;
};
await import('../../../../agents/felix/kernel/main.ts');
