// What of a host's traffic is in no flow record, and what staged policies would do: for the node API and as metrics.

import type { MetricsText } from '../../lib/metrics/metrics-text.ts';
import type { FlowStatus } from '../../lib/protocol/flow-status.ts';
import type { FlowRecorder } from '../felix/flows/flow-recorder.ts';

export function flowStatus(flows: FlowRecorder): FlowStatus {
  const { changed, uncounted, all } = flows.staged;
  const { problem } = flows;
  return {
    ...(problem === undefined ? {} : { problem }),
    records: flows.ring.count,
    overwritten: flows.ring.overwritten,
    totals: { ...flows.totals },
    staged: { wouldBecome: changed, uncounted, policies: [...all] },
  };
}

export function addFlowMetrics(text: MetricsText, { ring, totals, staged }: FlowRecorder): void {
  text.counter('felix_flow_records_total', 'Flow records made.', ring.count);
  text.counter('felix_flow_connections_total', 'Connections that policy decided on.', [
    { labels: { verdict: 'deny' }, value: totals.denied },
    { labels: { verdict: 'allow' }, value: totals.allowed },
  ]);
  text.counter('felix_flow_records_lost_total', 'What is in no flow record, or not there any more.', [
    { labels: { reason: 'overwritten' }, value: ring.overwritten },
    { labels: { reason: 'suppressed_connections' }, value: totals.suppressed },
    { labels: { reason: 'overflowed_denied_packets' }, value: totals.overflowedDenied },
    { labels: { reason: 'overflowed_allowed_packets' }, value: totals.overflowedBegun },
    { labels: { reason: 'readings_that_lost_ends' }, value: totals.lostEnds },
    { labels: { reason: 'failed_readings' }, value: totals.failedReadings },
  ]);
  text.counter(
    'felix_packets_without_route_total',
    'Packets that the kernel has no route for: they come to no rule, and so to no record.',
    totals.withoutRoute,
  );
  text.counter(
    'felix_staged_policy_connections_total',
    'Connections that a staged policy would decide on in its tier.',
    staged.all.map(({ connections, kind, namespace = '', name, tier, direction, index, action }) => ({
      labels: { kind, namespace, name, tier, direction, rule_index: String(index), action },
      value: connections,
    })),
  );
  text.counter(
    'felix_staged_verdict_changes_total',
    'Connections of which the verdict would be another, by the verdict that they would get.',
    [
      { labels: { verdict: 'allow' }, value: staged.changed.allow },
      { labels: { verdict: 'deny' }, value: staged.changed.deny },
    ],
  );
}
