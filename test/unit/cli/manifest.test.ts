// Manifests: what is read from YAML and JSON, and where in the text a field stands.
import { describe, expect, it } from '@jest/globals';
import { checkObject, type ManifestAction } from '../../../cli/manifest/check.ts';
import { type ManifestObject, parseManifest } from '../../../cli/manifest/manifest.ts';
import { readObjects } from '../../../cli/manifest/read-files.ts';

interface Parsed {
  readonly objects: ManifestObject[];
  readonly problems: string[];
  readonly warnings: string[];
}

function parse(text: string): Parsed {
  const problems: string[] = [];
  const warnings: string[] = [];
  return { objects: parseManifest({ source: 'file.yaml', text }, problems, warnings), problems, warnings };
}

function check(text: string, action: ManifestAction = 'apply', namespace?: string): string[] {
  const { objects, problems } = parse(text);
  for (const object of objects) checkObject(object, action, namespace, problems);
  return problems;
}

const POLICY = `apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata:
  name: web
  namespace: prod
spec:
  selector: role == 'web'
  ingress:
    - action: Allow
      protocol: TCP
      source:
        selector: role == 'client'
      destination: { ports: [80, "443:444"] }
`;

describe('manifest', () => {
  it('reads every document of a stream and skips empty ones', () => {
    const { objects, problems } = parse(`---\n${POLICY}---\n# nothing\n---\n${POLICY}`);
    expect(problems).toEqual([]);
    expect(objects.map(({ value }) => value['kind'])).toEqual(['NetworkPolicy', 'NetworkPolicy']);
  });

  it.each([
    ['yes', '"yes"', 'true'],
    ['No', '"No"', 'false'],
    ['ON', '"ON"', 'true'],
    ['off', '"off"', 'false'],
    ['Y', '"Y"', 'true'],
    ['n', '"n"', 'false'],
    ['010', '10', '8'],
    ['-0644', '-644', '-420'],
  ])('warns of %s, which is %s here and %s to kubectl', (source, here, there) => {
    const { objects, problems, warnings } = parse(`---\n${POLICY}---\nkind: A\nlist:\n  - [a, ${source}]\n`);
    expect(problems).toEqual([]);
    expect(String(objects[1]?.value['list'])).toBe(`a,${here.replaceAll('"', '')}`);
    expect(warnings).toEqual([
      `file.yaml:18:9: ${source} is ${here} here, but ${there} where YAML 1.1 is read, as by kubectl: quote it, or write it another way`,
    ]);
  });

  it('warns of keys too, and of nothing that all read alike', () => {
    expect(parse('on: 1').warnings).toEqual([expect.stringMatching(/^file\.yaml:1:1: on is /)]);
    const alike = ['"yes"', "'010'", '!!str 010', '0o10', '08', '0', '00', '0.7', 'true', 'yeah', 'nob', '~'];
    expect(parse(`# yes: 010\nlist: [${alike.join(', ')}]\ntext: |\n  yes\n`).warnings).toEqual([]);
    expect(parse('{"a": "yes", "b": 10}').warnings).toEqual([]);
    expect(parse('%YAML 1.1\n---\na: yes\n').warnings).toEqual([]);
  });

  it('has its warnings told, whatever else is wrong', async () => {
    let told = '';
    const err = (text: string): void => {
      told += text;
    };
    const read = readObjects({ filename: ['-'] }, { readStdin: async () => 'a: yes\n---\n[', err });
    await expect(read).rejects.toThrow('1 problem; nothing was stored');
    expect(told).toMatch(/^-:1:4: yes is "yes" here, but true where .*\n$/);
  });

  it('reads JSON, arrays, and lists whose items leave kind and version out', () => {
    const item = '{"metadata":{"name":"a"},"spec":{"nets":[]}}';
    const list = `{"apiVersion":"projectcalico.org/v3","kind":"NetworkSetList","items":[${item}]}`;
    const { objects } = parse(`[${list}]`);
    expect(objects.map(({ value }) => value)).toEqual([
      {
        apiVersion: 'projectcalico.org/v3',
        kind: 'NetworkSet',
        metadata: { name: 'a' },
        spec: { nets: [] },
      },
    ]);
  });

  it.each([
    ['spec.selector', 'file.yaml:7:3'],
    ['spec.ingress[0].action', 'file.yaml:9:7'],
    ['spec.ingress[0].source.selector', 'file.yaml:12:9'],
    ['spec.ingress[0].destination.ports[1]', 'file.yaml:13:34'],
    // What is missing is placed at what it is missing in.
    ['spec.ingress[0].source.nets', 'file.yaml:11:7'],
    ['spec.egress', 'file.yaml:6:1'],
    ['', 'file.yaml:1:1'],
  ])('places %j at %s', (path, place) => {
    expect(parse(POLICY).objects[0]?.locate(path)).toBe(place);
  });

  it('places fields of the items of a list', () => {
    const text =
      'apiVersion: projectcalico.org/v3\nkind: TierList\nitems:\n- metadata: {name: a}\n  spec:\n    order: x\n';
    expect(check(text)).toEqual(['file.yaml:6:5: spec.order: must be a number']);
  });

  it('tells every syntax error with its line', () => {
    const { problems } = parse('kind: a\nkind: b\n---\nkind: [\n');
    expect(problems).toHaveLength(2);
    expect(problems[0]).toMatch(/^file\.yaml:2:1: .*unique/i);
    expect(problems[1]).toMatch(/^file\.yaml:5:1: /);
  });

  it('bounds aliases, so that a small text does not become a large one', () => {
    const bomb = ['a: &a [x,x,x,x,x,x,x,x,x,x]'];
    for (const [to, from] of ['ba', 'cb', 'dc', 'ed', 'fe'])
      bomb.push(`${to}: &${to} [${Array(10).fill(`*${from}`).join(',')}]`);
    const { objects, problems } = parse(bomb.join('\n'));
    expect(objects).toEqual([]);
    expect(problems).toEqual([expect.stringMatching(/alias/i)]);
  });
});

describe('checks of manifests', () => {
  it('finds nothing wrong with a good policy', () => {
    expect(check(POLICY)).toEqual([]);
  });

  it('lists every problem of every document by place and field path', () => {
    const bad = POLICY.replace('Allow', 'Alow')
      .replace("role == 'web'", 'role ==')
      .replace('ingress:', 'ingres:');
    expect(check(`${POLICY.replace('TCP', 'TCPX')}---\n${bad}`)).toEqual([
      expect.stringMatching(/^file\.yaml:10:7: spec\.ingress\[0\]\.protocol: /),
      'file.yaml:13:22: spec.ingress[0].destination.ports: need protocol TCP, UDP or SCTP',
      'file.yaml:22:3: spec.ingres: field in document is not recognized or is in the wrong location',
      expect.stringMatching(/^file\.yaml:21:3: spec\.selector: /),
    ]);
  });

  it.each([
    [
      'kind: Pod\napiVersion: v1\n',
      'file.yaml:2:1: apiVersion: v1 Pod is managed through the Kubernetes API',
    ],
    [
      'apiVersion: projectcalico.org/v3\nkind: Tiers\n',
      'file.yaml:2:1: kind: is not a kind of projectcalico.org/v3',
    ],
    [
      'apiVersion: projectcalico.org/v1\nkind: Tier\n',
      'file.yaml:1:1: apiVersion: must be projectcalico.org/v3',
    ],
    ['apiVersion: projectcalico.org/v3\n', 'file.yaml:1:1: kind: must be set'],
    [
      'apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {}\n',
      'file.yaml:3:1: metadata.name: must be set',
    ],
    ['- a text\n', 'file.yaml:1:3: this is not an object'],
  ])('refuses %j', (text, complaint) => {
    expect(check(text)).toEqual([expect.stringContaining(complaint)]);
  });

  it('fills the namespace in, and refuses another than the one asked for', () => {
    const { objects } = parse(POLICY.replace('  namespace: prod\n', ''));
    const [object] = objects;
    if (object === undefined) throw new Error('nothing was read');
    expect(checkObject(object, 'apply', undefined, [])?.resource.metadata.namespace).toBe('default');
    expect(checkObject(object, 'apply', 'shop', [])?.resource.metadata.namespace).toBe('shop');
    expect(check(POLICY, 'apply', 'shop')).toEqual([
      'file.yaml:5:3: metadata.namespace: is "prod", but -n asks for "shop"',
    ]);
  });

  it('refuses a namespace for kinds that have none', () => {
    const tier = 'apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: a}\nspec: {order: 1}\n';
    expect(check(tier)).toEqual([]);
    expect(check(tier, 'apply', 'prod')).toEqual([
      'file.yaml:2:1: kind: Tier is not namespaced: leave -n out',
    ]);
  });

  it.each(['create', 'apply', 'replace', 'delete'] as const)('does not %s what others manage', (action) => {
    expect(check(POLICY.replace('name: web', 'name: knp.default.web'), action)).toEqual([
      expect.stringContaining('kubernetes network policies must be managed through the kubernetes API'),
    ]);
    const global =
      'apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: NAME}\nspec: {}\n';
    expect(check(global.replace('NAME', 'kcnp.closed'), action)).toEqual([
      expect.stringContaining('kubernetes network policies must be managed through the kubernetes API'),
    ]);
    expect(check(global.replace('NAME', 'closed'), action)).toEqual([]);
    const information =
      'apiVersion: projectcalico.org/v3\nkind: ClusterInformation\nmetadata: {name: default}\nspec: {}\n';
    expect(check(information, action)).toEqual([expect.stringContaining('by the system alone')]);
    expect(check(information, 'get')).toEqual([]);
  });
});
