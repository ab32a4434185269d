// What a running speaker is asked over the control socket: its routes, its peers' history, and what to do to a peer.

import { parseCidr } from '../../../lib/net/ip.ts';
import type { BgpdRequest, BgpdResponse } from '../../../lib/protocol/bgpd.ts';
import { CeaseSubcode } from '../packet/iana.ts';
import type { PeerSession } from '../session/peer-session.ts';
import type { Speaker } from '../speaker.ts';
import { historyView } from './history-view.ts';
import { destinationPage, type Page, receivedPage, sentPage } from './route-pages.ts';
import { whyView } from './why-view.ts';

type PeerRequest = Extract<BgpdRequest, { type: 'ribIn' | 'ribOut' | 'history' | 'reset' | 'refresh' }>;
export type RoutingRequest = PeerRequest | Extract<BgpdRequest, { type: 'rib' | 'why' }>;

export async function answerRouting(speaker: Speaker, request: RoutingRequest): Promise<BgpdResponse> {
  if (request.type === 'rib') {
    const page = await destinationPage(speaker, request);
    const total = request.prefix === undefined ? speaker.rib.size : page.items.length;
    return { type: 'rib', destinations: page.items, total, ...nextOf(page) };
  }
  if (request.type === 'why') {
    const prefix = parseCidr(request.prefix);
    return { type: 'why', destinations: prefix === undefined ? [] : whyView(speaker, prefix) };
  }
  const peer = speaker.peer(request.peer);
  if (peer !== undefined) return answerOfPeer(speaker, peer, request);
  return { type: 'error', code: 'unknownPeer', message: `no peer is named ${request.peer}` };
}

async function answerOfPeer(
  speaker: Speaker,
  peer: PeerSession,
  request: PeerRequest,
): Promise<BgpdResponse> {
  switch (request.type) {
    case 'ribIn': {
      const page = await receivedPage(speaker, peer.name, request);
      return { type: 'ribIn', paths: page.items, ...nextOf(page) };
    }
    case 'ribOut': {
      const page = await sentPage(speaker, peer.name, request);
      return { type: 'ribOut', paths: page.items, ...nextOf(page) };
    }
    case 'history':
      return { type: 'history', history: historyView(peer.name, peer.history, request.raw) };
    case 'reset':
      peer.reset(CeaseSubcode.administrativeReset);
      return { type: 'acknowledged' };
    case 'refresh':
      if (peer.requestRefresh()) return { type: 'acknowledged' };
      return {
        type: 'error',
        code: 'badRequest',
        message: `${peer.name} is not established with route refresh`,
      };
  }
}

function nextOf({ next }: Page<unknown>): { readonly next?: string } {
  return next === undefined ? {} : { next };
}
