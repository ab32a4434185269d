// Plays one recorded history of allocation (test/conformance/model/ipam-scenarios.json) on any datastore and checks every
// step. What a field means is in test/conformance/model/SOURCE.md.

import { expect } from '@jest/globals';
import type { Datastore } from '../../lib/datastore/datastore.ts';
import { Ipam } from '../../lib/ipam/allocator.ts';
import { createBlock } from '../../lib/ipam/block.ts';
import { DEFAULT_SETTINGS, encodeAffinity, encodeBlock } from '../../lib/ipam/block-json.ts';
import { IpamError, type IpamErrorType } from '../../lib/ipam/errors.ts';
import type { AffinityOwner, AssignedAddress, IntendedUse, IpamSettings } from '../../lib/ipam/types.ts';
import type { IPPoolSpec } from '../../lib/model/endpoint-types.ts';
import { blockAffinityKey, blockKey, IPAM_CONFIG_KEY } from '../../lib/model/ipam-keys.ts';
import { keyForResource, listPrefix } from '../../lib/model/keys.ts';
import { canonicalCidr, cidrContains, parseCidr, parseIp } from '../../lib/net/ip.ts';

interface HostCase {
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
}

interface AddressCase {
  readonly ip?: string;
  readonly savedIP?: string;
  readonly handle?: string;
  readonly sequenceNumber?: number;
  readonly sequence?: string;
}

export interface StepCase {
  readonly do: string;
  readonly host?: string;
  readonly v4?: number;
  readonly v6?: number;
  readonly pools4?: readonly string[];
  readonly pools6?: readonly string[];
  readonly handle?: string;
  readonly use?: IntendedUse;
  readonly maxBlocks?: number;
  readonly maxPerHandle?: number;
  readonly save?: string;
  readonly ip?: string;
  readonly savedIP?: string;
  readonly attributes?: Readonly<Record<string, string>>;
  readonly addresses?: readonly AddressCase[];
  readonly saved?: string;
  readonly from?: number;
  readonly to?: number;
  readonly cidr?: string;
  readonly blockOf?: string;
  readonly mustBeEmpty?: boolean;
  readonly pools?: readonly (IPPoolSpec | string)[];
  readonly hosts?: readonly HostCase[];
  readonly reservations?: readonly (readonly string[])[];
  readonly config?: Partial<IpamSettings>;
  readonly as?: string;
  readonly expect?: Readonly<Record<string, unknown>>;
}

export interface ScenarioCase {
  readonly id: string;
  readonly name: string;
  readonly pools: readonly IPPoolSpec[];
  readonly hosts: readonly HostCase[];
  readonly config?: Partial<IpamSettings>;
  readonly reservations?: readonly (readonly string[])[];
  readonly blocks?: readonly {
    readonly cidr: string;
    readonly affinity?: string | null;
    readonly sequenceNumber?: number;
  }[];
  readonly affinities?: readonly { readonly cidr: string; readonly host: string; readonly state?: string }[];
  readonly steps: readonly StepCase[];
}

/** What a step did, in the terms of `expect`. */
interface Seen {
  error?: IpamError | undefined;
  values: Record<string, unknown>;
  addresses: AssignedAddress[];
}

const ERROR_CLASSES: Readonly<Record<string, readonly IpamErrorType['code'][]>> = {
  'no-pool': ['noPool', 'poolUnusable'],
  'block-limit': ['blockLimit'],
  'not-in-pool': ['notInPool'],
  exists: ['alreadyAssigned'],
  'use-not-allowed': ['useNotAllowed'],
  'handle-limit': ['handleLimit'],
  'not-found': ['handleNotFound', 'notAssigned', 'nodeNotFound'],
  'too-small': ['tooSmall'],
};

export async function playScenario(datastore: Datastore, scenario: ScenarioCase): Promise<void> {
  const player = new ScenarioPlayer(datastore, scenario);
  await player.prepare();
  for (const [index, step] of scenario.steps.entries()) {
    await player.play(step, `${scenario.id} step ${index + 1} (${step.do})`);
  }
}

class ScenarioPlayer {
  readonly #datastore: Datastore;
  readonly #scenario: ScenarioCase;
  readonly #ipam: Ipam;
  readonly #saved = new Map<string, AssignedAddress[]>();
  readonly #sequences = new Map<string, bigint>();
  #base: bigint | undefined;

  constructor(datastore: Datastore, scenario: ScenarioCase) {
    this.#datastore = datastore;
    this.#scenario = scenario;
    this.#ipam = new Ipam({ datastore, random: () => 0 });
  }

  async prepare(): Promise<void> {
    const { pools, hosts, config, reservations, blocks = [], affinities = [] } = this.#scenario;
    await this.#setPools(pools);
    await this.#setHosts(hosts);
    await this.#setReservations(reservations ?? []);
    if (config !== undefined) await this.#ipam.setSettings({ ...DEFAULT_SETTINGS, ...config });
    for (const { cidr, affinity, sequenceNumber } of blocks) {
      const parsed = parseCidr(cidr);
      if (parsed === undefined) throw new Error(`${cidr} is no network`);
      const block = createBlock(parsed, undefined, Date.now());
      block.affinity = affinity ?? null;
      if (sequenceNumber !== undefined) block.sequenceNumber = BigInt(sequenceNumber);
      await this.#put(blockKey(cidr), encodeBlock(block));
    }
    for (const { cidr, host, state } of affinities) {
      await this.#put(blockAffinityKey(host, cidr), encodeAffinity((state ?? 'confirmed') as 'confirmed'));
    }
  }

  async play(step: StepCase, title: string): Promise<void> {
    const seen = await this.#perform(step);
    const expected = step.expect ?? {};
    this.#checkError(expected['error'], seen.error, title);
    for (const [name, value] of Object.entries(expected)) {
      if (name === 'error') continue;
      expect([title, name, normalise(await this.#observe(name, value, seen, step))]).toEqual([
        title,
        name,
        normalise(this.#wanted(name, value)),
      ]);
    }
  }

  #checkError(expected: unknown, error: IpamError | undefined, title: string): void {
    if (expected === undefined || expected === false) {
      expect([title, error?.message]).toEqual([title, undefined]);
    } else if (expected === true) {
      expect([title, error instanceof IpamError]).toEqual([title, true]);
    } else {
      expect([title, ERROR_CLASSES[String(expected)]?.includes(error?.type.code ?? 'busy')]).toEqual([
        title,
        true,
      ]);
    }
  }

  async #perform(step: StepCase): Promise<Seen> {
    try {
      return (await this.#steps[step.do]?.(step)) ?? unknownStep(step);
    } catch (error) {
      if (error instanceof IpamError) return { error, values: {}, addresses: [] };
      throw error;
    }
  }

  #host(step: StepCase): string {
    return step.host ?? this.#scenario.hosts[0]?.name ?? '';
  }

  #owner(step: StepCase): AffinityOwner {
    return { type: 'host', host: this.#host(step) };
  }

  readonly #steps: Readonly<Record<string, (step: StepCase) => Promise<Seen>>> = {
    'auto-assign': (step) => this.#autoAssign(step),
    'assign-ip': (step) => this.#assignIp(step),
    release: (step) => this.#release(step),
    'release-by-handle': async (step) => {
      const released = await this.#ipam.releaseByHandle(step.handle ?? '');
      return plain({ released: released.length });
    },
    'ips-by-handle': async (step) => {
      const addresses = await this.#ipam.ipsByHandle(step.handle ?? '');
      return plain({ count: addresses.length, addresses });
    },
    attributes: async (step) => {
      const owner = await this.#ipam.ownerOfAddress(step.ip ?? this.#savedIp(step.savedIP));
      return plain({ handle: owner.handle ?? null, owner: owner.attributes });
    },
    'claim-affinity': async (step) => {
      const { claimed, failed } = await this.#ipam.claimAffinity(step.cidr ?? '', this.#owner(step));
      return plain({ claimed: claimed.length, failed: failed.length });
    },
    'release-affinity': async (step) => {
      const block = this.#savedBlock(step.blockOf);
      await this.#ipam.releaseAffinity(block, this.#owner(step), step.mustBeEmpty ?? false);
      return plain({});
    },
    'release-block-affinity': async (step) => {
      const block = this.#savedBlock(step.blockOf);
      // Without a host: whoever owns it.
      const cidr = parseCidr(block);
      if (cidr === undefined) throw new Error(`${block} is no network`);
      const stored = (await this.#ipam.store.read({ blocks: [cidr] })).blocks[0]?.value;
      const host = step.host ?? stored?.affinity?.replace(/^host:/, '') ?? this.#host(step);
      await this.#ipam.releaseBlockAffinity(block, { type: 'host', host }, step.mustBeEmpty ?? false);
      return plain({});
    },
    'release-host-affinities': async (step) => {
      await this.#ipam.releaseHostAffinities(this.#owner(step), step.mustBeEmpty ?? false);
      return plain({});
    },
    'remove-host': async (step) => {
      await this.#ipam.removeHost(this.#host(step));
      return plain({});
    },
    'release-pool-affinities': async (step) => {
      await this.#ipam.releasePoolAffinities(step.cidr ?? '');
      return plain({});
    },
    'set-pools': async (step) => {
      await this.#setPools((step.pools ?? []) as IPPoolSpec[]);
      return plain({});
    },
    'set-hosts': async (step) => {
      await this.#setHosts(step.hosts ?? []);
      return plain({});
    },
    'set-reservations': async (step) => {
      await this.#setReservations(step.reservations ?? []);
      return plain({});
    },
    'set-config': async (step) => {
      await this.#ipam.setSettings({ ...DEFAULT_SETTINGS, ...step.config });
      return plain({});
    },
    'note-sequence': async (step) => {
      const { sequenceNumber } = await this.#ipam.ownerOfAddress(this.#savedIp(step.savedIP));
      this.#sequences.set(step.as ?? '', sequenceNumber);
      return plain({});
    },
    usage: (step) => this.#usage(step),
    'get-config': async () => {
      const settings = await this.#ipam.settings();
      const { kv } = await this.#datastore.get(IPAM_CONFIG_KEY);
      return plain({ ...settings, stored: kv !== undefined });
    },
    count: async () => plain({}),
  };

  async #autoAssign(step: StepCase): Promise<Seen> {
    const { v4, v6 } = await this.#ipam.autoAssign({
      host: this.#host(step),
      use: step.use ?? 'Workload',
      v4: step.v4 ?? 0,
      v6: step.v6 ?? 0,
      ...(step.pools4 === undefined ? {} : { pools4: step.pools4 }),
      ...(step.pools6 === undefined ? {} : { pools6: step.pools6 }),
      ...(step.handle === undefined ? {} : { handle: step.handle }),
      ...(step.maxBlocks === undefined ? {} : { maxBlocksPerHost: step.maxBlocks }),
      ...(step.maxPerHandle === undefined ? {} : { maxPerHandle: step.maxPerHandle }),
      ...(step.attributes === undefined ? {} : { attributes: step.attributes }),
    });
    const addresses = [...v4.addresses, ...v6.addresses];
    expect(new Set(addresses.map(({ ip }) => ip)).size).toBe(addresses.length);
    if (step.save !== undefined) this.#saved.set(step.save, addresses);
    this.#base ??= addresses[0]?.sequenceNumber;
    // Fewer addresses than wanted are no error by themselves; any other problem is.
    const problem = [v4.problem, v6.problem].find(
      (found) => found !== undefined && found.type.code !== 'exhausted',
    );
    return { error: problem, values: { v4: v4.addresses.length, v6: v6.addresses.length }, addresses };
  }

  async #assignIp(step: StepCase): Promise<Seen> {
    const assigned = await this.#ipam.assignIp({
      host: this.#host(step),
      ip: step.ip ?? this.#savedIp(step.savedIP),
      ...(step.handle === undefined ? {} : { handle: step.handle }),
      ...(step.use === undefined ? {} : { use: step.use }),
      ...(step.maxPerHandle === undefined ? {} : { maxPerHandle: step.maxPerHandle }),
      ...(step.attributes === undefined ? {} : { attributes: step.attributes }),
    });
    if (step.save !== undefined) this.#saved.set(step.save, [assigned]);
    return { values: {}, addresses: [assigned] };
  }

  async #release(step: StepCase): Promise<Seen> {
    const requests =
      step.saved === undefined
        ? (step.addresses ?? []).map((address) => ({
            ip: address.ip ?? this.#savedIp(address.savedIP),
            ...(address.handle === undefined ? {} : { handle: address.handle }),
            ...this.#sequenceOf(address),
          }))
        : this.#savedAddresses(step.saved)
            .slice(step.from ?? 0, step.to)
            .map(({ ip }) => ({ ip }));
    const { released, unallocated, problems } = await this.#ipam.release(requests);
    return { error: problems[0], values: { released: released.length, unallocated }, addresses: [] };
  }

  #sequenceOf(address: AddressCase): { sequenceNumber?: bigint } {
    if (address.sequence !== undefined) return { sequenceNumber: this.#sequence(address.sequence) };
    return address.sequenceNumber === undefined ? {} : { sequenceNumber: BigInt(address.sequenceNumber) };
  }

  /** `base + N`, or a noted name. */
  #sequence(text: string): bigint {
    const match = /^base \+ (\d+)$/.exec(text);
    if (match !== null && this.#base !== undefined) return this.#base + BigInt(match[1] ?? 0);
    const noted = this.#sequences.get(text);
    if (noted === undefined) throw new Error(`no sequence number ${text}`);
    return noted;
  }

  async #usage(step: StepCase): Promise<Seen> {
    const { pools } = await this.#ipam.usage((step.pools ?? []).map(String));
    const shown = pools.map(({ cidr, capacity, inUse, reserved, available, blocks }) => ({
      cidr,
      capacity: Number(capacity),
      inUse,
      reserved: Number(reserved),
      available: Number(available),
      blocks: blocks.map((block) => ({
        cidr: block.cidr,
        capacity: block.capacity,
        inUse: block.inUse,
        reserved: block.reserved,
        available: block.available,
      })),
    }));
    return plain({ pools: shown });
  }

  #savedAddresses(name: string): AssignedAddress[] {
    return name === '*' ? [...this.#saved.values()].flat() : (this.#saved.get(name) ?? []);
  }

  #savedIp(name: string | undefined): string {
    const ip = this.#savedAddresses(name ?? '')[0]?.ip;
    if (ip === undefined) throw new Error(`nothing saved as ${name}`);
    return ip;
  }

  #savedBlock(name: string | undefined): string {
    const block = this.#savedAddresses(name ?? '')[0]?.block;
    if (block === undefined) throw new Error(`nothing saved as ${name}`);
    return block;
  }

  #wanted(name: string, value: unknown): unknown {
    if (name === 'within4' || name === 'within6' || name === 'notWithin4') return true;
    if (name === 'sameBlockAs' || name === 'otherBlockThan' || name === 'differsFrom' || name === 'oneOf')
      return true;
    if (name === 'sequence') return String(this.#sequence(String(value)));
    if (name === 'sameAs') return this.#savedAddresses(String(value)).map(({ ip }) => ip);
    return value;
  }

  async #observe(name: string, value: unknown, seen: Seen, step: StepCase): Promise<unknown> {
    const ips = seen.addresses.map(({ ip }) => ip);
    const names = (Array.isArray(value) ? value : [value]).map(String);
    switch (name) {
      case 'within4':
        return ips.filter((ip) => !ip.includes(':')).every((ip) => isWithin(ip, names));
      case 'within6':
        return ips.filter((ip) => ip.includes(':')).every((ip) => isWithin(ip, names));
      case 'notWithin4':
        return ips.filter((ip) => !ip.includes(':')).every((ip) => !isWithin(ip, names));
      case 'fromOwnBlocks':
        return (await this.#areOwn(seen, step)).filter((isOwn) => isOwn).length;
      case 'borrowed':
        return (await this.#areOwn(seen, step)).filter((isOwn) => !isOwn).length;
      case 'sameBlockAs':
        return seen.addresses[0]?.block === this.#savedBlock(String(value));
      case 'otherBlockThan':
        return seen.addresses[0]?.block !== this.#savedBlock(String(value));
      case 'sameAs':
        return ips;
      case 'differsFrom':
        return names.every((other) => this.#savedAddresses(other).every(({ ip }) => !ips.includes(ip)));
      case 'oneOf':
        return names.some((other) => {
          const saved = this.#savedAddresses(other).map(({ ip }) => ip);
          return ips.length > 0 && ips.every((ip) => saved.includes(ip));
        });
      case 'sequence':
        return String(seen.addresses[0]?.sequenceNumber);
      case 'blocks':
        return (await this.#ipam.store.listBlocks(undefined)).length;
      case 'affinities':
        return this.#affinities(4, Object.keys(value as object));
      case 'affinities6':
        return this.#affinities(6, Object.keys(value as object));
      case 'allAffinities':
        return (await this.#ipam.store.listAllAffinities()).length;
      default:
        return seen.values[name];
    }
  }

  async #areOwn(seen: Seen, step: StepCase): Promise<boolean[]> {
    const owned = await this.#ipam.store.listAffinities(this.#owner(step));
    const ip = (text: string) => parseIp(text) ?? { family: 4 as const, value: -1n };
    return seen.addresses.map((address) => owned.some(({ cidr }) => cidrContains(cidr, ip(address.ip))));
  }

  async #affinities(family: 4 | 6, hosts: readonly string[]): Promise<Record<string, number>> {
    const all = await this.#ipam.store.listAllAffinities();
    return Object.fromEntries(
      hosts.map((host) => [
        host,
        all.filter(({ owner, cidr }) => owner.host === host && cidr.family === family).length,
      ]),
    );
  }

  async #setPools(pools: readonly IPPoolSpec[]): Promise<void> {
    await this.#replace(
      'IPPool',
      pools.map((spec, index) => ({
        metadata: { name: `pool-${index}` },
        spec: {
          nodeSelector: 'all()',
          allowedUses: ['Workload', 'Tunnel'],
          assignmentMode: 'Automatic',
          ...spec,
        },
      })),
    );
  }

  async #setHosts(hosts: readonly HostCase[]): Promise<void> {
    await this.#replace(
      'Node',
      hosts.map(({ name, labels }) => ({ metadata: { name, labels: labels ?? {} }, spec: {} })),
    );
  }

  async #setReservations(reservations: readonly (readonly string[])[]): Promise<void> {
    await this.#replace(
      'IPReservation',
      reservations.map((reservedCIDRs, index) => ({
        metadata: { name: `reservation-${index}` },
        spec: { reservedCIDRs },
      })),
    );
  }

  async #replace(
    kind: string,
    objects: readonly { readonly metadata: { readonly name: string } }[],
  ): Promise<void> {
    await this.#datastore.transact({
      compare: [],
      success: [{ type: 'deletePrefix', prefix: listPrefix(kind) }],
    });
    for (const object of objects) {
      const value = JSON.stringify({ apiVersion: 'projectcalico.org/v3', kind, ...object });
      await this.#put(keyForResource(kind, undefined, object.metadata.name), value);
    }
  }

  async #put(key: string, value: string): Promise<void> {
    await this.#datastore.transact({ compare: [], success: [{ type: 'put', key, value }] });
  }
}

function plain(values: Record<string, unknown>): Seen {
  return { values, addresses: [] };
}

function unknownStep(step: StepCase): never {
  throw new Error(`unknown step ${step.do}`);
}

function isWithin(ip: string, cidrs: readonly string[]): boolean {
  const address = parseIp(ip);
  return (
    address !== undefined &&
    cidrs.some((text) => {
      const cidr = parseCidr(text);
      return cidr !== undefined && cidrContains(cidr, address);
    })
  );
}

/** Lists whose order is free in order, networks in one spelling. */
function normalise(value: unknown): unknown {
  if (typeof value === 'string') return canonicalCidr(value) ?? value;
  if (Array.isArray(value)) {
    return value.map(normalise).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  }
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, entry]) => [name, normalise(entry)]));
  }
  return value;
}
