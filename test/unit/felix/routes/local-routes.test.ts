// Which lines take routes of workloads away, and what a look at the kernel misses.

import { expect, it } from '@jest/globals';
import { DEFAULT_FELIX_SETTINGS } from '../../../../agents/felix/calc/felix-settings.ts';
import { LocalRoutes } from '../../../../agents/felix/routes/local-routes.ts';
import { silentLogger } from '../../../../lib/logging/logger.ts';
import type { CompiledWorkloadEndpoint } from '../../../../lib/policy/compiled.ts';
import type { NetworkQuery } from '../../../../lib/protocol/kernel-writer.ts';

const KEY = 'host/k8s/ns.pod/eth0';
const ENDPOINT: CompiledWorkloadEndpoint = {
  id: { host: 'host', orchestrator: 'k8s', workload: 'ns.pod', endpoint: 'eth0' },
  interfaceName: 'cali1',
  mac: undefined,
  nets4: ['10.65.0.3/32'],
  nets6: [],
  allowSpoofedSourcePrefixes: [],
  profiles: [],
  tiers: [],
  identity: 1,
  localBgpPeer: 'routers',
  peeringAddresses: ['169.254.0.179', 'fe80::179'],
  revision: 1,
};

/** `addresses`: what `cali1` has. */
function routes(addresses: readonly string[]): {
  readonly local: LocalRoutes;
  readonly lines: string[];
  readonly asked: NetworkQuery[];
} {
  const lines: string[] = [];
  const asked: NetworkQuery[] = [];
  const answers: Readonly<Record<NetworkQuery['what'], readonly unknown[]>> = {
    routes: [{ dst: '10.65.0.3', dev: 'cali1' }],
    links: [{ ifname: 'cali1', flags: ['UP'], addr_info: addresses.map((local) => ({ local })) }],
    neighbours: [],
    rules: [],
  };
  const writer = {
    ip: (written: readonly string[]) => {
      lines.push(...written);
      return Promise.resolve({ output: '', rulesetGeneration: undefined, durationMs: 0 });
    },
    list: (query: NetworkQuery) => {
      asked.push(query);
      return Promise.resolve(answers[query.what]);
    },
    linkState: () => Promise.reject(new Error('not asked for here')),
  };
  return { local: new LocalRoutes(writer, silentLogger()), lines, asked };
}

it('takes a route away under the protocol that it was written with', async () => {
  const { local, lines } = routes([]);
  local.set(KEY, ENDPOINT);
  await local.sync();
  expect(lines).toContain('route replace 10.65.0.3/32 dev cali1 scope link proto 80');
  local.configure({ ...DEFAULT_FELIX_SETTINGS, routeProtocol: 81 });
  local.set(KEY, undefined);
  await local.sync();
  expect(lines).toContain('route del 10.65.0.3/32 dev cali1 proto 80');
  expect(lines.filter((line) => line.endsWith('proto 81'))).toEqual([]);
});

it('finds that an address for peering is gone, and writes it anew', async () => {
  const { local, lines } = routes(['fe80::179']);
  local.set(KEY, ENDPOINT);
  await local.sync();
  lines.length = 0;
  expect(await local.findWrong()).toEqual(new Map([[KEY, ['address 169.254.0.179']]]));
  await local.sync();
  expect(lines).toContain('addr replace 169.254.0.179/32 dev cali1 scope link');
});

it('does not read addresses where no workload peers', async () => {
  const { local, asked } = routes([]);
  local.set(KEY, { ...ENDPOINT, peeringAddresses: [] });
  await local.sync();
  expect((await local.findWrong()).size).toBe(0);
  expect(asked).toContainEqual({ what: 'links', withAddresses: false });
});
