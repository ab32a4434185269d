// Felix's metrics in Prometheus' text form: Calico's names where the meaning is the same (felix/calc/stats_collector.go,
// felix/dataplane/linux/int_dataplane.go); docs/felix.md "Metrics".

import type { SyncStatus } from '../../lib/datastore/syncer-contract.ts';
import type { MetricsText } from '../../lib/metrics/metrics-text.ts';
import type { Dataplane } from '../felix/dataplane/dataplane.ts';
import type { Felix } from './felix.ts';

export interface FelixNumbers {
  readonly node: string;
  readonly dataplane: Dataplane;
  readonly felix: Felix;
  readonly status: SyncStatus;
  readonly resyncs: number;
}

/** As Calico counts them. */
const SYNC_STATUS: Readonly<Record<SyncStatus, number>> = {
  waitForDatastore: 0,
  resyncInProgress: 1,
  inSync: 2,
};

export function felixMetrics(
  text: MetricsText,
  { node, dataplane, felix, status, resyncs }: FelixNumbers,
): void {
  const { state, table } = dataplane;
  const counts = felix.counts;
  const { updates, messages, flushes } = felix.stats;
  const { applies, failures } = dataplane.stats;
  text.gauge('felix_host', 'Name of this host, as a label.', [{ labels: { host: node }, value: 1 }]);
  const endpoints = state.endpoints.size + state.hostEndpoints.size;
  text.gauge('felix_active_local_endpoints', 'Active endpoints on this host.', endpoints);
  text.gauge('felix_active_local_policies', 'Active policies on this host.', state.policies.size);
  text.gauge('felix_active_local_selectors', 'Active selectors on this host.', state.selectors.size);
  text.gauge('felix_cluster_num_hosts', 'Hosts in the cluster.', state.hosts.size);
  text.gauge('felix_cluster_num_host_endpoints', 'Host endpoints in the cluster.', counts.hostEndpoints);
  text.gauge(
    'felix_cluster_num_workload_endpoints',
    'Workload endpoints in the cluster.',
    counts.workloadEndpoints,
  );
  text.gauge('felix_cluster_num_policies', 'Policies in the cluster.', counts.policies);
  text.gauge('felix_cluster_num_profiles', 'Profiles in the cluster.', counts.profiles);
  text.gauge('felix_cluster_num_tiers', 'Tiers in the cluster.', counts.tiers);
  text.gauge(
    'felix_resync_state',
    'How far the datastore is read: 0 waiting, 1 resync in progress, 2 in sync.',
    SYNC_STATUS[status],
  );
  text.counter('felix_resyncs_started', 'How often reading the datastore from the start was begun.', resyncs);
  text.summary(
    'felix_calc_graph_update_time_seconds',
    'Time that the calculation graph took for an update.',
    updates,
  );
  text.counter(
    'felix_calc_graph_updates_processed',
    'Datastore updates taken into the graph.',
    updates.count,
  );
  text.counter('felix_calc_graph_output_events', 'Messages from the graph to the dataplane.', messages);
  text.counter('felix_calc_graph_flushes_total', 'Flushes of the graph that had messages.', flushes);
  text.summary(
    'felix_int_dataplane_apply_time_seconds',
    'Time that bringing the kernel up to date took.',
    applies,
  );
  text.counter(
    'felix_int_dataplane_failures',
    'Rounds of the dataplane that failed and were tried again.',
    failures,
  );
  text.counter('felix_int_dataplane_messages', 'Messages taken by the dataplane.', messages);
  text.counter(
    'felix_drift_repaired_total',
    'How often what others had changed in the kernel was put right.',
    dataplane.repairs,
  );
  text.gauge('felix_acknowledged_revision', 'etcd revision that the kernel has.', felix.acknowledgedRevision);
  text.gauge('felix_ruleset_generation', 'Generation of the ruleset.', table.generation);
}
