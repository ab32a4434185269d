// Traffic from one host to an address while something happens: a packet every 10 ms, and how many were not answered.

import { spawnService } from '../../../lib/process/service.ts';
import { execIn, type TestHost, type TestNetwork } from './network.ts';
import { waitFor } from './wait.ts';

/** Begins once the address answers; `stop` tells how many packets went, and how many were lost. */
export async function startTraffic(
  network: TestNetwork,
  from: TestHost,
  to: string,
): Promise<{ stop: () => Promise<{ readonly sent: number; readonly lost: number }> }> {
  await waitFor(`an answer of ${to}`, async () => {
    await execIn(from, ['ping', '-c', '1', '-W', '1', to]);
    return true;
  });
  const service = await spawnService({
    argv: ['ip', 'netns', 'exec', from.netns, 'ping', '-q', '-i', '0.01', to],
    readyWhen: { kind: 'started' },
  });
  network.onClose(() => service.stop());
  const stop = async (): Promise<{ sent: number; lost: number }> => {
    service.kill('SIGINT');
    await service.exited;
    const counts = /([0-9]+) packets transmitted, ([0-9]+) received/.exec(service.output());
    if (counts === null) throw new Error(`ping said: ${service.output()}`);
    return { sent: Number(counts[1]), lost: Number(counts[1]) - Number(counts[2]) };
  };
  return { stop };
}
