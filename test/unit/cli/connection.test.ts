// What calicoctl connects to: configuration file, environment, kubeconfigs.
import { describe, expect, it } from '@jest/globals';
import { CliError } from '../../../cli/cli-error.ts';
import { kubeClientOptions } from '../../../cli/connection/kubeconfig.ts';
import { settingsFromEnvironment, settingsFromFile } from '../../../cli/connection/settings.ts';

describe('settings from the environment', () => {
  it('is the API where nothing names etcd', () => {
    expect(settingsFromEnvironment({ KUBECONFIG: '/k' })).toEqual({ etcd: undefined, kubeconfig: '/k' });
  });

  it('is etcd where its endpoints are named, with TLS by files', () => {
    const env = {
      ETCD_ENDPOINTS: 'https://a:2379, https://b:2379',
      ETCD_CA_CERT_FILE: '/ca',
      ETCD_CERT_FILE: '/cert',
      ETCD_KEY_FILE: '/key',
    };
    expect(settingsFromEnvironment(env).etcd).toEqual({
      endpoints: ['https://a:2379', 'https://b:2379'],
      tls: { caFile: '/ca', certFile: '/cert', keyFile: '/key' },
    });
  });

  it('takes DATASTORE_TYPE at its word, with the usual endpoint', () => {
    expect(settingsFromEnvironment({ DATASTORE_TYPE: 'etcdv3' }).etcd?.endpoints).toEqual([
      'http://127.0.0.1:2379',
    ]);
    const both = { DATASTORE_TYPE: 'kubernetes', ETCD_ENDPOINTS: 'http://a:1' };
    expect(settingsFromEnvironment(both).etcd).toBeUndefined();
  });

  it('prefers names with CALICO_ in front', () => {
    const env = { ETCD_ENDPOINTS: 'http://a:1', CALICO_ETCD_ENDPOINTS: 'http://b:1' };
    expect(settingsFromEnvironment(env).etcd?.endpoints).toEqual(['http://b:1']);
  });

  it.each([
    [{ DATASTORE_TYPE: 'etcd' }, /DATASTORE_TYPE: unknown type etcd/],
    [
      { ETCD_ENDPOINTS: 'https://a:1', ETCD_CERT_FILE: '/c' },
      /ETCD_CERT_FILE and ETCD_KEY_FILE belong together/,
    ],
    [
      { ETCD_ENDPOINTS: 'https://a:1', ETCD_CERT_FILE: '/c', ETCD_KEY_FILE: '/k' },
      /ETCD_CA_CERT_FILE is missing/,
    ],
    [{ ETCD_DISCOVERY_SRV: 'example.org' }, /ETCD_DISCOVERY_SRV is not served/],
  ])('refuses %j', (env, message) => {
    expect(() => settingsFromEnvironment(env)).toThrow(message);
    expect(() => settingsFromEnvironment(env)).toThrow(CliError);
  });
});

describe('settings from a file', () => {
  const file = (spec: string): string =>
    `apiVersion: projectcalico.org/v3\nkind: CalicoAPIConfig\nmetadata:\nspec:\n${spec}`;

  it('wins over the environment', () => {
    const env = { ETCD_ENDPOINTS: 'http://env:1', KUBECONFIG: '/k' };
    const text = file('  datastoreType: etcdv3\n  etcdEndpoints: http://file:1\n');
    expect(settingsFromFile('/cfg', text, env)).toEqual({
      etcd: { endpoints: ['http://file:1'] },
      kubeconfig: '/k',
    });
  });

  it.each([
    ['kind: Other\n', 'must be an object of kind CalicoAPIConfig'],
    ['a: [\n', 'Error reading config file: /cfg'],
    [file('  etcdEndpoint: http://a:1\n'), 'unknown fields in spec: etcdEndpoint'],
  ])('refuses %j', (text, message) => {
    expect(() => settingsFromFile('/cfg', text, {})).toThrow(message);
  });
});

describe('kubeconfig', () => {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const text = JSON.stringify({
    'current-context': 'one',
    contexts: [
      { name: 'one', context: { cluster: 'c', user: 'inline' } },
      { name: 'two', context: { cluster: 'c', user: 'files' } },
      { name: 'token', context: { cluster: 'c', user: 'token' } },
    ],
    clusters: [
      { name: 'c', cluster: { server: 'https://api:6443', 'certificate-authority-data': base64('CA') } },
    ],
    users: [
      {
        name: 'inline',
        user: { 'client-certificate-data': base64('CERT'), 'client-key-data': base64('KEY') },
      },
      { name: 'files', user: { 'client-certificate': 'c.pem', 'client-key': '/abs/k.pem' } },
      { name: 'token', user: { token: 'x' } },
    ],
  });
  const files = [{ path: '/home/u/.kube/config', text }];
  const read = (path: string): string => `content of ${path}`;

  it('takes the current context, certificates inline', () => {
    const options = { server: 'https://api:6443', ca: 'CA', cert: 'CERT', key: 'KEY' };
    expect(kubeClientOptions(files, undefined, read)).toEqual(options);
  });

  it('takes the context that is named, with files beside the kubeconfig', () => {
    expect(kubeClientOptions(files, 'two', read)).toMatchObject({
      cert: 'content of /home/u/.kube/c.pem',
      key: 'content of /abs/k.pem',
    });
  });

  it('puts several files together, the first winning', () => {
    const first = { path: '/a', text: JSON.stringify({ 'current-context': 'two' }) };
    expect(kubeClientOptions([first, ...files], undefined, read).key).toBe('content of /abs/k.pem');
  });

  it('says what is missing', () => {
    expect(() => kubeClientOptions(files, 'three', read)).toThrow('there is no context "three"');
    expect(() => kubeClientOptions(files, 'token', read)).toThrow('there is no client-certificate');
  });
});
