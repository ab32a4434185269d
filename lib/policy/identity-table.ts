// Identities and who carries them: each distinct pair of labels and named ports (or service and its ports) gets a number, each network the numbers of
// all endpoints and sets that hold it (vocabulary: compiled.ts).

import { type Family, type IpAddress, netmask, parseCidr } from '../net/ip.ts';
import type { Labels } from '../selector/expression.ts';
import type { Identity, IdentityId, IdentityPort } from './compiled.ts';
import { identityKey } from './labels.ts';

/** Networks of one family and length, by their base. */
interface Level {
  readonly family: Family;
  readonly length: number;
  readonly identitiesByBase: Map<bigint, Set<IdentityId>>;
}

export class IdentityTable {
  private readonly identityByKey = new Map<string, Identity>();
  private readonly identityById = new Map<IdentityId, Identity>();
  private readonly identitiesByNet = new Map<string, Set<IdentityId>>();
  private readonly levels = new Map<string, Level>();

  /** The identity of these labels and ports, a new one if there is none yet. Numbers count up from 1. */
  intern(labels: Labels, ports: readonly IdentityPort[], service?: string): Identity {
    const key = identityKey(labels, ports, service);
    const known = this.identityByKey.get(key);
    if (known !== undefined) return known;
    const ofService = service === undefined ? {} : { service };
    const identity: Identity = { id: this.identityById.size + 1, labels, ports, ...ofService };
    this.identityByKey.set(key, identity);
    this.identityById.set(identity.id, identity);
    return identity;
  }

  /** `net` is a canonical CIDR. */
  addMember(net: string, identity: IdentityId): void {
    const cidr = parseCidr(net);
    if (cidr === undefined) throw new Error(`not a network: ${net}`);
    const levelKey = `${cidr.family}/${cidr.length}`;
    const { family, length } = cidr;
    const level = this.levels.get(levelKey) ?? { family, length, identitiesByBase: new Map() };
    this.levels.set(levelKey, level);
    const identities = level.identitiesByBase.get(cidr.base) ?? new Set();
    level.identitiesByBase.set(cidr.base, identities.add(identity));
    this.identitiesByNet.set(net, identities);
  }

  /** Every identity that the address carries: its own and those of the networks around it. */
  identitiesOf(address: IpAddress): Identity[] {
    const found = new Set<IdentityId>();
    for (const { family, length, identitiesByBase } of this.levels.values()) {
      if (family !== address.family) continue;
      for (const id of identitiesByBase.get(address.value & netmask(family, length)) ?? []) found.add(id);
    }
    return [...found].flatMap((id) => this.identityById.get(id) ?? []);
  }

  get identities(): ReadonlyMap<IdentityId, Identity> {
    return this.identityById;
  }

  /** By canonical CIDR. */
  get members(): ReadonlyMap<string, ReadonlySet<IdentityId>> {
    return this.identitiesByNet;
  }
}
