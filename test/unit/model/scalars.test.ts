// Ports, protocols, AS numbers, DSCP and hashed ids against recorded answers of Calico's own code.

import { describe, expect, it } from '@jest/globals';
import {
  dscpFromText,
  dscpNumber,
  formatNumberOrName,
  formatPort,
  isValidDscp,
  type NumberOrName,
  namedPort,
  numberOrNameToJson,
  type PortValue,
  parseAsNumber,
  parseNumberOrName,
  parsePort,
  portToJson,
  protocolFromText,
  protocolFromTextV1,
  protocolHasPorts,
  protocolToV1,
} from '../../../lib/model/numbers.ts';
import { lengthLimitedId, uniqueId } from '../../../lib/model/unique-id.ts';
import { loadCases } from '../../support/conformance-cases.ts';

interface NumberCase {
  id: string;
  op: string;
  type: 'asn' | 'port' | 'protocol' | 'dscp';
  json?: string;
  text?: string;
  number?: number;
  value?: unknown;
  result?: unknown;
  error?: true;
}

function decode(each: NumberCase): unknown {
  const value: unknown = JSON.parse(each.json ?? '');
  if (each.type === 'asn') return parseAsNumber(value);
  return each.type === 'port' ? parsePort(value) : parseNumberOrName(value);
}

function encode({ type, value }: NumberCase): string {
  if (type === 'asn') return JSON.stringify(value);
  return JSON.stringify(
    type === 'port' ? portToJson(value as PortValue) : numberOrNameToJson(value as NumberOrName),
  );
}

function dscp(each: NumberCase): NumberOrName {
  return each.number === undefined ? { name: each.text ?? '' } : { number: each.number };
}

const operations: Record<string, (each: NumberCase) => unknown> = {
  decode,
  encode,
  text: ({ type, value }) =>
    type === 'port'
      ? formatPort(value as PortValue)
      : type === 'asn'
        ? String(value)
        : formatNumberOrName(value as NumberOrName),
  'from-text': ({ type, text }) =>
    type === 'dscp' ? dscpFromText(text ?? '') : protocolFromText(text ?? ''),
  'from-text-v1': ({ text }) => protocolFromTextV1(text ?? ''),
  'to-v1': ({ value }) => protocolToV1(value as NumberOrName),
  'has-ports': ({ value }) => protocolHasPorts(value as NumberOrName),
  'named-port': ({ text }) => namedPort(text ?? ''),
  valid: (each) => isValidDscp(dscp(each)),
  'to-number': (each) => dscpNumber(dscp(each)),
};

const EXPECTED_FIELD: Record<string, keyof NumberCase> = { encode: 'json', text: 'text', 'to-v1': 'result' };
Object.assign(EXPECTED_FIELD, { 'has-ports': 'result', valid: 'result', 'to-number': 'result' });

describe('numbers', () => {
  it.each(loadCases<NumberCase>('model/numbers.json'))('$op $type $json $text ($id)', (each) => {
    const operation = operations[each.op];
    if (operation === undefined) throw new Error(`unknown operation ${each.op}`);
    if (each.error) expect(() => operation(each)).toThrow();
    else expect(operation(each)).toEqual(each[EXPECTED_FIELD[each.op] ?? 'value']);
  });

  it('keeps digits as a name only where a named port is asked for', () => {
    expect(namedPort('8080')).toEqual({ name: '8080' });
    expect(parsePort('8080')).toEqual({ min: 8080, max: 8080 });
  });

  it.each(['10:1', 'a b', '', '65536', '1:', true, null, 1.5, -1, 65536])('refuses %p as a port', (value) => {
    expect(() => parsePort(value)).toThrow();
  });

  it('takes a protocol text above 255 for a name', () => {
    expect(parseNumberOrName('255')).toEqual({ number: 255 });
    expect(parseNumberOrName('256')).toEqual({ name: '256' });
    expect(() => parseNumberOrName(256)).toThrow();
  });
});

interface IdCase {
  id: string;
  op: 'unique' | 'limited';
  prefix: string;
  content?: string;
  suffix?: string;
  max?: number;
  result?: string;
  error?: true;
}

describe('hashed ids', () => {
  it.each(loadCases<IdCase>('model/ids.json'))('$op $prefix ($id)', (each) => {
    const make = () =>
      each.op === 'unique'
        ? uniqueId(each.prefix, each.content ?? '')
        : lengthLimitedId(each.prefix, each.suffix ?? '', each.max ?? 0);
    if (each.error) expect(make).toThrow();
    else expect(make()).toBe(each.result);
  });

  it('gives the id of all() that Calico names its set by', () => {
    expect(uniqueId('s', 'all()')).toBe('s:5y5I3VdRZfDU01O--xXAPx2yxCQQqMf0M6IWug');
  });

  it('shortens a text of exactly the limit that looks like a shortened one, and refuses no room', () => {
    expect(lengthLimitedId('a', '', 3)).toBe('a_');
    expect(lengthLimitedId('a', '_b', 3)).not.toBe('a_b');
    expect(() => lengthLimitedId('abc', 'long-suffix', 4)).toThrow();
  });
});
