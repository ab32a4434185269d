// Looks at what the host is besides our table: versions once at start, others' chains at start and after each of their changes
// (docs/dataplane.md "Other tables").

import { release } from 'node:os';
import type { Logger } from '../../../lib/logging/logger.ts';
import { OWN_PREFIX } from '../calc/felix-settings.ts';
import { DataplaneError } from '../dataplane/dataplane-error.ts';
import type { KernelWriterClient } from '../kernel/writer-client.ts';
import { type ForeignRules, foreignRules, nftVersion } from './render/foreign-rules.ts';
import { versionProblems } from './render/supported-versions.ts';

export class HostCheck {
  readonly #writer: KernelWriterClient;
  readonly #logger: Logger;
  #foreign: ForeignRules = { droppingForwardChains: [], ctMarkChains: [] };
  #lookedAfter: number | undefined;

  constructor(writer: KernelWriterClient, logger: Logger) {
    this.#writer = writer;
    this.#logger = logger;
  }

  /** Throws DataplaneError `unsupportedHost`. */
  async start(): Promise<void> {
    const nft = nftVersion(await this.#writer.nftQuery('list tables', 'terseJson'));
    const { error, warning } = versionProblems(release(), nft);
    if (error !== undefined) throw new DataplaneError({ code: 'unsupportedHost', reason: error });
    if (warning !== undefined) this.#logger.warn(warning);
  }

  /** Sentences: why what policy allows does not pass this host. */
  get problems(): readonly string[] {
    return this.#foreign.droppingForwardChains.map(
      (chain) =>
        `chain "${chain}" drops what is forwarded, whatever policy allows: accept iifname "${OWN_PREFIX}*" and oifname "${OWN_PREFIX}*" there (in DOCKER-USER if it is Docker's)`,
    );
  }

  /** `foreignWrites`: how many changes by others have been seen; the ruleset is listed when there are more. */
  async look(foreignWrites: number): Promise<void> {
    if (foreignWrites === this.#lookedAfter) return;
    const ruleset = await this.#writer.nftQuery('list ruleset', 'terseJson');
    this.#lookedAfter = foreignWrites;
    const before = this.#foreign;
    this.#foreign = foreignRules(ruleset, OWN_PREFIX);
    const { droppingForwardChains, ctMarkChains } = this.#foreign;
    if (droppingForwardChains.join() !== before.droppingForwardChains.join())
      for (const problem of this.problems) this.#logger.warn(problem);
    if (ctMarkChains.length > 0 && ctMarkChains.join() !== before.ctMarkChains.join())
      this.#logger.warn(
        'others set ct marks: bits 20 to 31 are ours, and a flow that carries our number there passes',
        {
          chains: ctMarkChains,
        },
      );
  }
}
