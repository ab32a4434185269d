// A speaker in this process on loopback, with peers that are scripts.

import { parseConfiguration, type SpeakerConfig, speakerConfig } from '../../../../agents/bgp/config.ts';
import { type LocalSession, localOpen, PLAIN_SESSION } from '../../../../agents/bgp/fsm/negotiate.ts';
import { Speaker, type SpeakerOptions } from '../../../../agents/bgp/speaker.ts';
import { EventLog } from '../../../../lib/events/event-log.ts';
import { silentLogger } from '../../../../lib/logging/logger.ts';
import type { BgpdConfigurationInput } from '../../../../lib/protocol/bgpd.ts';
import { until } from '../../../support/until.ts';
import { only } from '../fsm/peer-asns.ts';
import { ip } from '../rib/rib-support.ts';
import { freePort, RawPeer } from './raw-peer.ts';

export class LoopbackSpeaker {
  readonly speaker: Speaker;
  readonly until = until;
  readonly #port: number;
  readonly #peers: RawPeer[] = [];

  private constructor(speaker: Speaker, port: number) {
    this.speaker = speaker;
    this.#port = port;
  }

  static async start(
    more: Partial<BgpdConfigurationInput>,
    options: Partial<SpeakerOptions> = {},
  ): Promise<LoopbackSpeaker> {
    const port = await freePort();
    const speaker = new Speaker(configOf({ ...listenOn(port), ...more }), {
      log: silentLogger(),
      events: new EventLog({ host: 'test' }),
      isRestart: false,
      random: () => 0.5,
      ...options,
    });
    await speaker.start();
    return new LoopbackSpeaker(speaker, port);
  }

  async reconfigure(more: Partial<BgpdConfigurationInput>): Promise<void> {
    await this.speaker.reconfigure(configOf({ ...listenOn(this.#port), ...more }));
  }

  async connect(address: string): Promise<RawPeer> {
    const peer = await RawPeer.connect(this.#port, address);
    this.#peers.push(peer);
    return peer;
  }

  async establish(address: string, asn: number): Promise<RawPeer> {
    const peer = await this.connect(address);
    peer.send(localOpen(sessionOf(address, asn)));
    peer.send({ type: 'keepalive' });
    await peer.next('keepalive');
    return peer;
  }

  async stop(): Promise<void> {
    for (const peer of this.#peers) peer.close();
    await this.speaker.leave();
  }
}

/** The session of a speaker at that address, with refresh and without graceful restart. */
export function sessionOf(address: string, asn: number): LocalSession {
  return {
    ...PLAIN_SESSION,
    asn,
    bgpIdentifier: Number(ip(address).value),
    peerAsns: only(65000),
    holdTimeSeconds: 90,
    families: ['ipv4Unicast'],
  };
}

/** AS 65000 at 127.0.0.1, without a kernel. */
export function configOf(more: Partial<BgpdConfigurationInput>): SpeakerConfig {
  const parsed = parseConfiguration({
    routerId: '127.0.0.1',
    asn: 65000,
    kernel: { enabled: false },
    ...more,
  });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors));
  return speakerConfig(parsed.configuration, new Map());
}

function listenOn(port: number): Pick<BgpdConfigurationInput, 'listen'> {
  return { listen: [{ address: '127.0.0.1', port }] };
}
