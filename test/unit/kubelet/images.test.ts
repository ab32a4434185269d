import { describe, expect, it } from '@jest/globals';
import { builtInImage, commandLine, judgeBuiltIn } from '../../../agents/kubelet/runtime/images.ts';

describe('builtInImage', () => {
  it.each([
    ['busybox', 'busybox'],
    ['busybox:1.36', 'busybox'],
    ['docker.io/library/busybox:latest', 'busybox'],
    [`busybox@sha256:${'0'.repeat(64)}`, 'busybox'],
    ['calico-ts/probe', 'probe'],
    ['probe:v1', 'probe'],
    ['nginx', undefined],
    ['example.org:5000/busybox', undefined],
    ['constructor', undefined],
  ])('%s is %s', (reference, image) => {
    expect(builtInImage(reference)).toBe(image);
  });
});

describe('commandLine', () => {
  it.each([
    ['busybox', undefined, undefined, ['sh']],
    ['busybox', undefined, ['sleep', '5'], ['sleep', '5']],
    ['busybox', ['sh', '-c'], ['date'], ['sh', '-c', 'date']],
    ['probe', undefined, undefined, ['probe', 'serve']],
    ['probe', undefined, ['connect', 'ping', '::1'], ['probe', 'connect', 'ping', '::1']],
    ['probe', ['sleep', '5'], undefined, ['sleep', '5']],
  ] as const)('%s with command %j and args %j', (image, command, args, expected) => {
    expect(commandLine(image, command, args)).toEqual(expected);
  });
});

describe('judgeBuiltIn', () => {
  it('says why another image waits, and what would run it', () => {
    expect(judgeBuiltIn('nginx:1.27')).toEqual({
      ok: false,
      reason: 'ErrImagePull',
      message: expect.stringMatching(/"nginx:1.27".*busybox and probe only.*no Docker engine/),
    });
  });
});
