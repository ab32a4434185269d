// The daemon's namespace and the cable to it: 10.9.0.1/16 there, and a whole range of local addresses on this side.

import { runOk } from '../../lib/process/run.ts';
import { DAEMON_ADDRESS, DAEMON_IPV6, PEER_RANGE } from './topology.ts';

const NETNS = 'bgp-bench';

/** In the namespaces that this process runs in, and gone with them. Returns the name of the daemon's. */
export async function makeNetwork(): Promise<string> {
  await runOk('ip', ['netns', 'add', NETNS]);
  await batch(
    [],
    [
      'link set lo up',
      `link add bench type veth peer name eth0 netns ${NETNS}`,
      'addr add 10.9.127.1/16 dev bench',
      'link set bench up',
      // Every address of it is ours, without adding them one by one.
      `route add local ${PEER_RANGE} dev lo`,
    ],
  );
  await batch(
    ['-n', NETNS],
    [
      'link set lo up',
      `addr add ${DAEMON_ADDRESS}/16 dev eth0`,
      `addr add ${DAEMON_IPV6}/64 dev eth0 nodad`,
      'link set eth0 up',
    ],
  );
  return NETNS;
}

async function batch(options: readonly string[], commands: readonly string[]): Promise<void> {
  await runOk('ip', [...options, '-batch', '-'], { input: `${commands.join('\n')}\n` });
}
