// The lab's programs are called as the image calls them.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { AGENT_NODE_OPTIONS } from '../../../lab/processes.ts';

describe('processes of the lab', () => {
  it('the agent has the options of Node that it has in images', () => {
    const script = readFileSync(new URL('../../../docker/services/agent/run', import.meta.url), 'utf8');
    const options = /^exec node (.*) \S+agents\/node\/main\.js/m.exec(script)?.[1]?.split(' ');
    expect(options).toEqual(AGENT_NODE_OPTIONS);
  });
});
