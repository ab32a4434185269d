// Address management as the controller shows it under its API, for a calicoctl that has no way to etcd.

import type { AddressReport, AuditReport, IpamInspection, UsageReport } from '../../lib/ipam/inspection.ts';
import type { IpamSettings } from '../../lib/ipam/types.ts';
import type { KubeClient } from '../../lib/kube-client/client.ts';

const ROOT = '/apis/calico-ts.dev/v1/ipam';

export class ApiIpam implements IpamInspection {
  readonly #client: KubeClient;
  readonly #signal: AbortSignal;

  constructor(client: KubeClient, signal: AbortSignal) {
    this.#client = client;
    this.#signal = signal;
  }

  async usage(): Promise<UsageReport> {
    return (await this.#call('GET', '/usage')) as UsageReport;
  }

  async address(ip: string): Promise<AddressReport> {
    return (await this.#call('GET', `/addresses/${encodeURIComponent(ip)}`)) as AddressReport;
  }

  async release(ip: string): Promise<boolean> {
    const answer = await this.#call('DELETE', `/addresses/${encodeURIComponent(ip)}`);
    return (answer as { released: boolean }).released;
  }

  async audit(): Promise<AuditReport> {
    return (await this.#call('GET', '/audit')) as AuditReport;
  }

  async settings(): Promise<IpamSettings> {
    return (await this.#call('GET', '/settings')) as IpamSettings;
  }

  async setSettings(settings: IpamSettings): Promise<void> {
    await this.#call('PUT', '/settings', settings);
  }

  #call(method: string, path: string, body?: object): Promise<unknown> {
    return this.#client.call(method, `${ROOT}${path}`, body, { signal: this.#signal });
  }
}
