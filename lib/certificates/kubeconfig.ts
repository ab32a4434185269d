// The kubeconfig that kubectl and calicoctl read: server, CA and a client certificate, all inline.

export interface KubeconfigParts {
  readonly server: string;
  /** PEM. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export function renderKubeconfig({ server, ca, cert, key }: KubeconfigParts): string {
  const encode = (pem: string): string => Buffer.from(pem).toString('base64');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'calico-ts', cluster: { server, 'certificate-authority-data': encode(ca) } }],
    users: [
      { name: 'admin', user: { 'client-certificate-data': encode(cert), 'client-key-data': encode(key) } },
    ],
    contexts: [{ name: 'calico-ts', context: { cluster: 'calico-ts', user: 'admin' } }],
    'current-context': 'calico-ts',
  };
  // JSON is YAML; every client reads it.
  return `${JSON.stringify(config, null, 2)}\n`;
}
