// A live flow under probes: ICMP echo from one namespace to an address, as one conntrack entry. The kernel
// itself answers, so whatever is lost was lost on the way.

import type { LabHost } from '../../../lab/host.ts';
import type { Service } from '../../../lib/process/service.ts';

const INTERVAL_SECONDS = 0.001;

export interface ProbeResult {
  readonly sent: number;
  readonly received: number;
  readonly perSecond: number;
}

export interface Prober {
  /** Ends it. The last probe may still be on its way then: it is not counted. */
  stop(): Promise<ProbeResult>;
}

/** `netns`: file of the namespace to probe from. */
export async function startProber(
  host: LabHost,
  netns: string,
  to: string,
  intervalSeconds = INTERVAL_SECONDS,
): Promise<Prober> {
  const startedAt = performance.now();
  const service: Service = await host.spawn(
    ['nsenter', `--net=${netns}`, 'ping', '-q', '-i', String(intervalSeconds), to],
    // Without answers it says nothing before it ends.
    { readyWhen: { kind: 'started' } },
  );
  return {
    stop: async () => {
      service.kill('SIGINT');
      await service.exited;
      const seconds = (performance.now() - startedAt) / 1000;
      const [, sent = '0', received = '0'] =
        /(\d+) packets transmitted, (\d+) received/.exec(service.output()) ?? [];
      const isLastUnderWay = Number(sent) - Number(received) === 1;
      const counted = isLastUnderWay ? Number(sent) - 1 : Number(sent);
      return { sent: counted, received: Number(received), perSecond: Math.round(counted / seconds) };
    },
  };
}

/** Ends them and adds their results up. */
export async function stopAll(probers: readonly Prober[]): Promise<ProbeResult> {
  const results = await Promise.all(probers.map((prober) => prober.stop()));
  const sum = (of: (result: ProbeResult) => number): number =>
    results.reduce((total, result) => total + of(result), 0);
  return {
    sent: sum(({ sent }) => sent),
    received: sum(({ received }) => received),
    perSecond: sum(({ perSecond }) => perSecond),
  };
}
