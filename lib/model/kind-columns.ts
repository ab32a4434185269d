// What calicoctl's tables show of each kind: headings for the plain table and for `-o wide`, and the cell under a heading
// (Calico's calicoctl/resourcemgr). Also the headings that `-o custom-columns` may ask for.

import type { Resource } from './metadata.ts';

export interface KindColumns {
  readonly plain: readonly string[];
  readonly wide: readonly string[];
}
type Value =
  | string
  | number
  | boolean
  | readonly unknown[]
  | Readonly<Record<string, unknown>>
  | null
  | undefined;
type Cell = (resource: Resource) => Value;

/** Longer lists are cut in a table, as nobody reads them there. */
const MAX_LIST_CHARACTERS = 80;

function at(...path: readonly string[]): Cell {
  return (resource) => {
    let value: unknown = resource;
    for (const part of path) {
      if (typeof value !== 'object' || value === null) return undefined;
      value = (value as Record<string, unknown>)[part];
    }
    return value as Value;
  };
}

function spec(...path: readonly string[]): Cell {
  return at('spec', ...path);
}

function countOf(field: string): Cell {
  return (resource) => {
    const value = spec(field)(resource);
    return Array.isArray(value) ? value.length : 0;
  };
}

function firstOf(...cells: readonly Cell[]): Cell {
  return (resource) =>
    cells.map((cell) => cell(resource)).find((value) => value !== undefined && value !== '');
}

function orElse(cell: Cell, fallback: string): Cell {
  return (resource) => cell(resource) ?? fallback;
}

const name = at('metadata', 'name');
const policyCells: Record<string, Cell> = {
  NAME: name,
  TIER: orElse(spec('tier'), 'default'),
  ORDER: spec('order'),
  SELECTOR: spec('selector'),
};
const policy = table(policyCells, 'NAME TIER', 'NAME TIER ORDER SELECTOR');
const nameOnly = table({ NAME: name }, 'NAME');
const netSet = table({ NAME: name, NETS: spec('nets') }, 'NAME', 'NAME NETS');

interface Table extends KindColumns {
  readonly cells: Readonly<Record<string, Cell>>;
}

function table(cells: Record<string, Cell>, plain: string, wide: string = plain): Table {
  return { cells, plain: plain.split(' '), wide: wide.split(' ') };
}

const TABLES: Readonly<Record<string, Table>> = {
  BGPConfiguration: table(
    {
      NAME: name,
      LOGSEVERITY: spec('logSeverityScreen'),
      MESHENABLED: orElse(spec('nodeToNodeMeshEnabled'), '-'),
      ASNUMBER: orElse(spec('asNumber'), '-'),
    },
    'NAME LOGSEVERITY MESHENABLED ASNUMBER',
  ),
  BGPFilter: table(
    {
      NAME: name,
      NUMEXPORTV4: countOf('exportV4'),
      NUMIMPORTV4: countOf('importV4'),
      NUMEXPORTV6: countOf('exportV6'),
      NUMIMPORTV6: countOf('importV6'),
    },
    'NAME NUMEXPORTV4 NUMIMPORTV4 NUMEXPORTV6 NUMIMPORTV6',
  ),
  BGPPeer: table(
    {
      NAME: name,
      PEERIP: spec('peerIP'),
      NODE: orElse(firstOf(spec('node'), spec('nodeSelector')), '(global)'),
      ASN: spec('asNumber'),
    },
    'NAME PEERIP NODE ASN',
  ),
  CalicoNodeStatus: table(
    { NAME: name, NODE: spec('node'), CLASSES: spec('classes') },
    'NAME NODE',
    'NAME NODE CLASSES',
  ),
  ClusterInformation: table(
    {
      NAME: name,
      CLUSTERGUID: spec('clusterGUID'),
      CLUSTERTYPE: spec('clusterType'),
      CALICOVERSION: spec('calicoVersion'),
      DATASTOREREADY: spec('datastoreReady'),
    },
    'NAME CLUSTERGUID CLUSTERTYPE CALICOVERSION DATASTOREREADY',
  ),
  FelixConfiguration: nameOnly,
  GlobalNetworkPolicy: policy,
  GlobalNetworkSet: netSet,
  HostEndpoint: table(
    {
      NAME: name,
      NODE: spec('node'),
      INTERFACE: spec('interfaceName'),
      IPS: spec('expectedIPs'),
      PROFILES: spec('profiles'),
    },
    'NAME NODE',
    'NAME NODE INTERFACE IPS PROFILES',
  ),
  IPAMConfiguration: table(
    {
      NAME: name,
      STRICTAFFINITY: spec('strictAffinity'),
      AUTOALLOCATEBLOCKS: spec('autoAllocateBlocks'),
      MAXBLOCKSPERHOST: spec('maxBlocksPerHost'),
    },
    'NAME STRICTAFFINITY AUTOALLOCATEBLOCKS',
    'NAME STRICTAFFINITY AUTOALLOCATEBLOCKS MAXBLOCKSPERHOST',
  ),
  IPPool: table(
    {
      NAME: name,
      CIDR: spec('cidr'),
      NAT: orElse(spec('natOutgoing'), 'false'),
      IPIPMODE: orElse(spec('ipipMode'), 'Never'),
      VXLANMODE: orElse(spec('vxlanMode'), 'Never'),
      DISABLED: orElse(spec('disabled'), 'false'),
      DISABLEBGPEXPORT: orElse(spec('disableBGPExport'), 'false'),
      SELECTOR: orElse(spec('nodeSelector'), 'all()'),
      ASSIGNMENTMODE: orElse(spec('assignmentMode'), 'Automatic'),
    },
    'NAME CIDR SELECTOR',
    'NAME CIDR NAT IPIPMODE VXLANMODE DISABLED DISABLEBGPEXPORT SELECTOR ASSIGNMENTMODE',
  ),
  IPReservation: table({ NAME: name, CIDRS: spec('reservedCIDRs') }, 'NAME', 'NAME CIDRS'),
  KubeControllersConfiguration: nameOnly,
  NetworkPolicy: policy,
  NetworkSet: netSet,
  Node: table(
    {
      NAME: name,
      ASN: spec('bgp', 'asNumber'),
      IPV4: spec('bgp', 'ipv4Address'),
      IPV6: spec('bgp', 'ipv6Address'),
    },
    'NAME',
    'NAME ASN IPV4 IPV6',
  ),
  Profile: table({ NAME: name, LABELS: spec('labelsToApply') }, 'NAME', 'NAME LABELS'),
  StagedGlobalNetworkPolicy: policy,
  StagedNetworkPolicy: policy,
  StagedKubernetesNetworkPolicy: table(
    { NAME: name, PODSELECTOR: spec('podSelector', 'matchLabels') },
    'NAME',
    'NAME PODSELECTOR',
  ),
  Tier: table({ NAME: name, ORDER: spec('order') }, 'NAME ORDER'),
  WorkloadEndpoint: table(
    {
      NAME: name,
      WORKLOAD: firstOf(spec('pod'), spec('workload'), spec('containerID')),
      NODE: spec('node'),
      NETWORKS: spec('ipNetworks'),
      INTERFACE: spec('interfaceName'),
      PROFILES: spec('profiles'),
      NATS: (resource) => {
        const nats = spec('ipNATs')(resource);
        return Array.isArray(nats)
          ? nats.map((nat: { externalIP?: string }) => nat.externalIP ?? '')
          : undefined;
      },
    },
    'WORKLOAD NODE NETWORKS INTERFACE',
    'NAME WORKLOAD NODE NETWORKS INTERFACE PROFILES NATS',
  ),
};

function tableOf(kind: string): Table {
  return (Object.hasOwn(TABLES, kind) ? TABLES[kind] : undefined) ?? nameOnly;
}

/** Headings of a kind's tables; `NAMESPACE` comes in front where several namespaces are shown. */
export function columnsOfKind(kind: string): KindColumns {
  const { plain, wide } = tableOf(kind);
  return { plain, wide };
}

/** Every heading that custom columns may name. */
export function headingsOfKind(kind: string): readonly string[] {
  return ['NAMESPACE', ...Object.keys(tableOf(kind).cells)];
}

/** The text under a heading; empty where there is nothing to show or the kind has no such heading. */
export function cellOf(resource: Resource, heading: string): string {
  if (heading === 'NAMESPACE') return resource.metadata.namespace ?? '';
  const { cells } = tableOf(resource.kind);
  const value = Object.hasOwn(cells, heading) ? cells[heading]?.(resource) : undefined;
  return cellText(value);
}

function cellText(value: Value): string {
  if (value === undefined || value === null) return '';
  if (typeof value !== 'object') return String(value);
  const parts = Array.isArray(value)
    ? value.map(String)
    : Object.entries(value).map(([key, entry]) => `${key}=${String(entry)}`);
  const joined = parts.join(',');
  return joined.length > MAX_LIST_CHARACTERS ? `${joined.slice(0, MAX_LIST_CHARACTERS)}...` : joined;
}
