// Where an ADD spends its time, from the host's own event log: what lies between two events of one pod.

import type { CalicoEvent, EventKind } from '../../lib/events/event.ts';
import type { KubeClient } from '../../lib/kube-client/client.ts';
import { parseEventLine } from '../../lib/protocol/event-lines.ts';

export interface Step {
  readonly step: string;
  readonly times: readonly number[];
}

/** In order; each step ends with the last of its events. */
const STEPS: readonly { readonly kinds: readonly EventKind[]; readonly step: string }[] = [
  { kinds: ['cniWait', 'vethCreated'], step: 'pod read, policy mirrored; interface made' },
  { kinds: ['addressAssigned'], step: 'address assigned' },
  { kinds: ['endpointWritten'], step: 'endpoint written' },
  { kinds: ['kernelTransaction'], step: 'calculated, policy in the kernel' },
  { kinds: ['endpointProgrammed'], step: 'route in the kernel, link up' },
  { kinds: ['cniAdd'], step: 'looked for in the kernel, answered' },
];

/** Of the ADDs that ended on the host after `since`. */
export async function addTimes(api: KubeClient, host: string, since: Date): Promise<readonly Step[]> {
  const text = await api.text(`/apis/calico-ts.dev/v1/events?after=${since.toISOString()}`);
  const events = text
    .split('\n')
    .filter((line) => line !== '')
    .flatMap((line) => {
      const parsed = parseEventLine(JSON.parse(line));
      return parsed !== undefined && 'event' in parsed && parsed.event.host === host ? [parsed.event] : [];
    })
    .toSorted((a, b) => a.seq - b.seq);
  const times = STEPS.map((): number[] => []);
  const whole: number[] = [];
  const waits: number[] = [];
  for (const add of events.filter(({ kind }) => kind === 'cniAdd')) {
    whole.push(add.durationMs ?? Number.NaN);
    let last = Date.parse(add.time) - (add.durationMs ?? 0);
    for (const [index, { kinds }] of STEPS.entries()) {
      const found = kinds.flatMap(
        (kind) =>
          events.find((each) => each.kind === kind && isOf(each, add) && Date.parse(each.time) >= last - 1) ??
          [],
      );
      if (found.length < kinds.length) continue;
      const ended = Math.max(...found.map(({ time }) => Date.parse(time)));
      times[index]?.push(ended - last);
      last = ended;
      waits.push(
        ...found.flatMap(({ kind, durationMs = Number.NaN }) => (kind === 'cniWait' ? durationMs : [])),
      );
    }
  }
  return [
    ...STEPS.map(({ step }, index) => ({ step, times: times[index] ?? [] })),
    { step: '(in the agent, all of it)', times: whole },
    { step: '(of it, waiting for the kubernetes plugin)', times: waits },
  ];
}

/** What concerns the whole kernel carries no object, but comes at that time. */
function isOf(event: CalicoEvent, add: CalicoEvent): boolean {
  if (event.kind === 'endpointProgrammed') return event.revision === add.revision;
  return event.object === undefined || event.object === add.object;
}
