// Automatic host endpoints (kube-controllers' node controller, `hostendpoints.go`): what a Calico Node gets of them by the
// settings in KubeControllersConfiguration. All of them allow everything until a policy selects them.

import { createHash } from 'node:crypto';
import type { CalicoNode, HostEndpoint } from '../../lib/model/endpoint-types.ts';
import { isSameJson } from '../../lib/model/json-equality.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { cidrContains, parseCidr, parseIp, withoutLength } from '../../lib/net/ip.ts';
import { DEFAULT_ALLOW_PROFILE } from '../../lib/policy/cluster.ts';
import { parseSelector } from '../../lib/selector/parser.ts';

interface HostEndpointTemplate {
  readonly generateName?: string;
  readonly interfaceCIDRs?: readonly string[];
  readonly interfacePattern?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Empty or absent: all nodes. */
  readonly nodeSelector?: string;
}

/** As much of it as is read here. */
export type KubeControllersConfiguration = Resource<
  'KubeControllersConfiguration',
  {
    controllers?: {
      node?: {
        hostEndpoint?: {
          autoCreate?: string;
          createDefaultHostEndpoint?: string;
          templates?: readonly HostEndpointTemplate[];
        };
      };
    };
  }
>;

const CREATED_BY_LABEL = 'projectcalico.org/created-by';
const CREATED_BY = 'calico-kube-controllers';
const SUFFIX = 'auto-hep';
/** Of a DNS subdomain. */
const LONGEST_NAME = 253;

/** Made here, whatever its name. */
export function isAutomatic({ metadata }: Resource): boolean {
  return metadata.labels?.[CREATED_BY_LABEL] === CREATED_BY;
}

/** None where nothing asks for them, and then those that are there go. Throws where a template makes no sense. */
export function automaticHostEndpoints(
  node: CalicoNode,
  configuration: KubeControllersConfiguration | undefined,
): readonly HostEndpoint[] {
  const settings = configuration?.spec?.controllers?.node?.hostEndpoint;
  if (settings?.autoCreate !== 'Enabled') return [];
  const { name } = node.metadata;
  const ownAddresses = addressesOf(node);
  const byDefault =
    settings.createDefaultHostEndpoint === 'Disabled'
      ? []
      : [hostEndpoint(node, {}, nameOf(name, SUFFIX), ownAddresses, '*')];
  return [
    ...byDefault,
    ...(settings.templates ?? []).flatMap((template) => fromTemplate(node, template, ownAddresses)),
  ];
}

/** Whether what is stored has to be written anew, with the profiles of `wanted`. Other profiles alone are no reason, as in Calico. */
export function isOutdated(stored: HostEndpoint, wanted: HostEndpoint): boolean {
  const view = ({ metadata, spec }: HostEndpoint): unknown => [
    metadata.labels ?? {},
    metadata.annotations ?? {},
    spec?.expectedIPs ?? [],
    spec?.interfaceName ?? '',
  ];
  return !isSameJson(view(stored), view(wanted));
}

function fromTemplate(
  node: CalicoNode,
  template: HostEndpointTemplate,
  ownAddresses: readonly string[],
): readonly HostEndpoint[] {
  const { generateName = '', interfacePattern, nodeSelector = '' } = template;
  if (!parseSelector(nodeSelector).matches(node.metadata.labels ?? {})) return [];
  const addresses = ownAddresses.filter((address) => isWithin(address, template.interfaceCIDRs ?? []));
  const { name } = node.metadata;
  if (!interfacePattern) {
    // Without an interface's name and without an address it would be for nothing.
    return addresses.length === 0
      ? []
      : [hostEndpoint(node, template, nameOf(name, generateName, SUFFIX), addresses, undefined)];
  }
  const pattern = new RegExp(interfacePattern);
  return (node.spec?.interfaces ?? [])
    .filter((each) => pattern.test(each.name))
    .map((each) => {
      const all = [...new Set([...addresses, ...each.addresses])];
      return hostEndpoint(node, template, nameOf(name, generateName, each.name, SUFFIX), all, each.name);
    });
}

function hostEndpoint(
  node: CalicoNode,
  { labels, annotations }: HostEndpointTemplate,
  name: string,
  expectedIPs: readonly string[],
  interfaceName: string | undefined,
): HostEndpoint {
  return {
    apiVersion: 'projectcalico.org/v3',
    kind: 'HostEndpoint',
    metadata: {
      name,
      labels: { ...node.metadata.labels, ...labels, [CREATED_BY_LABEL]: CREATED_BY },
      ...(annotations === undefined ? {} : { annotations: { ...annotations } }),
    },
    spec: {
      node: node.metadata.name,
      ...(interfaceName === undefined ? {} : { interfaceName }),
      ...(expectedIPs.length === 0 ? {} : { expectedIPs: [...expectedIPs] }),
      profiles: [DEFAULT_ALLOW_PROFILE.metadata.name],
    },
  };
}

/** Of the node itself and its tunnels, each once, in Calico's order; what is no address is left out. */
function addressesOf({ spec }: CalicoNode): readonly string[] {
  const internal = (spec?.addresses ?? []).filter(({ type }) => type === 'InternalIP');
  const texts = [
    withoutLength(spec?.bgp?.ipv4Address ?? ''),
    withoutLength(spec?.bgp?.ipv6Address ?? ''),
    spec?.bgp?.ipv4IPIPTunnelAddr,
    spec?.ipv4VXLANTunnelAddr,
    spec?.ipv6VXLANTunnelAddr,
    spec?.wireguard?.interfaceIPv4Address,
    spec?.wireguard?.interfaceIPv6Address,
    ...internal.map(({ address }) => address),
    ...(spec?.interfaces ?? []).flatMap(({ addresses }) => addresses),
  ];
  return [
    ...new Set(texts.filter((text): text is string => text !== undefined && parseIp(text) !== undefined)),
  ];
}

function isWithin(address: string, nets: readonly string[]): boolean {
  const ip = parseIp(address);
  return nets.some((net) => {
    const cidr = parseCidr(net);
    return ip !== undefined && cidr !== undefined && cidrContains(cidr, ip);
  });
}

/** Parts joined with dashes; one that is too long gives way to its hash. */
function nameOf(...parts: readonly string[]): string {
  const name = parts.join('-');
  if (name.length <= LONGEST_NAME) return name;
  const hash = createHash('sha256').update(name).digest('base64url').replace(/[-_.]/g, '');
  return `${hash}-${SUFFIX}`.toLowerCase();
}
