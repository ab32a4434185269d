// Names of endpoint status files against recorded answers of Calico's own code.

import { describe, expect, it } from '@jest/globals';
import { endpointStatusFileName } from '../../../lib/model/endpoint-status-file.ts';
import { loadCases } from '../../support/conformance-cases.ts';

interface StatusFileCase {
  id: string;
  op: 'status-file';
  why: string;
  key: { host: string; orchestrator: string; workload: string; endpoint: string };
  file: string;
}

describe('endpoint status files', () => {
  it.each(loadCases<StatusFileCase>('model/endpoint-status.json'))('$op: $why ($id)', ({ key, file }) => {
    expect(endpointStatusFileName(key)).toBe(file);
  });

  it('escape as a segment of a path: some punctuation stays, the rest is upper-case hexadecimal', () => {
    const name = endpointStatusFileName({
      orchestrator: 'a$&+=:@-_.~b',
      workload: "ns/!*'();?#[]% é",
      endpoint: 'eth0',
    });
    expect(name).toBe('a$&+=:@-_.~b ns%2F%21%2A%27%28%29%3B%3F%23%5B%5D%25%20%C3%A9 eth0');
  });
});
