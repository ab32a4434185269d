// Where the kernel writer's program is, for tests that start one without an agent.

import { join } from 'node:path';

export const KERNEL_WRITER = join(import.meta.dirname, '../../../../agents/felix/kernel/main.ts');
