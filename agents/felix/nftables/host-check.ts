// Looks at what the host is besides our table: versions once at start, others' chains at start and after each of their changes; and
// keeps our accepts in those that would drop what policy allows (docs/dataplane.md "Other tables").

import { release } from 'node:os';
import type { EventSink } from '../../../lib/events/event.ts';
import type { Logger } from '../../../lib/logging/logger.ts';
import { type FelixSettings, OWN_PREFIX } from '../calc/felix-settings.ts';
import { DataplaneError } from '../dataplane/dataplane-error.ts';
import { KernelWriteError } from '../kernel/kernel-error.ts';
import type { KernelWriterClient } from '../kernel/writer-client.ts';
import {
  type ForeignRules,
  foreignRules,
  NO_FOREIGN_RULES,
  nftVersion,
  OWN_COMMENT,
} from './render/foreign-rules.ts';
import {
  type AcceptChange,
  type AcceptSettings,
  acceptChanges,
  droppingProblems,
} from './render/forward-accepts.ts';
import { TABLE_NAME } from './render/layout.ts';
import { versionProblems } from './render/supported-versions.ts';

export interface HostCheckOptions {
  readonly writer: Pick<KernelWriterClient, 'nft' | 'nftQuery' | 'othersRuleset'>;
  readonly logger: Logger;
  readonly events: EventSink;
  /** Milliseconds of a monotonic clock. */
  readonly nowMs: () => number;
}

/** What of the settings counts here. */
export type HostCheckSettings = AcceptSettings & Pick<FelixSettings, 'interfacePrefixes' | 'scratch'>;

/** Of its time at most one part in so many goes into looking: somebody may change large rulesets all the time. */
const LOOK_SHARE = 20;
/** How long a rule that the kernel refuses is left alone. */
const RETRY_MS = 10_000;

export class HostCheck {
  readonly #options: HostCheckOptions;
  #foreign: ForeignRules = NO_FOREIGN_RULES;
  /** What was looked at last: how many changes of others, under which settings. */
  #looked: { readonly rulesetWrites: number; readonly settings: string } | undefined;
  #retryAtMs = Number.POSITIVE_INFINITY;
  /** Others' changes wait until then. */
  #nextLookAtMs = 0;
  /** Chains that have had accepts of ours: what is missing there was taken away. */
  readonly #acceptedIn = new Set<string>();
  /** What has been warned of. */
  readonly #told = new Set<string>();
  #repairs = 0;

  constructor(options: HostCheckOptions) {
    this.#options = options;
  }

  /** Throws DataplaneError `unsupportedHost`. */
  async start(): Promise<void> {
    const nft = nftVersion(await this.#options.writer.nftQuery('list tables', 'terseJson'));
    const { error, warning } = versionProblems(release(), nft);
    if (error !== undefined) throw new DataplaneError({ code: 'unsupportedHost', reason: error });
    if (warning !== undefined) this.#options.logger.warn(warning);
  }

  /** Sentences: why what policy allows does not pass this host. */
  get problems(): readonly string[] {
    return droppingProblems(this.#foreign);
  }

  /** How often accepts of ours that others had taken away were put back. */
  get repairs(): number {
    return this.#repairs;
  }

  /**
   * `rulesetWrites`: how many changes of others' chains and rules have been seen; they are read when there are more. `settings` undefined: they
   * are not known yet, and nothing is written.
   */
  async look(rulesetWrites: number, settings: HostCheckSettings | undefined): Promise<void> {
    const now = { rulesetWrites, settings: JSON.stringify(settings) };
    const isSame =
      now.rulesetWrites === this.#looked?.rulesetWrites && now.settings === this.#looked.settings;
    const startedAtMs = this.#options.nowMs();
    if (isSame && startedAtMs < this.#retryAtMs) return;
    if (now.settings === this.#looked?.settings && startedAtMs < this.#nextLookAtMs) return;
    this.#retryAtMs = Number.POSITIVE_INFINITY;
    const prefixes = settings?.interfacePrefixes ?? [OWN_PREFIX];
    let rules = await this.#list(prefixes);
    if (settings !== undefined) {
      const changes = acceptChanges(rules, settings);
      await this.#perform(changes);
      if (changes.length > 0) rules = await this.#list(prefixes);
    }
    this.#looked = now;
    const endedAtMs = this.#options.nowMs();
    this.#nextLookAtMs = endedAtMs + (endedAtMs - startedAtMs) * LOOK_SHARE;
    for (const { table, name } of rules.ownAccepts) this.#acceptedIn.add(`${table} ${name}`);
    this.#tell(rules, settings);
    this.#foreign = rules;
  }

  async #list(prefixes: readonly string[]): Promise<ForeignRules> {
    return foreignRules(await this.#options.writer.othersRuleset(TABLE_NAME, OWN_COMMENT), prefixes);
  }

  /** One by one: what one chain refuses is no matter of another's. */
  async #perform(changes: readonly AcceptChange[]): Promise<void> {
    const { writer, logger, events, nowMs } = this.#options;
    const added = new Map<string, number>();
    for (const { change, chain, text } of changes) {
      try {
        await writer.nft(text);
        logger.info('accept of workloads in a chain of others', { change, chain });
        if (change === 'add') added.set(chain, (added.get(chain) ?? 0) + 1);
        else this.#acceptedIn.delete(chain);
      } catch (error) {
        if (!(error instanceof KernelWriteError) || error.type.code !== 'refused') throw error;
        logger.warn('accept of workloads refused by the kernel', { change, chain, error });
        this.#retryAtMs = nowMs() + RETRY_MS;
      }
    }
    for (const [chain, count] of added) {
      if (this.#acceptedIn.has(chain)) {
        this.#repairs++;
        const cause = 'accepts of workloads were taken away';
        events.emit({ component: 'agent', kind: 'driftRepaired', object: chain, count, cause });
      }
      this.#acceptedIn.add(chain);
    }
  }

  #tell(rules: ForeignRules, settings: HostCheckSettings | undefined): void {
    const known = new Set(this.problems);
    for (const problem of droppingProblems(rules))
      if (!known.has(problem)) this.#options.logger.warn(problem);
    this.#warnOnce(
      'others set ct marks: bits 20 to 31 are ours, and a flow that carries our number there passes',
      rules.ctMarkChains,
    );
    if (settings?.scratch === 'mark')
      this.#warnOnce(
        'others set packet marks, which are lost on the first packet of a flow of workloads: nftablesMarkMask says which bits are theirs',
        rules.packetMarkChains,
      );
  }

  #warnOnce(why: string, chains: readonly string[]): void {
    const text = `${why} ${chains.join()}`;
    if (chains.length === 0 || this.#told.has(text)) return;
    this.#told.add(text);
    this.#options.logger.warn(why, { chains });
  }
}
