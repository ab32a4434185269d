// What the API refuses about pods: above all names and paths that would lead a node out of its own folders.

import { describe, expect, it } from '@jest/globals';
import { defaultPod, validatePod } from '../../../../controller/api/pod-kind.ts';

function fieldsOf(spec: object, container: object = {}): (string | undefined)[] {
  const containers = [{ name: 'main', image: 'busybox', ...container }];
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web' }, spec: { containers, ...spec } };
  return validatePod(defaultPod(pod), undefined).map(({ field }) => field);
}
const volume = (name: unknown): object => ({ volumes: [{ name, emptyDir: {} }] });
const mount = (mountPath: string): object => ({ volumeMounts: [{ name: 'data', mountPath }] });

describe('a pod', () => {
  it('with a volume, a working folder and variables of usual names is fine', () => {
    const container = { ...mount('/var/lib/data.d/..data'), workingDir: '/srv', env: [{ name: 'a.B-c_1' }] };
    expect(fieldsOf(volume('data'), container)).toEqual([]);
  });

  it.each(['../../../../../etc', '..', '', 'a/b', 'a\tb', 'a\nb', 'Data', 'x'.repeat(64)])(
    'with a volume called %j is refused',
    (name) => {
      expect(fieldsOf(volume(name))).toEqual(['spec.volumes[0].name']);
    },
  );

  it('with two volumes of one name is refused', () => {
    expect(fieldsOf({ volumes: [{ name: 'a' }, { name: 'a' }] })).toEqual(['spec.volumes[1].name']);
  });

  it.each(['', '/a/../../etc', '..', '/a\tb', '/a\nb', '/a:ro'])('with a mount at %j is refused', (path) => {
    expect(fieldsOf(volume('data'), mount(path))).toEqual(['spec.containers[0].volumeMounts[0].mountPath']);
  });

  it('with a mount of no volume is refused', () => {
    expect(fieldsOf({}, mount('/data'))).toEqual(['spec.containers[0].volumeMounts[0].name']);
  });

  it.each(['/../../x', 'a/..', '/a\nb'])('with the working folder %j is refused', (workingDir) => {
    expect(fieldsOf({}, { workingDir })).toEqual(['spec.containers[0].workingDir']);
  });

  it.each(['', 'a=b', "x'y", '1x', 'a b'])('with a variable called %j is refused', (name) => {
    expect(fieldsOf({}, { env: [{ name, value: 'x' }] })).toEqual(['spec.containers[0].env[0].name']);
  });
});
