// Runs each program up to its usage text, so that V8's compiled code of its modules is kept (NODE_COMPILE_CACHE, module.md
// "Module compile cache"). All in one process: what they share is compiled once. For builds only.
import { join } from 'node:path';

const dist = join(import.meta.dirname, '../../dist');
const exit = process.exit.bind(process);
process.argv.splice(2, Number.POSITIVE_INFINITY, '--help');
process.exit = () => undefined;
process.stdout.write = () => true;
process.stderr.write = () => true;
for (const program of ['agents/node', 'agents/bgp', 'agents/kubelet', 'controller', 'cli'])
  await import(join(dist, program, 'main.js'));
exit(0);
