// Run by without-root.test.ts as a user without privileges, in a namespace of its own: loads many addresses through the table
// driver, whose transactions must fit the socket buffer that such a user gets, and prints how many the kernel then has.

import { KernelWriterClient } from '../../../../agents/felix/kernel/writer-client.ts';
import { DataplaneState } from '../../../../agents/felix/nftables/render/dataplane-state.ts';
import { TableDriver } from '../../../../agents/felix/nftables/table-driver.ts';
import { silentLogger } from '../../../../lib/logging/logger.ts';
import { programFile } from '../../support/programs.ts';

const count = Number(process.argv[2]);
const events = { emit: () => undefined };
const writer = new KernelWriterClient({
  program: programFile('agents/felix/kernel/main'),
  logger: silentLogger(),
  events,
});
try {
  await writer.start();
  const state = new DataplaneState();
  const nowMs = (): number => performance.now();
  const driver = new TableDriver({ writer, state, events, logger: silentLogger(), nowMs });
  await driver.start();
  state.apply({ type: 'identityUpdate', identity: { id: 1, labels: {}, ports: [] } });
  for (let index = 0; index < count; index++) {
    const net = `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}/32`;
    state.apply({ type: 'memberUpdate', net, identities: [1] });
  }
  const update = await driver.update();
  const listing = JSON.stringify(await writer.nftQuery(`list map inet calico id4_v${driver.epoch}`, 'json'));
  const found = listing.match(/"10\.\d+\.\d+\.\d+"/g)?.length ?? 0;
  process.stdout.write(JSON.stringify({ uid: process.getuid?.(), found, transactions: update.transactions }));
} finally {
  await writer.stop();
}
