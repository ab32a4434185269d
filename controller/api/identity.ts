// Who asks, and what they may do (docs/api.md "Identity"): client certificates of our CA alone. No anonymous access, no
// impersonation, no RBAC objects: `system:masters` may do all, nodes what a node needs, `system:readers` read. Secrets are
// for masters; a node gets those that BGP resources name, one at a time.

import type { TLSSocket } from 'node:tls';
import { BGP_SECRET_NAMESPACE } from '../../lib/model/kubernetes-service-types.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { ApiError } from './api-error.ts';
import type { Verb } from './api-kind.ts';

export interface User {
  readonly name: string;
  readonly groups: readonly string[];
}

const MASTERS = 'system:masters';
const NODES = 'system:nodes';
const READERS = 'system:readers';
const LEASE_NAMESPACE = 'kube-node-lease';

/** A connection has one certificate for its life, and reading it takes longer than most of a request. */
const users = new WeakMap<TLSSocket, User>();

/** The user of a verified client certificate: CN the name, each O a group. Undefined without one. */
export function authenticate(socket: TLSSocket): User | undefined {
  const known = users.get(socket);
  if (known !== undefined) return known;
  const user = readUser(socket);
  if (user !== undefined) users.set(socket, user);
  return user;
}

function readUser(socket: TLSSocket): User | undefined {
  if (!socket.authorized) return undefined;
  const subject = socket.getPeerCertificate().subject as { CN?: string; O?: string | string[] } | undefined;
  if (subject?.CN === undefined) return undefined;
  const groups = subject.O === undefined ? [] : Array.isArray(subject.O) ? subject.O : [subject.O];
  return { name: subject.CN, groups: [...groups, 'system:authenticated'] };
}

export interface Attributes {
  readonly verb: Verb | 'post';
  readonly group: string;
  readonly resource: string;
  readonly subresource: string | undefined;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
}

const READ: readonly string[] = ['get', 'list', 'watch'];
/** What nodes may write: themselves, their pods' state and end, events, their leases. */
const NODE_WRITES: readonly { readonly resource: string; readonly verbs: readonly string[] }[] = [
  { resource: 'nodes', verbs: ['create', 'update', 'patch'] },
  { resource: 'nodes/status', verbs: ['update', 'patch'] },
  { resource: 'pods', verbs: ['delete'] },
  { resource: 'pods/status', verbs: ['update', 'patch'] },
  { resource: 'events', verbs: ['create', 'update', 'patch'] },
  { resource: 'leases', verbs: ['create', 'update', 'patch'] },
];

/**
 * Whether the user may; a node with a certificate of its own (`system:node:NAME`) writes only its own Node and Lease. A name
 * that is in the body alone is still to be asked about once it is read.
 */
export function isAllowed(user: User, attributes: Attributes): boolean {
  if (user.groups.includes(MASTERS)) return true;
  if (attributes.group === '' && attributes.resource === 'secrets')
    return user.groups.includes(NODES) && isNamedSecret(attributes);
  if (READ.includes(attributes.verb) && attributes.subresource === undefined)
    return user.groups.includes(NODES) || user.groups.includes(READERS);
  if (!user.groups.includes(NODES)) return false;
  const resource =
    attributes.subresource === undefined
      ? attributes.resource
      : `${attributes.resource}/${attributes.subresource}`;
  const row = NODE_WRITES.find((entry) => entry.resource === resource);
  if (row === undefined || !row.verbs.includes(attributes.verb)) return false;
  if (attributes.resource === 'leases' && attributes.namespace !== LEASE_NAMESPACE) return false;
  const isItself = attributes.resource === 'nodes' || attributes.resource === 'leases';
  const isNameToCome = attributes.verb === 'create' && attributes.name === undefined;
  return !isItself || isNameToCome || isOwnNode(user, attributes.name);
}

/** By name, where Calico's own Secrets are; whether a BGP resource names it is asked of secret-access.ts. */
function isNamedSecret({ verb, namespace, name, subresource }: Attributes): boolean {
  return (
    verb === 'get' && namespace === BGP_SECRET_NAMESPACE && name !== undefined && subresource === undefined
  );
}

/** A node with a certificate of its own writes only what it runs: pods bound to it. Throws Forbidden. */
export function authorizePodWrite(user: User, pod: Resource): void {
  const { nodeName = '' } = (pod.spec ?? {}) as { nodeName?: string };
  if (user.groups.includes(MASTERS) || isOwnNode(user, nodeName)) return;
  throw new ApiError(
    'Forbidden',
    `pods ${JSON.stringify(pod.metadata.name)} is forbidden: it does not run on the node of ${JSON.stringify(user.name)}`,
  );
}

export function isNode(user: User): boolean {
  return user.groups.includes(NODES);
}

/** Whose certificate it is; undefined if nodes share it. */
export function ownNodeName(user: User): string | undefined {
  return /^system:node:(.+)$/.exec(user.name)?.[1];
}

function isOwnNode(user: User, node: string | undefined): boolean {
  const own = ownNodeName(user);
  return own === undefined || own === node;
}

export function authorize(user: User, attributes: Attributes): void {
  if (isAllowed(user, attributes)) return;
  const { verb, group, resource, name, namespace } = attributes;
  const where =
    namespace === undefined ? 'at the cluster scope' : `in the namespace ${JSON.stringify(namespace)}`;
  const qualified = group === '' ? resource : `${resource}.${group}`;
  throw new ApiError(
    'Forbidden',
    `${qualified}${name === undefined ? '' : ` ${JSON.stringify(name)}`} is forbidden: User ${JSON.stringify(user.name)} ` +
      `cannot ${verb} resource ${JSON.stringify(resource)} in API group ${JSON.stringify(group)} ${where}`,
    { kind: resource, ...(name === undefined ? {} : { name }) },
  );
}
