// A line from the plugin as a request, with the error code of the specification for what makes no sense in it.

import { CniErrorCode, type CniRequest, cniRequestSchema } from '../../lib/protocol/cni.ts';
import { CniFailure } from './failure.ts';

/** Throws CniFailure. */
export function decodeRequest(line: string): CniRequest {
  const request = cniRequestSchema.safeParse(parse(line));
  if (!request.success) {
    const [issue] = request.error.issues;
    throw new CniFailure(
      CniErrorCode.invalidEnvironment,
      `the request is invalid: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`,
    );
  }
  const { args, config, ...others } = request.data;
  return { ...others, args: parseArgs(args), config: parseConfig(config) };
}

/** No configuration is an empty one: what is required of it is then missing. */
function parseConfig(text: string): unknown {
  const config = text.trim() === '' ? {} : parse(text);
  if (config === undefined)
    throw new CniFailure(CniErrorCode.decodeFailure, 'the network configuration is not JSON');
  return config;
}

function parseArgs(text: string): Record<string, string> {
  const pairs = text.split(';').filter((pair) => pair !== '');
  return Object.fromEntries(
    pairs.map((pair) => {
      const equals = pair.indexOf('=');
      if (equals < 1)
        throw new CniFailure(
          CniErrorCode.invalidEnvironment,
          `CNI_ARGS: not KEY=VALUE: ${JSON.stringify(pair)}`,
        );
      return [pair.slice(0, equals), pair.slice(equals + 1)];
    }),
  );
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
