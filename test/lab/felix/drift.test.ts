// What somebody else changes of ours in the kernel is found, put right and told, kind by kind (docs/dataplane.md "Drift").

import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestHost } from './support/test-host.ts';
import { until } from './support/test-host.ts';
import { placeOf, TunnelBed, type TunnelNode } from './support/tunnel-bed.ts';

const NODES: readonly TunnelNode[] = [
  { name: 'n1', subnet: 1, octet: 11 },
  { name: 'n3', subnet: 2, octet: 13 },
];
const OWN = placeOf({ name: 'n1', subnet: 1, octet: 11 });
const FAR = placeOf({ name: 'n3', subnet: 2, octet: 13 });

/** For a machine that is busy with something else; it takes a tenth of a second or two. */
const PATIENCE_MS = 20_000;

describe('drift', () => {
  let bed: TunnelBed;
  let host: TestHost;
  let cali: string;
  let mac: string;
  beforeAll(async () => {
    bed = await TunnelBed.create(NODES);
    await bed.store('Always', ['n1', 'n3']);
    host = bed.member('n1').host;
    cali = bed.member('n1').pod.interfaceName;
    mac = bed.member('n1').pod.mac;
  }, 60_000);
  afterAll(() => bed?.close());
  beforeEach(() => {
    host.events.length = 0;
  });

  const show = (...args: [string, ...string[]]): Promise<string> => host.namespace.exec(...args);
  const causes = (): readonly string[] =>
    host.events.flatMap(({ kind, cause = '' }) => (kind === 'driftRepaired' ? [cause] : []));
  /** Breaks it, and waits for the record and for the kernel to be as it was. */
  const repaired = async (
    damage: () => Promise<unknown>,
    record: RegExp,
    isRight: () => Promise<boolean>,
  ): Promise<void> => {
    expect(await isRight()).toBe(true);
    const startedAt = performance.now();
    await damage();
    const isTold = (): boolean => causes().some((cause) => record.test(cause));
    await until(`a record like ${record}`, isTold, PATIENCE_MS);
    process.stdout.write(`${causes().join('; ')}: after ${Math.round(performance.now() - startedAt)} ms\n`);
    await until('it is right', isRight, PATIENCE_MS);
  };
  const has = (args: [string, ...string[]], text: string | RegExp) => async (): Promise<boolean> => {
    const said = await show(...args).catch(() => '');
    return typeof text === 'string' ? said.includes(text) : text.test(said);
  };

  describe('of a workload', () => {
    it('a route that is deleted', () =>
      repaired(
        () => host.namespace.ip(`route del ${OWN.pod}/32`),
        /route 10\.65\.11\.3\/32/,
        has(['ip', 'route', 'show', `${OWN.pod}/32`], `dev ${cali} proto 80`),
      ));

    it('a route that another has taken the place of', () =>
      repaired(
        () => host.namespace.ip(`route replace ${OWN.pod}/32 dev eth0 scope link proto static`),
        /route 10\.65\.11\.3\/32/,
        has(['ip', 'route', 'show', `${OWN.pod}/32`], /^10\.65\.11\.3 dev cali\w+ proto 80/),
      ));

    it('an IPv6 route', () =>
      repaired(
        () => host.namespace.ip(`route del ${OWN.pod6}/128 dev ${cali}`),
        /route fd65::1103\/128/,
        has(['ip', '-6', 'route', 'show', `${OWN.pod6}/128`], `dev ${cali} proto 80`),
      ));

    it('a route of another’s on its interface', () =>
      repaired(
        () => host.namespace.ip(`route add 198.51.100.0/24 dev ${cali}`),
        /stray route 198\.51\.100\.0\/24/,
        async () => !(await show('ip', 'route')).includes('198.51.100.0'),
      ));

    it('its neighbour', () =>
      repaired(
        () =>
          host.namespace.ip(`neigh replace ${OWN.pod} lladdr 02:00:00:00:00:99 dev ${cali} nud permanent`),
        /neighbour 10\.65\.11\.3/,
        async () =>
          (await show('ip', 'neigh', 'show', 'dev', cali)).includes(`${OWN.pod} lladdr ${mac} PERMANENT`),
      ));

    it('its link, and the routes that went with it', () =>
      repaired(
        () => host.namespace.ip(`link set ${cali} down`),
        /link cali/,
        has(['ip', 'route', 'show', `${OWN.pod}/32`], `dev ${cali} proto 80`),
      ));
  });

  describe('of the kernel’s settings', () => {
    it.each([
      ['of the host', () => 'net/ipv4/ip_forward'],
      ['of an interface, of which the kernel tells', () => `net/ipv4/conf/${cali}/forwarding`],
      ['of an interface, of which it does not', () => `net/ipv4/conf/${cali}/route_localnet`],
    ])('one %s', async (_which, path) => {
      const file = `/proc/sys/${path()}`;
      await repaired(
        () => show('sh', '-c', `echo 0 > ${file}`),
        /^setting net\/ipv4\/.* \(was 0, is 1\)/,
        has(['cat', file], '1'),
      );
    });
  });

  describe('of tunnels', () => {
    it('a route', () =>
      repaired(
        () => host.namespace.ip(`route del ${FAR.block}`),
        /^route 10\.65\.13\.0\/26$/,
        has(['ip', 'route', 'show', FAR.block], 'dev vxlan.calico proto 80 onlink'),
      ));

    it('a blackhole', () =>
      repaired(
        () => host.namespace.ip(`route del blackhole ${OWN.block}`),
        /^blackhole 10\.65\.11\.0\/26$/,
        has(['ip', 'route', 'show', OWN.block], 'blackhole'),
      ));

    it('a neighbour', () =>
      repaired(
        () => host.namespace.ip(`neigh del ${FAR.tunnel} dev vxlan.calico`),
        /^neighbour 10\.65\.13\.0 on vxlan\.calico$/,
        has(['ip', 'neigh', 'show', 'dev', 'vxlan.calico', 'nud', 'permanent'], FAR.tunnel),
      ));

    it('a forwarding entry that leads elsewhere', async () => {
      const [entry = ''] =
        /^(\S+) dst 172\.30\.2\.13/m.exec(await show('bridge', 'fdb', 'show', 'dev', 'vxlan.calico')) ?? [];
      const [address = ''] = entry.split(' ');
      await repaired(
        () =>
          show(
            'bridge',
            'fdb',
            'replace',
            address,
            'dev',
            'vxlan.calico',
            'dst',
            '192.0.2.66',
            'self',
            'permanent',
          ),
        /^forwarding entry .* on vxlan\.calico/,
        async () => {
          const said = await show('bridge', 'fdb', 'show', 'dev', 'vxlan.calico');
          return said.includes(FAR.address) && !said.includes('192.0.2.66');
        },
      );
    });

    it('the address of a device', () =>
      repaired(
        () => host.namespace.ip(`addr del ${OWN.tunnel}/32 dev vxlan.calico`),
        /^address 10\.65\.11\.0 of vxlan\.calico/,
        has(['ip', '-4', 'addr', 'show', 'dev', 'vxlan.calico'], OWN.tunnel),
      ));

    it('a device that is down, with the routes that went with it', () =>
      repaired(
        () => host.namespace.ip('link set vxlan.calico down'),
        /vxlan\.calico up/,
        has(['ip', 'route', 'show', FAR.block], 'dev vxlan.calico'),
      ));

    it('its MTU', () =>
      repaired(
        () => host.namespace.ip('link set vxlan.calico mtu 1300'),
        /^MTU of vxlan\.calico/,
        has(['ip', 'link', 'show', 'vxlan.calico'], 'mtu 1450'),
      ));

    it('the whole device', () =>
      repaired(
        () => host.namespace.ip('link del vxlan-v6.calico'),
        /device vxlan-v6\.calico/,
        has(['ip', '-6', 'route', 'show', FAR.block6], 'dev vxlan-v6.calico proto 80'),
      ));
  });

  it('of a rule that another was put in the place of, one for one', async () => {
    const listing = (): Promise<string> => show('nft', '-a', 'list', 'chain', 'inet', 'calico', 'prerouting');
    const [, handle = ''] = /saddr @own4_v\d+ .*# handle (\d+)/.exec(await listing()) ?? [];
    await repaired(
      () => show('nft', 'replace', 'rule', 'inet', 'calico', 'prerouting', 'handle', handle, 'counter'),
      /^prerouting$/,
      async () => /saddr @own4_v\d+ /.test(await listing()),
    );
  });

  it('of the table', async () => {
    const set = (): string => `src4_v${host.dataplane.table.epoch}`;
    const element = `{ "${cali}" . ${OWN.pod} }`;
    await repaired(
      () => show('nft', 'delete', 'element', 'inet', 'calico', set(), element),
      /^src4_v\d+$/,
      async () => (await show('nft', 'list', 'set', 'inet', 'calico', set())).includes(OWN.pod),
    );
  });

  it('of things that others put into the table', async () => {
    const table = (): Promise<string> => show('nft', 'list', 'table', 'inet', 'calico');
    await repaired(
      () =>
        show(
          'nft',
          `add chain inet calico debug; add rule inet calico debug counter
           add set inet calico seen_v9999 { type ipv4_addr; elements = { 192.0.2.1 }; }
           add chain inet calico hooked { type filter hook forward priority 10; }; add rule inet calico hooked jump debug`,
        ),
      /debug|seen_v9999|hooked/,
      async () => !/debug|seen_v9999|hooked/.test(await table()),
    );
    host.events.length = 0;
    const { foreignChecks, table: driver } = host.dataplane;
    const { epoch } = driver;
    await show('nft', 'add', 'table', 'inet', 'foreign');
    await until('it has looked', () => host.dataplane.foreignChecks > foreignChecks + 2, PATIENCE_MS);
    await show('nft', 'delete', 'table', 'inet', 'foreign');
    expect(causes()).toEqual([]);
    expect(host.dataplane.table.epoch).toBe(epoch);
  });

  it('is told of the others’ changes alone: our own are none', async () => {
    const checks = host.dataplane.foreignChecks;
    await bed.store('CrossSubnet', ['n1', 'n3']);
    await bed.store('Always', ['n1']);
    await bed.store('Always', ['n1', 'n3']);
    await until('it has looked', () => host.dataplane.foreignChecks > checks + 3);
    expect(causes()).toEqual([]);
  });
});
