// Flow records within the agent: the thread that reads the kernel's counters, the directory of names, and the recorder.

import type { SyncerUpdate } from '../../lib/datastore/syncer-contract.ts';
import type { Startable } from '../../lib/lifecycle/startable.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import type { Dataplane } from '../felix/dataplane/dataplane.ts';
import { EndpointDirectory } from '../felix/flows/endpoint-directory.ts';
import { FlowReader } from '../felix/flows/flow-reader.ts';
import { FlowRecorder } from '../felix/flows/flow-recorder.ts';
import { RuleSourceIndex } from '../felix/flows/rule-source-index.ts';
import { StagedReplacements } from '../felix/flows/staged-replacements.ts';

export interface NodeFlowsOptions {
  readonly node: string;
  readonly dataplane: Dataplane;
  /** Path of the reader thread's program. */
  readonly program: string;
  readonly logger: Logger;
  /** Of the reader thread; the process's own if left out. */
  readonly networkNamespace?: string;
  readonly intervalMs?: number;
}

export class NodeFlows implements Startable {
  readonly recorder: FlowRecorder;
  readonly #reader: FlowReader;
  readonly #directory = new EndpointDirectory(() => performance.now());
  readonly #ruleSources = new RuleSourceIndex();
  readonly #replacements = new StagedReplacements();
  readonly #dataplane: Dataplane;

  constructor(options: NodeFlowsOptions) {
    const { node, dataplane, program, logger, networkNamespace, intervalMs } = options;
    this.#dataplane = dataplane;
    this.#reader = new FlowReader({
      program,
      ...(networkNamespace === undefined ? {} : { networkNamespace }),
    });
    this.recorder = new FlowRecorder({
      host: node,
      source: {
        state: dataplane.state,
        get epochs() {
          return dataplane.table.presentEpochs;
        },
        get adoptedEpoch() {
          return dataplane.table.adoptedEpoch;
        },
        meaningOf: (epoch, ruleId) => dataplane.meaningOf(epoch, ruleId),
        epochOf: (generation) => dataplane.epochOf(generation),
      },
      directory: this.#directory,
      sourceOf: this.#ruleSources.sourceOf,
      reader: this.#reader,
      logger,
      ...(intervalMs === undefined ? {} : { intervalMs }),
    });
  }

  readonly onResource = (key: string, kind: string, resource: Resource | undefined): void => {
    this.#directory.onResource(key, kind, resource);
    this.#ruleSources.onResource(key, kind, resource);
    if (this.#replacements.onResource(key, resource))
      this.#dataplane.setReplacedByStaged(this.#replacements.keys);
  };

  /** Of the keys under RULE_SOURCES_ROOT. */
  onRuleSources(updates: readonly SyncerUpdate[]): void {
    this.#ruleSources.onRecords(updates);
  }

  async start(): Promise<void> {
    await this.recorder.start();
  }

  async stop(): Promise<void> {
    const stopped = this.recorder.stop();
    await this.#reader.stop();
    await stopped;
  }
}
