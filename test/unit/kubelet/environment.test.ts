import { describe, expect, it } from '@jest/globals';
import { containerEnvironment, containerMounts, expand } from '../../../agents/kubelet/pods/environment.ts';
import type { Container, Pod } from '../../../lib/model/kubernetes-pod-types.ts';

const container: Container = { name: 'main' };
const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', namespace: 'shop', uid: 'u1', labels: { app: 'web' } },
  spec: {
    containers: [container],
    volumes: [
      { name: 'data', emptyDir: {} },
      { name: 'cm', configMap: {} },
    ],
  },
};
const context = { nodeName: 'node-1', hostIp: '10.0.0.1', podIps: ['192.168.0.1', 'fd00::1'] };
const field = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } });

describe('containerEnvironment', () => {
  it('gives values, fields of the pod, and what refers to earlier ones', () => {
    const env = [
      { name: 'A', value: 'x' },
      field('IP', 'status.podIP'),
      field('IPS', 'status.podIPs'),
      field('NODE', 'spec.nodeName'),
      field('APP', "metadata.labels['app']"),
      { name: 'URL', value: 'http://$(IP)/$(A)$(LATER)' },
      { name: 'LATER', value: '$$(A)' },
    ];
    const result = containerEnvironment(pod, { ...container, env }, context);
    expect(result).toEqual({
      ok: true,
      value: [
        ['HOSTNAME', 'web'],
        ['A', 'x'],
        ['IP', '192.168.0.1'],
        ['IPS', '192.168.0.1,fd00::1'],
        ['NODE', 'node-1'],
        ['APP', 'web'],
        ['URL', 'http://192.168.0.1/x$(LATER)'],
        ['LATER', '$(A)'],
      ],
    });
  });

  it('refuses a source that it does not know, by name', () => {
    const env = [{ name: 'SECRET', valueFrom: { secretKeyRef: { name: 's' } } }] as Container['env'] & object;
    const result = containerEnvironment(pod, { ...container, env }, context);
    expect(result).toEqual({
      ok: false,
      problem: 'environment variable SECRET: a source other than fieldRef is not supported',
    });
  });
});

describe('expand', () => {
  it('leaves what is no reference as it is', () => {
    expect(expand('$A {B} $() $(C)', new Map([['A', '1']]))).toBe('$A {B} $() $(C)');
  });
});

describe('containerMounts', () => {
  const mounts = (volumeMounts: Container['volumeMounts'] & object) =>
    containerMounts(pod, { ...container, volumeMounts }, (name) => `/folders/${name}`);

  it('mounts an emptyDir', () => {
    expect(mounts([{ name: 'data', mountPath: '/data', readOnly: true }])).toEqual({
      ok: true,
      value: [{ volume: 'data', source: '/folders/data', target: '/data', readOnly: true }],
    });
  });

  it.each([
    [{ name: 'cm', mountPath: '/x' }, 'volume cm: only emptyDir volumes are supported'],
    [{ name: 'nope', mountPath: '/x' }, 'volume nope: only emptyDir volumes are supported'],
    [{ name: 'data', mountPath: '/a/../../etc' }, 'volume data: mountPath "/a/../../etc" is invalid'],
    [{ name: 'data', mountPath: '/x', subPath: 'y' }, 'volume data: subPath is not supported'],
  ])('refuses %j', (mount, problem) => {
    expect(mounts([mount])).toEqual({ ok: false, problem });
  });

  it.each(['../../../etc', '..', '.', 'a/b', 'a\tb', 'a\nb', '', 'A', 'x'.repeat(64)])(
    'refuses a volume called %j, whoever mounts it',
    (name) => {
      const bad = { ...pod, spec: { ...pod.spec, volumes: [{ name, emptyDir: {} }] } } as typeof pod;
      for (const volumeMounts of [[], [{ name, mountPath: '/data' }]]) {
        const result = containerMounts(bad, { ...container, volumeMounts }, () => {
          throw new Error('a folder was asked for');
        });
        expect(result).toEqual({ ok: false, problem: `volume ${JSON.stringify(name)}: not a DNS label` });
      }
    },
  );
});
