// The generator: a process of its own that plays all peers of one row against one daemon (`bench/bgp/main.ts` starts it).
//   node bench/bgp/generator/main.ts '{"row": …, "pid": …}'

import { Inbox } from './inbox.ts';
import { Measurement } from './measurement.ts';
import { meshPhases } from './mesh.ts';
import type { Task } from './protocol.ts';
import { reflectorPhases } from './reflector.ts';

const WARM_ROUNDS = 20;

/** Counts what it is about to send, so that counting is compiled before the clock runs. */
function warmUp({ table }: Measurement): void {
  const messages = table.announcements(1).subarray(0, 400_000);
  const inbox = new Inbox(messages.length, () => undefined);
  for (let round = 0; round < WARM_ROUNDS; round++) {
    const room = inbox.room().subarray(0, messages.length);
    room.set(messages);
    inbox.push(room);
    inbox.reset();
  }
}

const task = JSON.parse(process.argv[2] ?? '') as Task;
const measurement = new Measurement(task);
warmUp(measurement);
const phases =
  task.row.pattern === 'mesh' ? meshPhases(measurement) : reflectorPhases(measurement, task.phases);
const result = await measurement.run(phases);
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
