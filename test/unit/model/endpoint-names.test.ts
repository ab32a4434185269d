// Names of WorkloadEndpoints against recorded answers of Calico's own code.

import { describe, expect, it } from '@jest/globals';
import {
  matchesWorkloadEndpointName,
  parseWorkloadEndpointName,
  type WorkloadEndpointIds,
  WorkloadEndpointNameError,
  workloadEndpointName,
  workloadEndpointNamePrefix,
} from '../../../lib/model/workload-endpoint-name.ts';
import { loadCases } from '../../support/conformance-cases.ts';

interface NameCase {
  id: string;
  op: 'name' | 'prefix' | 'matches' | 'parse';
  why: string;
  ids?: WorkloadEndpointIds;
  name?: string;
  result?: boolean;
  error?: { field?: string };
}

function answer(each: NameCase): unknown {
  const ids = each.ids ?? {};
  if (each.op === 'matches') return { result: matchesWorkloadEndpointName(ids, each.name ?? '') };
  if (each.op === 'parse') return { ids: parseWorkloadEndpointName(each.name ?? '') };
  const built = each.op === 'name' ? workloadEndpointName(ids) : workloadEndpointNamePrefix(ids);
  if (!built.ok) throw built.error;
  return { name: built.name };
}

function answerOrError(each: NameCase): unknown {
  try {
    return answer(each);
  } catch (error) {
    if (!(error instanceof WorkloadEndpointNameError)) throw error;
    const { field } = error.type;
    return { error: field === undefined ? {} : { field } };
  }
}

describe('WorkloadEndpoint names', () => {
  it.each(loadCases<NameCase>('model/endpoint-names.json'))('$op: $why ($id)', (each) => {
    const expected =
      each.error !== undefined
        ? { error: each.error }
        : each.op === 'matches'
          ? { result: each.result }
          : each.op === 'parse'
            ? { ids: each.ids }
            : { name: each.name };
    expect(answerOrError(each)).toEqual(expected);
  });

  it('drops the name that libnetwork writes twice', () => {
    expect(parseWorkloadEndpointName('n-libnetwork-libnetwork-e')).toEqual({
      node: 'n',
      orchestrator: 'libnetwork',
      endpoint: 'e',
    });
  });

  it('parses what it wrote, for node names with dashes and dots', () => {
    const ids = { node: 'ip-10-0-0-1.eu', orchestrator: 'k8s', pod: 'web--1', endpoint: 'eth0' };
    const built = workloadEndpointName(ids);
    expect(built.ok && parseWorkloadEndpointName(built.name)).toEqual(ids);
  });
});
