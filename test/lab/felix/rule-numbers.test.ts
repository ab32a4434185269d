// Rule ids across an agent's restart, against a real kernel: what flows of before carry still resolves, no number comes twice.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Dataplane } from '../../../agents/felix/dataplane/dataplane.ts';
import { KernelWriterClient } from '../../../agents/felix/kernel/writer-client.ts';
import { formatRules } from '../../../agents/node/rules-text.ts';
import { silentLogger } from '../../../lib/logging/logger.ts';
import {
  endpointUpdate,
  entity,
  identityUpdate,
  memberUpdate,
  policyUpdate,
  port,
  rule,
} from '../../unit/felix/nftables/support.ts';
import { programFile } from '../support/programs.ts';
import { Namespace } from './support/namespaces.ts';

let host: Namespace;
let folder: string;
let writer: KernelWriterClient;
let dataplane: Dataplane | undefined;
const events = { emit: () => undefined };

/** An agent's life: its own writer and dataplane, the kernel's state and the state directory of before. */
async function begin(): Promise<Dataplane> {
  writer = new KernelWriterClient({
    program: programFile('agents/felix/kernel/main'),
    logger: silentLogger(),
    events,
    commandPrefix: host.commandPrefix,
  });
  await writer.start();
  const ruleNumbersFile = join(folder, 'rule-numbers');
  dataplane = new Dataplane({ writer, events, logger: silentLogger(), ruleNumbersFile });
  await dataplane.start();
  return dataplane;
}
async function end(): Promise<void> {
  await dataplane?.stop();
  await writer.stop();
}
async function program(agent: Dataplane, tcpPort: number): Promise<void> {
  const messages = [
    identityUpdate(1),
    memberUpdate('10.80.0.2/32', 1),
    policyUpdate([rule(0, { destination: entity({ ports: [port(tcpPort)] }) })]),
    endpointUpdate('web', '10.80.0.2', 1),
    { type: 'inSync' } as const,
  ];
  await agent.apply({ messages, revision: 1, invalid: [] });
}
const idOfRule = (agent: Dataplane): number | undefined =>
  agent.describe()?.rules.find(({ meaning }) => meaning.includes('ingress rule 1'))?.id;

beforeEach(async () => {
  host = Namespace.create('host');
  folder = mkdtempSync(join(tmpdir(), 'ct-numbers-'));
});
afterEach(async () => {
  await end();
  host.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('rule ids of an earlier agent', () => {
  it('resolve after its restart, as text too', async () => {
    const first = await begin();
    await program(first, 80);
    const { epoch, generation } = first.table;
    const id = idOfRule(first);
    expect(id).toBeGreaterThanOrEqual(16);
    await end();
    const second = await begin();
    await program(second, 443);
    expect(second.table.epoch).toBe(epoch + 1);
    const earlier = second.describe()?.earlier.find((each) => each.epoch === epoch);
    expect(earlier?.generations).toContain(generation);
    expect(earlier?.rules).toContainEqual({ id, meaning: 'allow by NetworkPolicy/red/p, ingress rule 1' });
    const description = second.describe();
    const text = description === undefined ? '' : formatRules(description);
    expect(text).toMatch(new RegExp(`^rule ids of epoch ${epoch}, generation .*\\b${generation}$`, 'm'));
    expect(text).toContain(`  0x${id?.toString(16)}  allow by NetworkPolicy/red/p, ingress rule 1`);
  });

  it('are given out under no epoch again, even if the table has gone meanwhile', async () => {
    const first = await begin();
    await program(first, 80);
    const { epoch } = first.table;
    await end();
    await host.exec('nft', 'delete', 'table', 'inet', 'calico');
    const second = await begin();
    await program(second, 443);
    expect(second.table.epoch).toBeGreaterThan(epoch);
    expect(await host.exec('nft', 'list', 'table', 'inet', 'calico')).toContain(`_v${second.table.epoch}`);
    expect(second.describe()?.earlier.map((each) => each.epoch)).toContain(epoch);
  });
});
