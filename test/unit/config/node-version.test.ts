// A Node that is too old is told in a sentence, by every program.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { nodeProblem } from '../../../lib/config/node-version.ts';

const ROOT = join(__dirname, '../../..');
const PROGRAMS = [
  'agents/bgp/main.ts',
  'agents/kubelet/main.ts',
  'agents/node/main.ts',
  'cli/bgpctl/main.ts',
  'cli/main.ts',
  'controller/main.ts',
  'docker/certs.ts',
];

describe('the version of Node', () => {
  it('is told where it is too old', () => {
    expect(nodeProblem('20.20.2', '/usr/bin/node')).toBe(
      'Node 24 or newer is needed; this is Node 20.20.2 (/usr/bin/node). After "npm ci" a clone has one: node_modules/.bin/node',
    );
  });

  it('is the one that package.json asks for', () => {
    const { engines } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      engines: { node: string };
    };
    const [, major] = /^>=(\d+)$/.exec(engines.node) ?? [];
    expect(nodeProblem(`${major}.0.0`, 'node')).toBeUndefined();
    expect(nodeProblem(`${Number(major) - 1}.9.9`, 'node')).toBeDefined();
  });

  it.each(PROGRAMS)('is looked at first by %s', (program) => {
    const text = readFileSync(join(ROOT, program), 'utf8');
    const [, first] = /^import (.*)$/m.exec(text) ?? [];
    expect(first).toMatch(/^'(\.\.\/)+lib\/config\/node-version\.ts';$/);
  });
});
