// The kernel writer: a small process, forked early by the agent, that does all of its kernel writes (docs/dataplane.md
// "Kernel writer"). One request at a time, in order. It ends when its channel closes.

import { constants } from 'node:os';
import { isNativeError } from 'node:util/types';
import { IpBatch, type IpBatchOptions } from '../../../lib/process/ip-batch.ts';
import { run } from '../../../lib/process/run.ts';
import {
  type ElementChange,
  type ElementQuery,
  type KernelAnswer,
  type KernelErrorType,
  type KernelRequest,
  kernelRequestSchema,
} from '../../../lib/protocol/kernel-writer.ts';
import { clearConntrackMarks, conntrackMarks, forgetFlows } from './conntrack.ts';
import { interfacesWith } from './interface-addresses.ts';
import { Libnftables } from './libnftables.ts';
import { elementBatch, getElement } from './netlink/element-messages.ts';
import { dumpRuleset } from './netlink/ruleset-messages.ts';
import { NetlinkError, NetlinkFamily, NetlinkSocket } from './netlink/socket.ts';
import { NetworkLists } from './network-lists.ts';
import { RuleWatch } from './rule-watch.ts';
import { RulesetGeneration } from './ruleset-generation.ts';
import { Wireguard } from './wireguard.ts';
import { WorkloadLinks, writeSysctls, wrongSysctls } from './workload-links.ts';

type Outcome =
  | { readonly output: string; readonly rulesetGeneration?: number }
  | { readonly error: KernelErrorType };

const COMMAND_TIMEOUT_MS = 20_000;
/** Of family inet: the only table that is written here (nftables/render/layout.ts). */
const TABLE_NAME = 'calico';

class KernelWriter {
  readonly #nftables = new Libnftables();
  readonly #rulesetGeneration = new RulesetGeneration();
  readonly #netfilter = new NetlinkSocket(NetlinkFamily.netfilter);
  readonly #rules = new RuleWatch(TABLE_NAME);
  readonly #links = new WorkloadLinks();
  readonly #lists = new NetworkLists();
  readonly #wireguard = new Wireguard();
  /** Its lines bear being done twice. */
  readonly #ip = new IpBatch({ whenEnded: 'tryEach' });
  #last: Promise<void> = Promise.resolve();

  /** Requests are answered in the order in which they came. */
  accept(message: unknown): void {
    const request = kernelRequestSchema.parse(message);
    this.#last = this.#last.then(() => this.#answer(request));
  }

  async #answer(request: KernelRequest): Promise<void> {
    const startedAt = performance.now();
    const outcome = await this.#perform(request).catch(
      (cause: Error): Outcome => ({
        error: { code: 'commandFailed', command: request.op, message: String(cause.message) },
      }),
    );
    const durationMs = Math.round((performance.now() - startedAt) * 100) / 100;
    const answer: KernelAnswer =
      'error' in outcome
        ? { id: request.id, ok: false, error: outcome.error, durationMs }
        : { id: request.id, ok: true, ...outcome, durationMs };
    // Who asked may have gone meanwhile: `disconnect` ends this process then.
    process.send?.(answer, undefined, undefined, () => undefined);
  }

  async #perform(request: KernelRequest): Promise<Outcome> {
    switch (request.op) {
      case 'nft':
        return this.#nft(request);
      case 'elements':
        return this.#elements(request);
      case 'hasElements': {
        const { table, queries } = request;
        return { output: String(queries.every((query) => this.#hasElement(table, query))) };
      }
      case 'rulesetGeneration':
        return this.#withGeneration('');
      case 'foreignRules':
        return this.#withGeneration(JSON.stringify(this.#rules.take()));
      case 'othersRuleset':
        return { output: JSON.stringify(dumpRuleset(this.#netfilter, request)) };
      case 'ip':
        return ipOutcome(await this.#ip.run(request.lines));
      case 'ip6':
        return ipOutcome(await linesOf({ program: 'ip', family: 6 }, request.lines));
      case 'bridge':
        return ipOutcome(await linesOf({ program: 'bridge' }, request.lines));
      case 'list':
        return await attempted('list', () => JSON.stringify(this.#lists.list(request.query)));
      case 'bridgeQuery':
        return await command('bridge', request.args);
      case 'wireguardKey':
        return await attempted('wg', () => this.#wireguard.key(request.keyFile));
      case 'configureWireguard':
        return await attempted('wg', async () => {
          await this.#wireguard.configure(request.device, request.keyFile, request.configuration);
          return '';
        });
      case 'showWireguard':
        return await attempted('wg', () => this.#wireguard.show(request.device));
      case 'sysctl':
        writeSysctls(request.entries);
        return { output: '' };
      case 'wrongSysctls':
        return { output: JSON.stringify(wrongSysctls(request.entries)) };
      case 'makePair':
        this.#links.makePair(request.pair);
        return { output: '' };
      case 'addressPod':
        this.#links.addressPod(request.parts);
        return { output: '' };
      case 'deleteLink':
        this.#links.deleteLink(request.interfaceName);
        return { output: '' };
      case 'linkState': {
        const { interfaceName, addresses, routeProtocol } = request;
        return { output: JSON.stringify(this.#links.state(interfaceName, addresses, routeProtocol)) };
      }
      case 'interfacesWith':
        return { output: JSON.stringify(interfacesWith(request.addresses)) };
      case 'conntrackMarks':
        return await attempted('conntrack dump', () => [...conntrackMarks(request.mask)].join('\n'));
      case 'clearConntrackMarks':
        return await attempted('conntrack update', () => {
          clearConntrackMarks(request.mask, request.keep);
          return '';
        });
      case 'forgetFlows':
        return await attempted('conntrack delete', () => {
          forgetFlows(request.addresses);
          return '';
        });
    }
  }

  #nft(request: Extract<KernelRequest, { op: 'nft' }>): Outcome {
    const result = this.#nftables.run(request.text, request);
    if (!result.ok) return { error: { code: 'refused', message: result.error } };
    if (!request.isCheck && request.text.startsWith('add table')) this.#rules.afterOwnCommit(request.text);
    return this.#withGeneration(result.output);
  }

  /** What cannot be encoded is refused before the kernel sees any of it. */
  #elements({ table, changes }: Extract<KernelRequest, { op: 'elements' }>): Outcome {
    try {
      this.#netfilter.batch(elementBatch(table, changes));
      // What the kernel told of it makes room for what it tells of others.
      this.#rules.afterOwnCommit('');
    } catch (error) {
      const { message } = error as Error;
      return { error: { code: 'refused', message: `elements of ${setNames(changes)}: ${message}` } };
    }
    return this.#withGeneration('');
  }

  #hasElement(table: string, query: ElementQuery): boolean {
    try {
      return this.#netfilter.request(getElement(table, query)) !== undefined;
    } catch (error) {
      // Nor is anything in a set, or a table, that is not there.
      if (error instanceof NetlinkError && error.type.errno === constants.errno.ENOENT) return false;
      throw error;
    }
  }

  #withGeneration(output: string): Outcome {
    const rulesetGeneration = this.#rulesetGeneration.read();
    return rulesetGeneration === undefined ? { output } : { output, rulesetGeneration };
  }
}

function setNames(changes: readonly ElementChange[]): string {
  return [...new Set(changes.map(({ set }) => set))].slice(0, 5).join(', ');
}

/** With a process of its own: a `bridge` that lives on would not learn that a device has been made anew. */
async function linesOf(
  which: Pick<IpBatchOptions, 'program' | 'family'>,
  lines: readonly string[],
): Promise<Awaited<ReturnType<IpBatch['run']>>> {
  const batch = new IpBatch({ ...which, whenEnded: 'tryEach' });
  try {
    return await batch.run(lines);
  } finally {
    await batch.stop();
  }
}

async function attempted(command: string, work: () => Promise<string> | string): Promise<Outcome> {
  try {
    return { output: await work() };
  } catch (error) {
    return { error: { code: 'commandFailed', command, message: messageOf(error) } };
  }
}

function messageOf(error: unknown): string {
  return isNativeError(error) ? error.message : String(error);
}

function ipOutcome(failures: Awaited<ReturnType<IpBatch['run']>>): Outcome {
  if (failures.length === 0) return { output: '' };
  return { error: { code: 'linesFailed', failures: [...failures] } };
}

async function command(name: string, args: readonly string[]): Promise<Outcome> {
  const result = await run(name, args, {
    timeoutMs: COMMAND_TIMEOUT_MS,
    maxOutputBytes: 64 * 1024 * 1024,
  });
  if (result.code === 0) return { output: result.stdout };
  return { error: { code: 'commandFailed', command: [name, ...args].join(' '), message: result.stderr } };
}

function start(): void {
  const writer = new KernelWriter();
  process.on('message', (message) => writer.accept(message));
  // `ip` ends with its standard input.
  process.on('disconnect', () => process.exit(0));
  // A terminal's Ctrl-C goes to the whole process group: the agent, not the terminal, says when this ends.
  process.on('SIGINT', () => undefined);
  process.send?.({ ready: true, pid: process.pid, version: process.version });
}

start();
