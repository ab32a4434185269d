import { describe, expect, it } from '@jest/globals';
import { decodeChannelMessage, exitStatus } from '../../../agents/kubelet/streams/exec-session.ts';
import { parsePodPath } from '../../../agents/kubelet/streams/pod-path.ts';

const message = (channel: number, data: string | number[]): Buffer =>
  Buffer.concat([Buffer.from([channel]), Buffer.from(data as string)]);

describe('v5.channel.k8s.io', () => {
  it('channel 0 is input, the close of channel 0 its end', () => {
    expect(decodeChannelMessage(message(0, 'ls\n'))).toEqual({ kind: 'input', data: Buffer.from('ls\n') });
    expect(decodeChannelMessage(message(255, [0]))).toEqual({ kind: 'endOfInput' });
  });

  it('channel 4 is the size of the terminal', () => {
    const size = '{"Width":101,"Height":33}';
    expect(decodeChannelMessage(message(4, size))).toEqual({ kind: 'resize', columns: 101, rows: 33 });
  });

  it.each([
    [255, [1]],
    [4, '{"Width":-1,"Height":33}'],
    [4, '{'],
    [1, 'x'],
    [77, ''],
  ] as const)('channel %i with %j means nothing', (channel, data) => {
    expect(decodeChannelMessage(message(channel, data as string))).toEqual({ kind: 'other' });
  });

  it('an empty message means nothing', () => {
    expect(decodeChannelMessage(Buffer.alloc(0))).toEqual({ kind: 'other' });
  });

  it('exit codes are said as kubectl reads them', () => {
    expect(exitStatus(0, undefined)).toEqual({ metadata: {}, status: 'Success' });
    expect(exitStatus(3, undefined)).toEqual({
      metadata: {},
      status: 'Failure',
      reason: 'NonZeroExitCode',
      message: 'command terminated with non-zero exit code: exit status 3',
      details: { causes: [{ reason: 'ExitCode', message: '3' }] },
    });
  });
});

describe('parsePodPath', () => {
  it('finds namespace, pod and query', () => {
    const found = parsePodPath('/api/v1/namespaces/shop/pods/web-1/exec?command=sh&command=-c');
    expect(found).toMatchObject({ namespace: 'shop', pod: 'web-1', stream: 'exec' });
    expect(found?.query.getAll('command')).toEqual(['sh', '-c']);
  });
  it.each([
    '/',
    '/api/v1/namespaces/a/pods/b',
    '/api/v1/namespaces/a/pods/b/exec/c',
    '/api/v1/namespaces/%/pods/b/log',
  ])('%s is not served', (target) => {
    expect(parsePodPath(target)).toBeUndefined();
  });
});
