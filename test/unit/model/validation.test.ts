// Objects accepted and refused, against recorded answers of Calico's own code, and what those do not show.

import { describe, expect, it } from '@jest/globals';
import { CALICO_KINDS } from '../../../lib/model/kinds.ts';
import type { Resource } from '../../../lib/model/metadata.ts';
import { applyDefaults } from '../../../lib/model/validation/defaults.ts';
import { schemaOfKind } from '../../../lib/model/validation/kind-schemas.ts';
import { unknownFields } from '../../../lib/model/validation/unknown-fields.ts';
import { validateResource, validateUpdate } from '../../../lib/model/validation/validate.ts';
import { loadCases } from '../../support/conformance-cases.ts';

interface ValidationCase {
  id: string;
  kind: string;
  object: Resource;
  valid: boolean;
  fails?: { at?: string; rule: string }[];
}

/** `<x*N>` in a text stands for N times x. */
function expanded(value: unknown): unknown {
  if (typeof value === 'string') {
    return value.replace(/<(.)\*(\d+)>/g, (_, character: string, count: string) =>
      character.repeat(Number(count)),
    );
  }
  if (Array.isArray(value)) return value.map(expanded);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, expanded(item)]));
}

function isAtOrInside(path: string, outer: string): boolean {
  return outer === '' || path === outer || path.startsWith(`${outer}.`) || path.startsWith(`${outer}[`);
}

/** At, inside or above the path; `spec` alone is too vague for a field inside it. */
function isNear(path: string, at: string): boolean {
  if (at === '') return true;
  if (isAtOrInside(path, at)) return true;
  return isAtOrInside(at, path) && path !== '' && (path !== 'spec' || at === 'spec');
}

describe('recorded cases', () => {
  it.each(loadCases<ValidationCase>('model/validation.json'))('$kind valid: $valid ($id)', (each) => {
    const resource = expanded(each.object) as Resource;
    const problems = validateResource(applyDefaults(resource));
    if (each.valid) {
      expect(problems).toEqual([]);
      return;
    }
    expect(problems).not.toEqual([]);
    const paths = (each.fails ?? []).flatMap(({ at }) => (at === undefined ? [] : [at.replace(/^\./, '')]));
    if (paths.length === 0) return;
    const found = problems.map((problem) => problem.path);
    expect({ found, isNear: found.some((path) => paths.some((at) => isNear(path, at))) }).toEqual({
      found,
      isNear: true,
    });
  });
});

function policy(spec: object): Resource {
  return {
    apiVersion: 'projectcalico.org/v3',
    kind: 'NetworkPolicy',
    metadata: { name: 'web', namespace: 'prod' },
    spec,
  };
}

const VALID_SPECS: Record<string, object> = {
  IPPool: { cidr: '10.0.0.0/16' },
  HostEndpoint: { node: 'node-1', interfaceName: 'eth0' },
  WorkloadEndpoint: { node: 'n', orchestrator: 'k8s', pod: 'p', endpoint: 'eth0', interfaceName: 'cali1' },
  CalicoNodeStatus: { node: 'n', classes: ['BGP'], updatePeriodSeconds: 10 },
};

describe('every kind', () => {
  it.each(CALICO_KINDS.map((info) => ({ info, kind: info.kind })))(
    '$kind has a schema and a valid object',
    ({ info }) => {
      expect(schemaOfKind(info.kind)).toBeDefined();
      const name = info.kind === 'WorkloadEndpoint' ? 'n-k8s-p-eth0' : (info.onlyName ?? 'thing');
      const resource = applyDefaults<Resource>({
        apiVersion: info.apiVersion,
        kind: info.kind,
        metadata: info.namespaced ? { name, namespace: 'prod' } : { name },
        spec: VALID_SPECS[info.kind] ?? {},
      });
      expect(validateResource(resource)).toEqual([]);
      expect(unknownFields(resource)).toEqual([]);
    },
  );
});

describe('problems', () => {
  it('lists every problem of an object at once, with its path', () => {
    const resource = policy({
      selector: 'role = ',
      ingress: [
        { action: 'Permit', protocol: 'TCP', source: { nets: ['10.0.0.1/8', 'fd00::/8'] } },
        { action: 'Allow', protocol: 'UDP', icmp: { type: 300 }, destination: { ports: [0, '9:1'] } },
      ],
    });
    expect(validateResource(resource).map(({ path, rule }) => `${path} ${rule}`)).toEqual([
      'spec.selector format',
      'spec.ingress[0].action enum',
      'spec.ingress[0].source.nets[0] format',
      'spec.ingress[0].source.nets crossField',
      'spec.ingress[1].icmp.type maximum',
      'spec.ingress[1].destination.ports[0] format',
      'spec.ingress[1].destination.ports[1] format',
      'spec.ingress[1].icmp crossField',
    ]);
  });

  it('reports wrong types and goes on', () => {
    const resource = policy({
      order: 'first',
      ingress: { action: 'Allow' },
      egress: ['Allow'],
      types: 'Ingress',
    });
    expect(validateResource(resource).map(({ path, rule }) => `${path} ${rule}`)).toEqual([
      'spec.order type',
      'spec.types type',
      'spec.ingress type',
      'spec.egress[0] type',
    ]);
  });

  it.each([
    [{ namespace: 'prod' }, 'metadata.name'],
    [{ name: 'web' }, 'metadata.namespace'],
    [{ name: 'Web', namespace: 'prod' }, 'metadata.name'],
    [{ name: 'web', namespace: 'prod', labels: { 'a b': 'c' } }, 'metadata.labels["a b"]'],
    [{ name: 'web', namespace: 'prod', labels: { a: 'c d' } }, 'metadata.labels.a'],
  ])('finds the fault in metadata %j', (metadata, path) => {
    const resource = { ...policy({}), metadata } as Resource;
    expect(validateResource(resource).map((problem) => problem.path)).toEqual([path]);
  });

  it('refuses an unknown kind and another apiVersion', () => {
    expect(validateResource({ ...policy({}), kind: 'Gateway' })[0]?.path).toBe('kind');
    expect(validateResource({ ...policy({}), apiVersion: 'v1' })[0]?.path).toBe('apiVersion');
  });

  it('is not fooled by names of Object.prototype', () => {
    const hostile = JSON.parse(
      '{"ingress":[{"action":"constructor"}],"__proto__":{"order":1},"toString":1}',
    ) as object;
    expect(validateResource(policy(hostile)).map((problem) => problem.path)).toEqual([
      'spec.ingress[0].action',
    ]);
    expect(unknownFields(policy(hostile))).toEqual(['spec.__proto__', 'spec.toString']);
    expect(validateResource({ ...policy({}), kind: 'constructor' })[0]?.path).toBe('kind');
  });

  it('refuses a WorkloadEndpoint under a name that its spec does not say', () => {
    const resource: Resource = {
      apiVersion: 'projectcalico.org/v3',
      kind: 'WorkloadEndpoint',
      metadata: { name: 'n-k8s-other-eth0', namespace: 'prod' },
      spec: VALID_SPECS['WorkloadEndpoint'],
    };
    expect(validateResource(resource).map((problem) => problem.path)).toEqual(['metadata.name']);
  });
});

function problemPaths(kind: string, spec: object, name = 'thing'): string[] {
  const resource: Resource = { apiVersion: 'projectcalico.org/v3', kind, metadata: { name }, spec };
  return validateResource(applyDefaults(resource)).map((problem) => problem.path);
}

describe('rules that no recorded case shows', () => {
  it.each([
    [
      'GlobalNetworkPolicy',
      { ingress: [{ action: 'Allow', source: { notNets: ['0.0.0.0/0'] } }] },
      'spec.ingress[0].source.notNets[0]',
    ],
    [
      'GlobalNetworkPolicy',
      { ingress: [{ action: 'Allow', source: { nets: ['10.0.0.1'] } }] },
      'spec.ingress[0].source.nets[0]',
    ],
    [
      'GlobalNetworkPolicy',
      { ingress: [{ action: 'Allow', destination: { ports: [80] } }] },
      'spec.ingress[0].destination.ports',
    ],
    ['GlobalNetworkPolicy', { ingress: [{ action: 'Allow', protocol: 'tcp' }] }, 'spec.ingress[0].protocol'],
    [
      'GlobalNetworkPolicy',
      { egress: [{ action: 'Allow', destination: { services: { name: 's' } } }] },
      'spec.egress[0].destination.services.namespace',
    ],
    [
      'GlobalNetworkPolicy',
      { ingress: [{ action: 'Allow', http: { paths: [{ exact: '/a?b' }] } }] },
      'spec.ingress[0].http.paths[0].exact',
    ],
    ['FelixConfiguration', { wireguardListeningPort: 99_999 }, 'spec.wireguardListeningPort'],
    ['FelixConfiguration', { routeTableRanges: [{ min: 1, max: 65_536 }] }, 'spec.routeTableRanges'],
    [
      'FelixConfiguration',
      { openstackRegion: 'my-region-has-a-very-long-and-extremely-interesting-name' },
      'spec.openstackRegion',
    ],
    ['IPPool', { cidr: '10.0.0.0/16', ipip: { enabled: true } }, 'spec.ipip'],
    ['IPPool', { cidr: '10.0.0.0/16', blockSize: 33 }, 'spec.blockSize'],
    ['Node', { bgp: {} }, 'spec.bgp'],
    [
      'BGPFilter',
      { exportV4: [{ action: 'Reject', operations: [{ setPriority: { value: 1 } }] }] },
      'spec.exportV4[0].operations',
    ],
    [
      'CalicoNodeStatus',
      { node: 'n', classes: ['BGP'], updatePeriodSeconds: 86_401 },
      'spec.updatePeriodSeconds',
    ],
  ])('%s %j', (kind, spec, path) => expect(problemPaths(kind, spec)).toEqual([path]));

  it("keeps settings of the whole cluster out of a node's BGPConfiguration", () => {
    expect(problemPaths('BGPConfiguration', { asNumber: 64512, listenPort: 178 }, 'node.a')).toEqual([
      'spec.asNumber',
    ]);
    expect(problemPaths('BGPConfiguration', { asNumber: 64512 }, 'default')).toEqual([]);
  });

  it('refuses a second object of a kind that has one only', () => {
    expect(problemPaths('ClusterInformation', {}, 'other')).toEqual(['metadata.name']);
  });

  it('takes named ports without a protocol, as some do not know it', () => {
    const spec = { ingress: [{ action: 'Allow', destination: { ports: ['http'] } }] };
    expect(problemPaths('GlobalNetworkPolicy', spec)).toEqual([]);
  });
});

describe('unknown fields', () => {
  it('names each one, at any depth', () => {
    const resource = policy({ ingres: [], ingress: [{ action: 'Allow', source: { net: ['10.0.0.0/8'] } }] });
    expect(unknownFields({ ...resource, extra: 1 } as Resource)).toEqual([
      'spec.ingres',
      'spec.ingress[0].source.net',
      'extra',
    ]);
  });
});

describe('updates', () => {
  const pool = (spec: object): Resource =>
    applyDefaults<Resource>({
      apiVersion: 'projectcalico.org/v3',
      kind: 'IPPool',
      metadata: { name: 'p' },
      spec,
    });

  it('keeps the network and block size of a pool', () => {
    const stored = pool({ cidr: '10.0.0.0/16' });
    expect(validateUpdate(stored, pool({ cidr: '10.0.0.0/16', natOutgoing: true }))).toEqual([]);
    expect(validateUpdate(stored, pool({ cidr: '10.0.0.0/15' })).map(({ path }) => path)).toEqual([
      'spec.cidr',
    ]);
    expect(
      validateUpdate(stored, pool({ cidr: '10.0.0.0/16', blockSize: 28 })).map(({ path }) => path),
    ).toEqual(['spec.blockSize']);
  });

  it('allows another spelling of the same network', () => {
    expect(validateUpdate(pool({ cidr: 'fd00::/48' }), pool({ cidr: 'fd00:0:0::/48' }))).toEqual([]);
  });
});
