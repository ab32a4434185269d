// What the node API answers, gathered from the agent's parts.

import type { SyncStatus } from '../../lib/datastore/syncer-contract.ts';
import type { EventLog } from '../../lib/events/event-log.ts';
import { MetricsText } from '../../lib/metrics/metrics-text.ts';
import type { Dataplane } from '../felix/dataplane/dataplane.ts';
import type { FlowRecorder } from '../felix/flows/flow-recorder.ts';
import type { BgpFeeder } from './bgp/feeder.ts';
import type { BgpdLink } from './bgpd-link.ts';
import type { Felix } from './felix.ts';
import { felixMetrics } from './felix-metrics.ts';
import { addFlowMetrics, flowStatus } from './flow-status.ts';
import type { NodeApiSources } from './node-api.ts';
import type { PluginMirror } from './plugin-mirror.ts';
import type { RecordStreams } from './record-streams.ts';
import { formatRules } from './rules-text.ts';

export interface NodeParts {
  readonly node: string;
  readonly events: EventLog;
  readonly dataplane: Dataplane;
  readonly felix: Felix;
  readonly flows: FlowRecorder;
  readonly streams: RecordStreams;
  readonly bgpd: BgpdLink;
  readonly feeder: BgpFeeder;
  readonly mirror: PluginMirror;
  readonly notReady: () => readonly string[];
  /** How far the datastore has been read, and how often that was begun. */
  readonly sync: () => { readonly status: SyncStatus; readonly resyncs: number };
}

export function nodeApiSources(parts: NodeParts): NodeApiSources {
  return {
    events: parts.events,
    flows: parts.flows.ring,
    flowStatus: () => flowStatus(parts.flows),
    streamGaps: () => parts.streams.gaps(),
    notReady: parts.notReady,
    notAlive: () => hangs(parts.dataplane),
    status: () => nodeStatus(parts),
    rules: async () => {
      const table = parts.dataplane.describe();
      return table === undefined ? 'nothing is programmed yet\n' : formatRules(table);
    },
    rib: (page) => parts.bgpd.rib(page),
    ribIn: (peer, page) => parts.bgpd.ribIn(peer, page),
    ribOut: (peer, page) => parts.bgpd.ribOut(peer, page),
    why: (prefix) => parts.bgpd.why(prefix),
    history: (peer, raw) => parts.bgpd.history(peer, raw),
    metrics: () => metricsText(parts),
  };
}

/** As Calico's watchdog of the dataplane's main loop. */
function hangs({ roundMs, state }: Dataplane): readonly string[] {
  const { watchdogMs } = state.felix;
  const isLate = watchdogMs > 0 && roundMs > watchdogMs;
  return isLate ? [`the dataplane has been at one round for ${Math.round(roundMs / 1000)} s`] : [];
}

async function nodeStatus({
  node,
  dataplane,
  felix,
  bgpd,
  feeder,
  mirror,
  notReady,
}: NodeParts): Promise<object> {
  const reasons = notReady();
  return {
    node,
    ready: reasons.length === 0,
    reasons,
    pid: process.pid,
    uptimeSeconds: Math.round(process.uptime()),
    felix: {
      revision: felix.acknowledgedRevision,
      endpoints: dataplane.state.endpoints.size,
      epoch: dataplane.table.epoch,
      generation: dataplane.table.generation,
      leftOut: [...dataplane.table.leftOut],
      refusedTunnels: dataplane.network.refusedTunnels,
      repairs: dataplane.repairs,
      lastError: dataplane.lastError === undefined ? null : String(dataplane.lastError),
    },
    plugin: { mirroredRevision: mirror.mirrored ?? null },
    ipam: { blocks: feeder.blocks },
    bgp: {
      ...(feeder.handover === undefined ? {} : { handover: feeder.handover }),
      ...(await bgpStatus(bgpd)),
    },
  };
}

async function bgpStatus(bgpd: BgpdLink): Promise<object> {
  try {
    return { configurationErrors: bgpd.configurationErrors, ...(await bgpd.status()) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

/** Prometheus text, bgpd's with it; names as Calico's where the meaning is the same. */
async function metricsText({
  node,
  dataplane,
  felix,
  flows,
  events,
  bgpd,
  sync,
}: NodeParts): Promise<string> {
  const bgp = await bgpd.metrics().catch(() => undefined);
  const text = new MetricsText();
  felixMetrics(text, { node, dataplane, felix, ...sync() });
  text.counter(
    'calico_events_lost_total',
    'Events that were overwritten before anybody read them.',
    events.ring.overwritten,
  );
  addFlowMetrics(text, flows);
  text.gauge('process_resident_memory_bytes', 'Resident memory of the agent.', process.memoryUsage.rss());
  text.gauge('calico_bgpd_up', '1 while bgpd answers.', bgp === undefined ? 0 : 1);
  return `${text.toString()}${bgp ?? ''}`;
}
