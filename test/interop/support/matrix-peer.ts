// bird2, frr and gobgpd with one face, for tests that ask the same of each: an external peer of AS 65002.

import { BirdProcess } from './bird-process.ts';
import { FrrProcess } from './frr-process.ts';
import { GobgpProcess } from './gobgp-process.ts';
import type { TestHost, TestNetwork } from './network.ts';

const LOCAL_ASN = 65_000;
export const PEER_ASN = 65_002;

export interface MatrixPeerOptions {
  readonly ipv4Routes: readonly string[];
  readonly password?: string;
  /** RFC 5082, on the same link; false: it sends a small TTL. */
  readonly ttlSecurity?: boolean;
  /** RFC 4724, with a restart time of 20 s. */
  readonly gracefulRestart?: boolean;
  /** Prefixes that it takes from us. */
  readonly maxPrefixes?: number;
}

/** What every daemon can be asked. */
export interface MatrixPeer {
  hasRoute(prefix: string): Promise<boolean>;
  /** From now on exactly these. */
  announce(ipv4Routes: readonly string[]): Promise<void>;
  setPassword(password: string): Promise<void>;
  /** Ends the session from its side and takes it up again. */
  reset(): Promise<void>;
  /** Asks us for our routes again. Absent where its own command asks nothing of the peer. */
  readonly askAgain?: () => Promise<void>;
  signal(signal: NodeJS.Signals): void;
  kill(): Promise<void>;
  /** As a restarting speaker, with what it announced in the beginning. */
  startAgain(): Promise<void>;
}

export interface MatrixDaemon {
  readonly name: string;
  /** It says End-of-RIB before its routes, so that after a restart, ours or its own, they are gone for a moment. */
  readonly endsRibTooEarly: boolean;
  /** Its routes are added when it runs, which may be after its End-of-RIB. */
  readonly startsWithoutRoutes: boolean;
  start(
    network: TestNetwork,
    host: TestHost,
    local: TestHost,
    options: MatrixPeerOptions,
  ): Promise<MatrixPeer>;
}

const BIRD: MatrixDaemon = {
  name: 'bird2',
  endsRibTooEarly: false,
  startsWithoutRoutes: false,
  start: async (network, host, local, options) => {
    let now = options;
    const statements = (): Parameters<typeof BirdProcess.start>[2] => ({
      asn: PEER_ASN,
      peerAsn: LOCAL_ASN,
      peer: local,
      bgp: [
        now.password === undefined ? '' : `password "${now.password}";`,
        // Its TTL is 255 without TTL security, too.
        now.ttlSecurity === undefined ? '' : now.ttlSecurity ? 'ttl security on;' : 'multihop 5;',
        now.gracefulRestart === true ? 'graceful restart on; graceful restart time 20;' : '',
      ].join(' '),
      ipv4: now.maxPrefixes === undefined ? '' : `receive limit ${now.maxPrefixes} action restart;`,
      ipv4Routes: now.ipv4Routes,
    });
    const bird = await BirdProcess.start(network, host, statements());
    const change = async (part: Partial<MatrixPeerOptions>): Promise<void> => {
      now = { ...now, ...part };
      await bird.configure(statements());
    };
    return {
      hasRoute: (prefix) => bird.hasRoute(prefix),
      announce: (ipv4Routes) => change({ ipv4Routes }),
      setPassword: (password) => change({ password }),
      reset: async () => void (await bird.birdc('restart P')),
      askAgain: async () => void (await bird.birdc('reload in P')),
      signal: (signal) => bird.signal(signal),
      kill: () => bird.kill(),
      startAgain: () => bird.startAgain(),
    };
  },
};

const FRR: MatrixDaemon = {
  name: 'frr',
  endsRibTooEarly: true,
  startsWithoutRoutes: false,
  start: async (network, host, local, options) => {
    const { password, ttlSecurity, gracefulRestart, maxPrefixes, ipv4Routes } = options;
    const frr = await FrrProcess.start(network, host, {
      asn: PEER_ASN,
      peerAsn: LOCAL_ASN,
      peer: local,
      bgp:
        gracefulRestart === true
          ? ['', ' restart-time 20', ' preserve-fw-state'].map((end) => `bgp graceful-restart${end}`)
          : [],
      neighbor: [
        ...(password === undefined ? [] : [`password ${password}`]),
        ...(ttlSecurity === true ? ['ttl-security hops 1'] : []),
      ],
      ipv4: maxPrefixes === undefined ? [] : [`maximum-prefix ${maxPrefixes}`],
      ipv4Routes,
    });
    let announced = ipv4Routes;
    const networks = (prefixes: readonly string[], word: string): string[] =>
      prefixes.map((prefix) => `${word}network ${prefix}`);
    return {
      hasRoute: (prefix) => frr.hasRoute(prefix),
      announce: async (routes) => {
        const gone = networks(
          announced.filter((prefix) => !routes.includes(prefix)),
          'no ',
        );
        announced = routes;
        await frr.configure(PEER_ASN, 'address-family ipv4 unicast', ...gone, ...networks(routes, ''));
      },
      setPassword: (key) => frr.configure(PEER_ASN, `neighbor ${local.ipv4} password ${key}`),
      reset: async () => void (await frr.vtysh(`clear bgp ${local.ipv4}`)),
      askAgain: async () => void (await frr.vtysh(`clear bgp ipv4 unicast ${local.ipv4} soft in`)),
      signal: (signal) => frr.signal(signal),
      kill: () => frr.kill(),
      startAgain: () => frr.startAgain(),
    };
  },
};

const GOBGP: MatrixDaemon = {
  name: 'gobgpd',
  endsRibTooEarly: false,
  startsWithoutRoutes: true,
  start: async (network, host, local, options) => {
    const { ttlSecurity, gracefulRestart, maxPrefixes, ipv4Routes } = options;
    const table = (name: string, ...lines: readonly string[]): string =>
      [`[neighbors.${name}.config]`, ...lines, ''].join('\n');
    const statements = (password: string | undefined): Parameters<typeof GobgpProcess.start>[2] => ({
      asn: PEER_ASN,
      peerAsn: LOCAL_ASN,
      peer: local,
      ...(password === undefined ? {} : { authPassword: password }),
      neighbor: [
        ttlSecurity === true ? table('ttl-security', 'enabled = true', 'ttl-min = 255') : '',
        gracefulRestart === true ? table('graceful-restart', 'enabled = true', 'restart-time = 20') : '',
      ].join(''),
      family: [
        maxPrefixes === undefined ? '' : table('afi-safis.prefix-limit', `max-prefixes = ${maxPrefixes}`),
        gracefulRestart === true ? table('afi-safis.mp-graceful-restart', 'enabled = true') : '',
      ].join(''),
    });
    const gobgp = await GobgpProcess.start(network, host, statements(options.password));
    let announced: readonly string[] = [];
    const announce = async (routes: readonly string[]): Promise<void> => {
      for (const prefix of announced) if (!routes.includes(prefix)) await gobgp.withdraw(prefix);
      for (const prefix of routes) await gobgp.announce(prefix);
      announced = routes;
    };
    await announce(ipv4Routes);
    return {
      hasRoute: (prefix) => gobgp.hasRoute(prefix),
      announce,
      setPassword: (password) => gobgp.configure(statements(password)),
      reset: async () => void (await gobgp.gobgp(`neighbor ${local.ipv4} reset`)),
      signal: (signal) => gobgp.signal(signal),
      kill: () => gobgp.kill(),
      startAgain: async () => {
        await gobgp.startAgain();
        announced = [];
        await announce(ipv4Routes);
      },
    };
  },
};

export const MATRIX_DAEMONS: readonly MatrixDaemon[] = [BIRD, FRR, GOBGP];
