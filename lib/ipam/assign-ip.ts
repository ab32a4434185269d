// Assigning one given address (Calico's libcalico-go lib/ipam/ipam.go AssignIP). Its block is made and claimed if it does not
// exist; reservations do not matter to somebody who asks for the address by name.

import { formatIp, type IpAddress, parseIp } from '../net/ip.ts';
import { blockOfAddress } from './arithmetic.ts';
import { assignFromBlock, pickAddress } from './assignment.ts';
import { ownerFor } from './auto-assign.ts';
import { createAttributes } from './block.ts';
import { DEFAULT_SETTINGS } from './block-json.ts';
import type { IpamContext } from './context.ts';
import { IpamError } from './errors.ts';
import { checkHandleLimit } from './handles.ts';
import { allowsUse, poolOfAddress } from './pools.ts';
import type { AssignedAddress, AssignIpRequest } from './types.ts';

/**
 * Throws `notInPool`, `useNotAllowed`, `alreadyAssigned`, `handleLimit`, or `blockOfOther` when strict affinity forbids to
 * borrow it.
 */
export async function assignIp(
  context: IpamContext,
  request: AssignIpRequest,
  signal: AbortSignal | undefined,
): Promise<AssignedAddress> {
  const address = parseAddress(request.ip);
  const [pools, settings] = await Promise.all([
    context.catalog.pools(signal),
    context.store.readSettings(signal),
  ]);
  const pool = poolOfAddress(
    pools.filter(({ isEnabled }) => isEnabled),
    address,
  );
  const ip = formatIp(address);
  if (pool === undefined) throw new IpamError({ code: 'notInPool', address: ip });
  if (request.use !== undefined && !allowsUse(pool, request.use)) {
    throw new IpamError({ code: 'useNotAllowed', address: ip, pool: pool.name, use: request.use });
  }
  const { handle, maxPerHandle } = request;
  const attributes = createAttributes(handle, request.attributes);
  const { addresses } = await assignFromBlock(
    context,
    {
      cidr: blockOfAddress(address, pool.blockSize),
      mode: 'any',
      owner: ownerFor(request.host, request.use),
      pool: pool.name,
      handle,
      attributes,
      settings: settings.value ?? DEFAULT_SETTINGS,
      address: ip,
      pick: pickAddress(address, attributes),
      checkHandle: async (stored) => {
        if (handle === undefined || maxPerHandle === undefined) return;
        const check = { handle, stored, family: address.family, count: 1, limit: maxPerHandle };
        await checkHandleLimit(context, check, signal);
      },
    },
    undefined,
    signal,
  );
  const assigned = addresses[0];
  if (assigned === undefined) throw new Error(`assigning ${ip} gave no address`);
  return assigned;
}

/** Throws `invalidRequest`. */
export function parseAddress(text: string): IpAddress {
  const address = parseIp(text);
  if (address === undefined) {
    throw new IpamError({
      code: 'invalidRequest',
      field: 'ip',
      reason: `${JSON.stringify(text)} is no address`,
    });
  }
  return address;
}
