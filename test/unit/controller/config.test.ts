// What the controller needs beyond what is always required.
import { describe, expect, it } from '@jest/globals';
import { CONTROLLER_SETTINGS, problemsOf } from '../../../controller/config.ts';
import { loadSettings } from '../../../lib/config/settings.ts';

const ALWAYS = ['--etcd-endpoints', 'https://etcd:2379', '--ca-file', 'ca'];
const CLIENT = ['--client-cert-file', 'cert', '--client-key-file', 'key'];

function problems(...argv: readonly string[]): readonly string[] {
  const loaded = loadSettings(CONTROLLER_SETTINGS, { argv, env: {} });
  return loaded.ok ? problemsOf(loaded.settings) : loaded.problems;
}

describe("the controller's settings", () => {
  it('name everything that is missing at once', () => {
    expect(problems()).toEqual([
      '--etcd-endpoints (ETCD_ENDPOINTS) is required',
      '--ca-file (API_CA_FILE) is required',
      '--client-cert-file (API_CLIENT_CERT_FILE) is required',
      '--client-key-file (API_CLIENT_KEY_FILE) is required',
    ]);
  });

  it('want a certificate to serve the API, else the server that does', () => {
    expect(problems(...ALWAYS, ...CLIENT)).toEqual([
      '--cert-file (API_CERT_FILE) is required to serve the API',
      '--key-file (API_KEY_FILE) is required to serve the API',
    ]);
    expect(problems(...ALWAYS, ...CLIENT, '--cert-file', 'c', '--key-file', 'k')).toEqual([]);
    expect(problems(...ALWAYS, ...CLIENT, '--no-serve-api')).toEqual([
      '--api-server (API_SERVER) is required where no API is served',
    ]);
    expect(problems(...ALWAYS, ...CLIENT, '--no-serve-api', '--api-server', 'https://api')).toEqual([]);
  });

  it('know which controllers there are', () => {
    expect(problems(...ALWAYS, ...CLIENT, '--no-serve-api', '--enabled-controllers', 'gc,web')).toEqual([
      '--enabled-controllers: "web" is none of namespaces, scheduler, nodes, kubernetes, endpoints, hostendpoints, gc',
    ]);
  });
});
