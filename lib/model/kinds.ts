// Registry of Calico's v3 kinds: their names in paths, in the API and on calicoctl's command line.
// Plurals are as stored in etcd (lower case); scope decides whether a key holds a namespace.

export const CALICO_GROUP = 'projectcalico.org';
export const CALICO_API_VERSION = 'projectcalico.org/v3';

export interface KindInfo {
  readonly kind: string;
  readonly apiVersion: string;
  /** As in the etcd path and in the API's URLs. */
  readonly plural: string;
  readonly singular: string;
  readonly namespaced: boolean;
  /** kubectl's short names. */
  readonly shortNames: readonly string[];
  /** calicoctl's names besides singular and plural; lower case. */
  readonly aliases: readonly string[];
  /** Whether the API has a `/status` subresource of it. */
  readonly hasStatus: boolean;
  /** Names that are allowed, where there is but one (`default`). */
  readonly onlyName?: string;
  /** False for kinds that calicoctl does not offer. */
  readonly inCalicoctl: boolean;
}

interface KindOptions {
  plural?: string;
  shortNames?: readonly string[];
  aliases?: readonly string[];
  hasStatus?: boolean;
  onlyName?: string;
  inCalicoctl?: boolean;
}

function calicoKind(kind: string, scope: 'global' | 'namespaced', options: KindOptions = {}): KindInfo {
  const singular = kind.toLowerCase();
  return {
    kind,
    apiVersion: CALICO_API_VERSION,
    plural: options.plural ?? `${singular}s`,
    singular,
    namespaced: scope === 'namespaced',
    shortNames: options.shortNames ?? [],
    aliases: options.aliases ?? [],
    hasStatus: options.hasStatus ?? false,
    ...(options.onlyName === undefined ? {} : { onlyName: options.onlyName }),
    inCalicoctl: options.inCalicoctl ?? true,
  };
}

const policyPlural = (kind: string): string => `${kind.toLowerCase().slice(0, -1)}ies`;

/** Every v3 kind, by name of the kind. */
export const CALICO_KINDS: readonly KindInfo[] = [
  calicoKind('BGPConfiguration', 'global', {
    shortNames: ['bgpconfig', 'bgpconfigs'],
    aliases: ['bgpconfig', 'bgpconfigs'],
  }),
  calicoKind('BGPFilter', 'global', { aliases: ['bgpf', 'bgpfs', 'bf', 'bfs'] }),
  calicoKind('BGPPeer', 'global', { aliases: ['bgpp', 'bgpps', 'bp', 'bps'] }),
  calicoKind('BlockAffinity', 'global', {
    plural: 'blockaffinities',
    shortNames: ['affinity', 'affinities'],
    inCalicoctl: false,
  }),
  calicoKind('CalicoNodeStatus', 'global', {
    plural: 'caliconodestatuses',
    aliases: ['nodestatus', 'nodestatuses'],
    hasStatus: true,
  }),
  calicoKind('ClusterInformation', 'global', {
    shortNames: ['clusterinfo', 'clusterinfos'],
    aliases: ['clusterinfo', 'clusterinfos'],
    onlyName: 'default',
  }),
  calicoKind('FelixConfiguration', 'global', { aliases: ['felixconfig', 'felixconfigs'] }),
  calicoKind('GlobalNetworkPolicy', 'global', {
    plural: policyPlural('GlobalNetworkPolicy'),
    shortNames: ['gnp', 'cgnp'],
    aliases: ['gnp', 'gnps'],
  }),
  calicoKind('GlobalNetworkSet', 'global', { shortNames: ['gns'], aliases: ['gnetsets'] }),
  calicoKind('HostEndpoint', 'global', { shortNames: ['hep', 'heps'], aliases: ['hep', 'heps'] }),
  calicoKind('IPAMConfiguration', 'global', {
    shortNames: ['ipamconfig', 'ipamconfigs'],
    aliases: ['ipamconfig', 'ipamconfigs'],
    onlyName: 'default',
  }),
  calicoKind('IPPool', 'global', { aliases: ['ipp', 'ipps', 'pool', 'pools'], hasStatus: true }),
  calicoKind('IPReservation', 'global', { aliases: ['reservation', 'reservations'] }),
  calicoKind('KubeControllersConfiguration', 'global', {
    shortNames: ['kcc', 'kccs'],
    aliases: ['kubecontrollersconfig', 'kubecontrollersconfigs'],
    hasStatus: true,
    onlyName: 'default',
  }),
  calicoKind('LiveMigration', 'namespaced', { inCalicoctl: false }),
  calicoKind('NetworkPolicy', 'namespaced', {
    plural: policyPlural('NetworkPolicy'),
    shortNames: ['cnp', 'caliconetworkpolicy'],
    aliases: ['policy', 'policies', 'np', 'nps', 'pol', 'pols'],
  }),
  calicoKind('NetworkSet', 'namespaced', { aliases: ['netsets'] }),
  calicoKind('Node', 'global', { aliases: ['no', 'nos'], hasStatus: true }),
  calicoKind('Profile', 'global', { aliases: ['pro', 'pros'] }),
  calicoKind('StagedGlobalNetworkPolicy', 'global', {
    plural: policyPlural('StagedGlobalNetworkPolicy'),
    shortNames: ['sgnp'],
    aliases: ['sgnp', 'sgnps'],
  }),
  calicoKind('StagedKubernetesNetworkPolicy', 'namespaced', {
    plural: policyPlural('StagedKubernetesNetworkPolicy'),
    shortNames: ['sknp'],
    aliases: ['stagedkubernetespolicy', 'stagedkubernetespolicies', 'sknp', 'sknps', 'skpol', 'skpols'],
  }),
  calicoKind('StagedNetworkPolicy', 'namespaced', {
    plural: policyPlural('StagedNetworkPolicy'),
    shortNames: ['scnp', 'snp'],
    aliases: ['stagedpolicy', 'stagedpolicies', 'snp', 'snps', 'spol', 'spols'],
  }),
  calicoKind('Tier', 'global', { hasStatus: true }),
  calicoKind('WorkloadEndpoint', 'namespaced', { aliases: ['wep', 'weps'] }),
];

const kindByName = new Map(CALICO_KINDS.map((info) => [info.kind, info]));
const kindByPlural = new Map(CALICO_KINDS.map((info) => [info.plural, info]));
const kindByAlias = new Map(
  CALICO_KINDS.filter((info) => info.inCalicoctl).flatMap((info) =>
    [info.singular, info.plural, ...info.aliases].map((alias): [string, KindInfo] => [alias, info]),
  ),
);

/** The entry of a kind by its exact name (`IPPool`), or undefined. */
export function findKind(kind: string): KindInfo | undefined {
  return kindByName.get(kind);
}

/** The entry of a kind that must exist; asking for another is a bug of the caller. */
export function kindInfo(kind: string): KindInfo {
  const info = kindByName.get(kind);
  if (info === undefined) throw new Error(`no such Calico kind: ${kind}`);
  return info;
}

/** By the plural of paths and URLs (`ippools`). */
export function findKindByPlural(plural: string): KindInfo | undefined {
  return kindByPlural.get(plural);
}

/** By any name that calicoctl takes, in any case: `IPPool`, `ippools`, `pool`. */
export function findKindByAlias(alias: string): KindInfo | undefined {
  return kindByAlias.get(alias.toLowerCase());
}

/** The four kinds that live in a tier and get the tier label and the name annotation. */
export const TIERED_POLICY_KINDS: readonly string[] = [
  'NetworkPolicy',
  'GlobalNetworkPolicy',
  'StagedNetworkPolicy',
  'StagedGlobalNetworkPolicy',
];

export function isTieredPolicyKind(kind: string): boolean {
  return TIERED_POLICY_KINDS.includes(kind);
}
