// What a host's flow records would say of staged policies, beside what the evaluator says of the whole cluster with them enforced
// (docs/felix.md "Staged policies").

import { endpointsByAddress } from '../../../../agents/felix/flows/flow-recorder.ts';
import { stagedOutcome } from '../../../../agents/felix/flows/staged-verdicts.ts';
import type { Resource } from '../../../../lib/model/metadata.ts';
import { type PolicyCluster, resolveCluster } from '../../../../lib/policy/cluster.ts';
import { evaluate } from '../../../../lib/policy/evaluate.ts';
import { withStagedEnacted } from '../../../../lib/policy/staged.ts';
import type { FuzzPacket } from '../../../support/policy-fuzz/packets.ts';
import type { TestHost } from './test-host.ts';

/** Of reasons that are no policy's no record tells. */
const GUARDS: readonly string[] = ['bgpPort', 'tunnelFromWorkload'];

export class StagedComparison {
  readonly #hosts: ReadonlyMap<string, TestHost>;
  readonly #cluster: PolicyCluster;
  /** Outcomes that were compared. */
  compared = 0;

  constructor(hosts: ReadonlyMap<string, TestHost>, resources: readonly Resource[]) {
    this.#hosts = hosts;
    // Host endpoints have no part in it but as ends of rules.
    this.#cluster = { ...resolveCluster(withStagedEnacted(resources)), hostEndpoints: new Map() };
  }

  /** What a host says otherwise, in a sentence each. */
  differences(packet: FuzzPacket): readonly string[] {
    const { checkpoints } = evaluate(this.#cluster, packet, { stagedAsEnforced: true, bothSides: true });
    if (checkpoints.some(({ decision }) => GUARDS.includes(decision.type))) return [];
    return [...this.#hosts].flatMap(([name, { dataplane }]) => {
      const flow = { ...packet, isAllowed: true, epoch: 0, ruleId: 0 };
      const outcome = stagedOutcome(dataplane.state, flow, endpointsByAddress(dataplane.state));
      const here = checkpoints.filter(({ place }) => place.type === 'workload' && place.host === name);
      // A host's own traffic to its workloads is never policed, and in no record.
      if (outcome === undefined || here.length === 0) return [];
      this.compared++;
      const verdict = here.every(({ decision }) => decision.isAllowed) ? 'allow' : 'deny';
      return outcome.verdict === verdict
        ? []
        : [`${outcome.verdict}, not ${verdict}, on ${name} if staged policies were enforced`];
    });
  }
}
