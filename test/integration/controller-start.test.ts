// A controller whose etcd is away: it waits, and ends at TERM all the same.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { clusterRoles, issueCertificates } from '../../lib/certificates/certificates.ts';
import { spawnService } from '../../lib/process/service.ts';
import { freePort } from '../support/etcd.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'controller', 'main.ts');

it('ends at TERM while it waits for etcd', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'calico-ts-controller-'));
  try {
    await issueCertificates(directory, clusterRoles({ etcd: [], redis: [], controller: [] }));
    const file = (role: string, name: string): string => join(directory, role, name);
    const controller = await spawnService({
      argv: [
        'setpriv',
        ...['--pdeathsig', 'KILL', process.execPath, MAIN],
        ...['--etcd-endpoints', `http://127.0.0.1:${await freePort()}`],
        ...['--listen-address', '127.0.0.1', '--port', String(await freePort())],
        ...['--ca-file', file('api', 'ca.pem')],
        ...['--cert-file', file('api', 'cert.pem'), '--key-file', file('api', 'key.pem')],
        ...['--client-cert-file', file('controller', 'cert.pem')],
        ...['--client-key-file', file('controller', 'key.pem')],
      ],
      readyWhen: { kind: 'line', matches: (line) => line.includes('waiting for etcd') },
      readyTimeoutMs: 30_000,
    });
    // `stop` kills what does not end in time; this must end by itself.
    controller.kill('SIGTERM');
    expect(await controller.exited).toMatchObject({ code: 0 });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}, 60_000);
