// Which Debian packages each part of the project needs, and how one sees that they (or their like) are there already.
// docs/limits.md says why etcd comes from trixie: bookworm's 3.4 is end of life.

/** What a package is needed for: a test suite, the lab, the container cluster, a base image where none can be pulled, or benchmarks. */
export type PackageGroup = 'lab' | 'integration' | 'interop' | 'containers' | 'base-image' | 'bench';

/** How one sees that nothing has to be installed. */
export type Evidence =
  | { readonly kind: 'program'; readonly name: string; readonly atLeast?: VersionCheck }
  | { readonly kind: 'library'; readonly file: string }
  | { readonly kind: 'engine' }
  | { readonly kind: 'compose' };

/** A version read from a program's output; `pattern` has the groups of `minimum`. */
export interface VersionCheck {
  readonly args: readonly string[];
  readonly pattern: RegExp;
  readonly minimum: readonly number[];
}

export interface DebianPackage {
  readonly name: string;
  readonly groups: readonly PackageGroup[];
  readonly evidence: readonly Evidence[];
  /** Where Debian 12's own is too old: taken from trixie, in a step of its own. */
  readonly fromTrixie?: boolean;
  /** Docker's compose brings the newer engine and buildx only as recommended packages. */
  readonly withRecommended?: boolean;
}

const program = (...names: readonly string[]): readonly Evidence[] =>
  names.map((name) => ({ kind: 'program', name }));

const versioned = (name: string, atLeast: VersionCheck): readonly Evidence[] => [
  { kind: 'program', name, atLeast },
];

export const PACKAGES: readonly DebianPackage[] = [
  {
    name: 'etcd-server',
    groups: ['lab', 'integration'],
    fromTrixie: true,
    evidence: versioned('etcd', { args: ['--version'], pattern: /Version: (\d+)\.(\d+)/, minimum: [3, 5] }),
  },
  {
    name: 'etcd-client',
    groups: ['lab', 'integration'],
    fromTrixie: true,
    evidence: versioned('etcdctl', { args: ['version'], pattern: /version: (\d+)\.(\d+)/, minimum: [3, 5] }),
  },
  {
    name: 'kubectl',
    groups: ['lab', 'integration'],
    fromTrixie: true,
    evidence: versioned('kubectl', {
      args: ['version', '--client'],
      pattern: /v(\d+)\.(\d+)/,
      minimum: [1, 28],
    }),
  },
  { name: 'util-linux', groups: ['lab', 'integration'], evidence: program('unshare', 'nsenter') },
  { name: 'mount', groups: ['lab', 'integration'], evidence: program('mount') },
  { name: 'iproute2', groups: ['lab', 'integration'], evidence: program('ip', 'bridge') },
  { name: 'procps', groups: ['lab'], evidence: program('ps', 'sysctl') },
  { name: 'nftables', groups: ['lab'], evidence: program('nft') },
  { name: 'libnftables1', groups: ['lab'], evidence: [{ kind: 'library', file: 'libnftables.so.1' }] },
  { name: 'conntrack', groups: ['lab'], evidence: program('conntrack') },
  { name: 'busybox-static', groups: ['lab'], evidence: program('busybox') },
  { name: 'iputils-ping', groups: ['lab'], evidence: program('ping') },
  { name: 'openssl', groups: ['lab', 'integration'], evidence: program('openssl') },
  { name: 'tcpdump', groups: ['lab'], evidence: program('tcpdump') },
  { name: 's6', groups: ['lab'], evidence: program('s6-svscan') },
  { name: 'redis-server', groups: ['lab', 'integration'], evidence: program('redis-server') },
  { name: 'bird2', groups: ['interop'], evidence: program('bird', 'birdc') },
  // Its daemons are in a folder of their own, /usr/lib/frr.
  { name: 'frr', groups: ['interop'], evidence: program('zebra', 'vtysh') },
  { name: 'gobgpd', groups: ['interop'], evidence: program('gobgpd', 'gobgp') },
  { name: 'wireguard-tools', groups: ['interop'], evidence: program('wg') },
  { name: 'wireguard-go', groups: ['interop'], evidence: program('wireguard-go') },
  { name: 'docker.io', groups: ['containers'], evidence: [{ kind: 'engine' }] },
  {
    name: 'docker-compose',
    groups: ['containers'],
    fromTrixie: true,
    withRecommended: true,
    evidence: [{ kind: 'compose' }],
  },
  {
    name: 'iptables',
    groups: ['bench'],
    evidence: program('iptables-legacy-restore', 'iptables-nft-restore'),
  },
  { name: 'ipset', groups: ['bench'], evidence: program('ipset') },
  {
    name: 'containernetworking-plugins',
    groups: ['bench'],
    evidence: [{ kind: 'program', name: '../lib/cni/bridge' }],
  },
  { name: 'mmdebstrap', groups: ['base-image'], evidence: program('mmdebstrap') },
];

/** Systemd units that these packages would start at the next boot; they are switched off after an installation. */
export const UNITS_BY_PACKAGE: Readonly<Record<string, string>> = {
  'etcd-server': 'etcd.service',
  'redis-server': 'redis-server.service',
  bird2: 'bird.service',
  frr: 'frr.service',
  gobgpd: 'gobgpd.service',
};

/** True if the version found in `output` is at least the wanted one. */
export function isVersionAtLeast(output: string, check: VersionCheck): boolean {
  const found = check.pattern.exec(output);
  if (found === null) return false;
  for (const [index, wanted] of check.minimum.entries()) {
    const have = Number(found[index + 1]);
    if (have !== wanted) return have > wanted;
  }
  return true;
}
