// Elements written by messages of our own, against a real kernel: sets of every shape, one filled by us and one by libnftables, are
// changed alike at random; the listings stay the same, and each takes what the other has written.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Libnftables } from '../../../agents/felix/kernel/libnftables.ts';
import { elementBatch, getElement } from '../../../agents/felix/kernel/netlink/element-messages.ts';
import { NetlinkError, NetlinkFamily, NetlinkSocket } from '../../../agents/felix/kernel/netlink/socket.ts';
import { formatInterval, partition } from '../../../agents/felix/nftables/render/intervals.ts';
import { cidrFirst, type Family, formatIp, parseCidr } from '../../../lib/net/ip.ts';
import type { ElementChange, ElementField } from '../../../lib/protocol/kernel-writer.ts';
import { SeededRandom } from '../../support/random.ts';
import { Namespace } from './support/namespaces.ts';

const SEED = Number(process.env['TEST_SEED'] ?? 1 + Math.floor(Math.random() * 1e9));
const ROUNDS = Number(process.env['TEST_STEPS'] ?? 15);
const TABLE = 'bench';

type Element = ElementChange['elements'][number];
type Content = ReadonlyMap<string, Element>;

interface Shape {
  readonly name: string;
  readonly fields: readonly ElementField[];
  readonly isInterval: boolean;
  readonly value: 'mark' | 'classid' | 'verdict' | 'none';
  /** Keys that may be there together, other ones each time. */
  readonly keys: (random: SeededRandom) => readonly string[];
}

const several = (random: SeededRandom, make: () => string): readonly string[] =>
  Array.from({ length: 1 + random.below(8) }, make);
const address = (family: Family, random: SeededRandom): string =>
  family === 4 ? `10.${random.below(3)}.0.${random.below(4)}` : `fd00:${random.below(3)}::${random.below(4)}`;
const interfaceName = (random: SeededRandom): string => `"cali${random.below(5)}"`;
/** The whole family, cut at random networks: neighbours touch, and the last interval ends where the family does. */
const wholeFamily = (family: Family, random: SeededRandom): readonly string[] => {
  const nets = several(random, () =>
    family === 4
      ? `${random.below(256)}.${random.below(4)}.0.0/${8 + random.below(25)}`
      : `${(0x2000 + random.below(4)).toString(16)}::${random.below(4)}/${1 + random.below(128)}`,
  );
  const atoms = nets.flatMap((net) => {
    const cidr = parseCidr(net);
    return cidr === undefined ? [] : [{ cidr, name: formatIp(cidrFirst(cidr)) }];
  });
  return partition(family, atoms).map((interval) => formatInterval(family, interval));
};
/** Ranges of ports that do not overlap, of one number and protocol. */
const portRanges = (prefix: string, random: SeededRandom): readonly string[] =>
  [0, 1000, 2000, 64_000].map((base) => {
    const first = base + random.below(500);
    return `${prefix} . ${first}-${first + random.below(400)}`;
  });

const SHAPES: readonly Shape[] = [
  ...([4, 6] as const).flatMap((family): Shape[] => {
    const type = family === 4 ? 'ipv4_addr' : 'ipv6_addr';
    return [
      {
        name: `ids${family}`,
        fields: [type],
        isInterval: false,
        value: 'mark',
        keys: (random) => several(random, () => address(family, random)),
      },
      {
        name: `sources${family}`,
        fields: ['ifname', type],
        isInterval: false,
        value: 'none',
        keys: (random) => several(random, () => `${interfaceName(random)} . ${address(family, random)}`),
      },
      {
        name: `classes${family}`,
        fields: [type],
        isInterval: true,
        value: 'mark',
        keys: (random) => wholeFamily(family, random),
      },
      {
        name: `pools${family}`,
        fields: [type],
        isInterval: true,
        value: 'none',
        keys: (random) => {
          const left = random.below(2);
          return wholeFamily(family, random).filter((_, index) => index % 2 === left);
        },
      },
      {
        name: `spoofed${family}`,
        fields: ['ifname', type],
        isInterval: true,
        value: 'none',
        keys: (random) =>
          several(random, () => {
            const net = family === 4 ? `10.${random.below(200)}.0.0/16` : `fd${10 + random.below(80)}::/16`;
            return `${interfaceName(random)} . ${net}`;
          }),
      },
    ];
  }),
  {
    name: 'endpoints',
    fields: ['ifname'],
    isInterval: false,
    value: 'mark',
    keys: (random) => several(random, () => interfaceName(random)),
  },
  {
    name: 'groups',
    fields: ['mark'],
    isInterval: false,
    value: 'verdict',
    keys: (random) => several(random, () => String(random.below(100_000))),
  },
  {
    name: 'ports',
    fields: ['mark', 'inet_proto', 'inet_service'],
    isInterval: false,
    value: 'mark',
    keys: (random) =>
      several(
        random,
        () => `${random.below(100_000)} . ${[6, 17, 132][random.below(3)]} . ${random.below(65_536)}`,
      ),
  },
  {
    name: 'protocols',
    fields: ['mark', 'inet_proto'],
    isInterval: false,
    value: 'none',
    keys: (random) => several(random, () => `${random.below(100)} . ${[1, 6, 17][random.below(3)]}`),
  },
  {
    name: 'ranges',
    fields: ['mark', 'inet_proto', 'inet_service'],
    isInterval: true,
    value: 'mark',
    keys: (random) => portRanges(`${random.below(100_000)} . ${[6, 17][random.below(2)]}`, random),
  },
  {
    name: 'classids',
    fields: ['classid', 'inet_proto', 'inet_service'],
    isInterval: false,
    value: 'classid',
    keys: (random) => several(random, () => `${1 + random.below(0x180000)} . 6 . ${random.below(65_536)}`),
  },
  {
    name: 'classid_ranges',
    fields: ['classid', 'inet_proto', 'inet_service'],
    isInterval: true,
    value: 'classid',
    keys: (random) => portRanges(`${1 + random.below(0x180000)} . ${[6, 17][random.below(2)]}`, random),
  },
  {
    name: 'classid_marks',
    fields: ['classid'],
    isInterval: false,
    value: 'mark',
    keys: (random) => several(random, () => `0x${(0x40000 + random.below(0x40000)).toString(16)}`),
  },
  {
    name: 'any_ranges',
    fields: ['inet_proto', 'inet_service'],
    isInterval: true,
    value: 'mark',
    keys: (random) => portRanges(String([6, 17][random.below(2)]), random),
  },
];

const declaration = ({ name, fields, isInterval, value }: Shape, writer: string): string => {
  const type = `type ${fields.join(' . ')}${value === 'none' ? '' : ` : ${value}`};`;
  const kind = value === 'none' ? 'set' : 'map';
  return `add ${kind} inet ${TABLE} ${name}_${writer} { ${type}${isInterval ? ' flags interval;' : ''} }`;
};
const asText = (change: 'add' | 'delete', set: string, elements: readonly Element[]): string => {
  const texts = elements.map(({ key, value, comment }) => {
    if (change === 'delete') return key;
    const commented = comment === undefined ? key : `${key} comment "${comment}"`;
    return value === undefined ? commented : `${commented} : ${value}`;
  });
  return `${change} element inet ${TABLE} ${set} { ${texts.join(', ')} }\n`;
};

describe('elements by messages of our own', () => {
  let host: Namespace;
  let library: Libnftables;
  let socket: NetlinkSocket;
  beforeAll(async () => {
    process.stdout.write(`TEST_SEED=${SEED}\n`);
    host = Namespace.create('host');
    library = host.inside(() => new Libnftables());
    socket = host.inside(() => new NetlinkSocket(NetlinkFamily.netfilter));
    nft(`add table inet ${TABLE}\nadd chain inet ${TABLE} first\nadd chain inet ${TABLE} second\n`);
    for (const shape of SHAPES) nft(`${declaration(shape, 'ours')}\n${declaration(shape, 'theirs')}\n`);
  });
  afterAll(() => {
    socket?.close();
    host?.close();
  });

  const nft = (text: string): string => {
    const result = library.run(text, { output: 'json', isCheck: false });
    if (!result.ok) throw new Error(`${result.error}\n${text}`);
    return result.output;
  };
  const listed = (shape: Shape, writer: string): readonly string[] => {
    const kind = shape.value === 'none' ? 'set' : 'map';
    const { nftables } = JSON.parse(nft(`list ${kind} inet ${TABLE} ${shape.name}_${writer}`)) as {
      nftables: readonly Record<string, { readonly elem?: readonly unknown[] }>[];
    };
    return nftables.flatMap((entry) => (entry[kind]?.elem ?? []).map((each) => JSON.stringify(each))).sort();
  };
  const write = (
    how: 'messages' | 'text',
    { fields, isInterval }: Shape,
    set: string,
    gone: readonly Element[],
    come: readonly Element[],
  ): void => {
    if (how === 'text') {
      const deletion = gone.length === 0 ? '' : asText('delete', set, gone);
      const addition = come.length === 0 ? '' : asText('add', set, come);
      if (deletion + addition !== '') nft(deletion + addition);
      return;
    }
    const part = (change: 'add' | 'delete', elements: readonly Element[]): readonly ElementChange[] =>
      elements.length === 0
        ? []
        : [{ set, change, fields: [...fields], isInterval, elements: [...elements] }];
    const messages = elementBatch(TABLE, [...part('delete', gone), ...part('add', come)]);
    if (messages.length > 0) socket.batch(messages);
  };
  const contentOf = (shape: Shape, random: SeededRandom): Content => {
    const elements = shape.keys(random).map((key): Element => {
      const number = `0x${(1 + random.below(0x80000)).toString(16)}`;
      const values = {
        mark: number,
        classid: number,
        verdict: 'goto first',
        none: '',
      };
      const value = values[shape.value];
      return {
        key,
        ...(value === '' ? {} : { value }),
        ...(shape.name === 'endpoints' && random.below(2) === 0
          ? { comment: `red/pod-${random.below(9)}` }
          : {}),
      };
    });
    return new Map(elements.map((element) => [element.key, element]));
  };

  it.each(SHAPES)('$name: listed as libnftables’ own are, whoever changed them last', (shape) => {
    const random = new SeededRandom(SEED);
    let content: Content = new Map();
    for (let round = 0; round < ROUNDS; round++) {
      const next = round === ROUNDS - 1 ? new Map<string, Element>() : contentOf(shape, random);
      const isKept = (element: Element): boolean =>
        JSON.stringify(next.get(element.key)) === JSON.stringify(element);
      const gone = [...content.values()].filter((element) => !isKept(element));
      const come = [...next.values()].filter(
        ({ key }) => !content.has(key) || gone.some((each) => each.key === key),
      );
      // Every third change of each set is the other's.
      write(round % 3 === 2 ? 'text' : 'messages', shape, `${shape.name}_ours`, gone, come);
      write(round % 3 === 2 ? 'messages' : 'text', shape, `${shape.name}_theirs`, gone, come);
      content = next;
      const [ours, theirs] = [listed(shape, 'ours'), listed(shape, 'theirs')];
      expect(ours).toEqual(theirs);
      if (!shape.isInterval) expect(ours).toHaveLength(content.size);
    }
  });

  it('changes nothing if one element is refused, and says what', () => {
    const [shape] = SHAPES;
    if (shape === undefined) throw new Error('no shape');
    const set = `${shape.name}_ours`;
    const elements = [{ key: '192.0.2.1', value: '1' }];
    write('messages', shape, set, [], elements);
    const changes: readonly ElementChange[] = [
      {
        set,
        change: 'add',
        fields: ['ipv4_addr'],
        isInterval: false,
        elements: [{ key: '192.0.2.2', value: '2' }],
      },
      { set, change: 'delete', fields: ['ipv4_addr'], isInterval: false, elements: [{ key: '192.0.2.3' }] },
    ];
    expect(() => socket.batch(elementBatch(TABLE, changes))).toThrow(NetlinkError);
    expect(() => socket.batch(elementBatch(TABLE, changes))).toThrow(/ENOENT/);
    expect(listed(shape, 'ours')).toHaveLength(1);
    write('messages', shape, set, elements, []);
  });

  it.each([
    ['ifname', `"${'x'.repeat(16)}"`],
    ['mark', '4294967296'],
    ['inet_service', '65536'],
    ['ipv4_addr', '10.0.0'],
    ['ipv4_addr', '10.0.0.1 . 10.0.0.2'],
    ['ipv4_addr', '10.0.0.0/24'],
  ] as const)('does not encode what no set of %s can hold: %s', (field, key) => {
    const changes: readonly ElementChange[] = [
      { set: 'any', change: 'add', fields: [field], isInterval: false, elements: [{ key }] },
    ];
    expect(() => elementBatch(TABLE, changes)).toThrow();
  });

  it('finds an element by its key, and none that is not there', () => {
    const [shape] = SHAPES;
    if (shape === undefined) throw new Error('no shape');
    const set = `${shape.name}_ours`;
    write('messages', shape, set, [], [{ key: '192.0.2.1', value: '1' }]);
    const asked = (key: string, name = set): unknown =>
      socket.request(getElement(TABLE, { set: name, fields: ['ipv4_addr'], key }));
    expect(asked('192.0.2.1')).toBeDefined();
    expect(() => asked('192.0.2.2')).toThrow(/ENOENT/);
    expect(() => asked('192.0.2.1', 'no_such_set')).toThrow(/ENOENT/);
    write('messages', shape, set, [{ key: '192.0.2.1' }], []);
  });

  it('takes a transaction as large as any', () => {
    const [shape] = SHAPES;
    if (shape === undefined) throw new Error('no shape');
    const elements = Array.from({ length: 2_000 }, (_, index) => ({
      key: `172.16.${index >> 8}.${index & 255}`,
      value: String(index + 1),
    }));
    write('messages', shape, `${shape.name}_ours`, [], elements);
    expect(listed(shape, 'ours')).toHaveLength(2_000);
    write('messages', shape, `${shape.name}_ours`, elements, []);
    expect(listed(shape, 'ours')).toHaveLength(0);
  });
});
