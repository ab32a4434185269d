// A controller as it was before its events had filters: the one that runs, in front of which these parameters are dropped.

import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { stringify } from 'yaml';
import { issueCertificates } from '../../lib/certificates/certificates.ts';
import { renderKubeconfig } from '../../lib/certificates/kubeconfig.ts';
import type { KubeClient } from '../../lib/kube-client/client.ts';

const UNKNOWN_PARAMETERS = ['host', 'kind'];

export interface OlderController {
  /** For calicoctl's `--config`. */
  readonly config: string;
  readonly stop: () => Promise<void>;
}

async function* asLines(values: AsyncIterable<unknown>): AsyncGenerator<string> {
  for await (const value of values) yield `${JSON.stringify(value)}\n`;
}

export async function startOlderController(client: KubeClient): Promise<OlderController> {
  const folder = await mkdtemp(join(tmpdir(), 'calico-ts-older-'));
  const certificates = join(folder, 'certs');
  await issueCertificates(certificates, [{ role: 'both', commonName: 'both', hosts: ['127.0.0.1'] }]);
  const pem = (path: string): Promise<string> => readFile(join(certificates, `${path}.pem`), 'utf8');
  const [ca, cert, key] = await Promise.all([pem('ca/ca'), pem('both/cert'), pem('both/key')]);
  const server = createServer({ cert, key }, (request, response) => {
    const url = new URL(request.url ?? '/', 'https://older');
    for (const name of UNKNOWN_PARAMETERS) url.searchParams.delete(name);
    const answer = client.stream(`${url.pathname}${url.search}`, {});
    pipeline(answer, asLines, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const kubeconfig = join(folder, 'kubeconfig');
  await writeFile(kubeconfig, renderKubeconfig({ server: address, ca, cert, key }));
  const config = join(folder, 'calicoctl.yaml');
  const spec = { datastoreType: 'kubernetes', kubeconfig };
  await writeFile(
    config,
    stringify({ apiVersion: 'projectcalico.org/v3', kind: 'CalicoAPIConfig', metadata: {}, spec }),
  );
  const stop = async (): Promise<void> => {
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true, force: true });
  };
  return { config, stop };
}
