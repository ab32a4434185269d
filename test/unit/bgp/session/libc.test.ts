// Socket options by libc on loopback: what is set is in force, what cannot be set says why, and nothing leaks.

import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { dial } from '../../../../agents/bgp/session/dial.ts';
import {
  fdOf,
  openSocket,
  type SocketSpec,
  saveSyns,
  setGreatestTtl,
  setMd5Key,
  synTtl,
  unacknowledged,
} from '../../../../agents/bgp/session/libc.ts';
import { until } from '../../../support/until.ts';
import { cidr, ip } from '../rib/rib-support.ts';
import { freePort } from './raw-peer.ts';

const plain: SocketSpec = {
  family: 4,
  keys: [],
  greatestTtl: false,
  minTtl: undefined,
  forListening: false,
};

describe('sockets by libc', () => {
  const closers: (() => void)[] = [];
  afterEach(() => {
    for (const close of closers.splice(0)) close();
  });

  async function listening(): Promise<{ server: Server; port: number; accepted: Promise<Socket> }> {
    const port = await freePort();
    const server = createServer().listen(port, '127.0.0.1');
    await once(server, 'listening');
    closers.push(() => server.close());
    const accepted = once(server, 'connection').then(([socket]) => {
      closers.push(() => (socket as Socket).destroy());
      return socket as Socket;
    });
    return { server, port, accepted };
  }
  const target = (port: number, more: object = {}): Parameters<typeof dial>[0] => ({
    address: ip('127.0.0.1'),
    addressText: '127.0.0.1',
    port,
    localAddress: '127.0.0.5',
    password: undefined,
    ttlSecurity: undefined,
    ...more,
  });

  it('connect with a key on both sides, from the source that was asked for', async () => {
    const { server, port, accepted } = await listening();
    setMd5Key(fdOf(server) ?? -1, cidr('127.0.0.0/29'), 'key of a prefix');
    const socket = dial(target(port, { password: 'key of a prefix' }));
    closers.push(() => socket.destroy());
    await once(socket, 'connect');
    expect((await accepted).remoteAddress).toBe('127.0.0.5');
  });

  it('show the TTL that a SYN has come with', async () => {
    const { server, port, accepted } = await listening();
    saveSyns(fdOf(server) ?? -1);
    setGreatestTtl(fdOf(server) ?? -1, 4);
    const socket = dial(target(port, { ttlSecurity: 1 }));
    closers.push(() => socket.destroy());
    await once(socket, 'connect');
    expect(synTtl(fdOf(await accepted) ?? -1, 4)).toBe(255);
    const plainOne = connect({ host: '127.0.0.1', port });
    closers.push(() => plainOne.destroy());
    const [other] = (await once(server, 'connection')) as [Socket];
    closers.push(() => other.destroy());
    expect(synTtl(fdOf(other) ?? -1, 4)).toBe(64);
  });

  it('count what the peer has not acknowledged', async () => {
    const { port, accepted } = await listening();
    const socket = connect({ host: '127.0.0.1', port });
    closers.push(() => socket.destroy());
    await once(socket, 'connect');
    (await accepted).pause();
    socket.write(new Uint8Array(16 * 1024 * 1024));
    await until('the window is closed', () => unacknowledged(fdOf(socket) ?? -1) > 100_000);
  });

  it('lose a key that is there, do not mind one that is not, and say what else was wrong', async () => {
    const { server } = await listening();
    const fd = fdOf(server) ?? -1;
    for (const network of [cidr('127.0.0.9/32'), cidr('127.0.0.0/29')]) {
      setMd5Key(fd, network, 'key');
      setMd5Key(fd, network, undefined);
      setMd5Key(fd, network, undefined);
      expect(() => setMd5Key(-1, network, undefined)).toThrow('setsockopt TCP_MD5SIG failed with errno 9');
    }
  });

  it('hold so many keys and say what bounds them', () => {
    const keys = Array.from({ length: 20_000 }, (_, index) => ({
      network: cidr(`10.${index >>> 8}.${index & 255}.1/32`),
      password: 'x',
    }));
    expect(() => openSocket({ ...plain, keys })).toThrow('net.core.optmem_max');
  });

  it('leave no descriptor behind where an option or the address cannot be set', () => {
    const count = (): number => readdirSync('/proc/self/fd').length;
    const before = count();
    for (let round = 0; round < 50; round++) {
      expect(() =>
        openSocket({ ...plain, bind: { address: ip('203.0.113.1'), port: 0, zone: undefined } }),
      ).toThrow('bind failed with errno 99');
    }
    expect(count()).toBe(before);
  });
});
