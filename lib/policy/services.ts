// Services in rules (felix/serviceindex): the endpoints of a service's slices are identities of their own, which nothing but a
// match on that service selects. So a rule with `services` is compiled, evaluated and rendered like one with a selector
// (source) or with named ports (destination).

import { uniqueId } from '../model/unique-id.ts';
import type { StoredEndpointSlice } from '../protocol/endpoint-slices.ts';
import type { Labels } from '../selector/expression.ts';
import { labelEquals } from '../selector/rewrite.ts';
import type { Selector } from '../selector/selector.ts';
import type { Identity, IdentityPort, SelectorId } from './compiled.ts';
import { distinctNets } from './endpoints.ts';

/** The name of all ports of a service's endpoints. */
export const SERVICE_PORT = '';

const PROTOCOLS = { TCP: 6, UDP: 17, SCTP: 132 } as const;
const PORTS_PREFIX = 'svc';
const ADDRESSES_PREFIX = 'svcnoport';

/** Selects the endpoints of the service (`namespace/name`), as that side of a rule asks for them. */
export function serviceSelector(
  service: string,
  side: 'source' | 'destination',
): { readonly id: SelectorId; readonly selector: Selector; readonly service: string } {
  const prefix = side === 'source' ? ADDRESSES_PREFIX : PORTS_PREFIX;
  return { id: uniqueId(prefix, service), selector: labelEquals('service', service), service };
}

export function isServiceSelector(id: SelectorId): boolean {
  return id.startsWith(`${PORTS_PREFIX}:`) || id.startsWith(`${ADDRESSES_PREFIX}:`);
}

/** What selectors of its own sort see of an identity: of a service's endpoint nothing but the service. */
export function selectableLabels({ labels, service }: Pick<Identity, 'labels' | 'service'>): Labels {
  return service === undefined ? labels : { service };
}

/** Selectors over labels see endpoints and sets only, those of services only the endpoints of services. */
export function selects(id: SelectorId, selector: Selector, identity: Identity): boolean {
  const isOfService = identity.service !== undefined;
  return isServiceSelector(id) === isOfService && selector.matches(selectableLabels(identity));
}

/** What a slice gives to its service. */
export interface SliceMembers {
  readonly service: string;
  /** Canonical /32 and /128. */
  readonly nets: readonly string[];
  readonly ports: readonly IdentityPort[];
}

export function sliceMembers({ service, addresses, ports }: StoredEndpointSlice): SliceMembers {
  return {
    service,
    nets: distinctNets(addresses),
    ports: ports.map(({ protocol, port }) => ({ name: SERVICE_PORT, protocol: PROTOCOLS[protocol], port })),
  };
}
