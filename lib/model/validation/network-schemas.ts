// Schemas of network sets, profiles, pools, reservations and IPAM's settings (Calico v3).

import { type Cidr, cidrsOverlap, isMasked, parseCidr } from '../../net/ip.ts';
import { isEncapsulating } from '../endpoint-types.ts';
import { hasGlobal, looseCidr, maskedNet, resourceName, selector } from './formats.ts';
import { checkLabel } from './metadata.ts';
import { conditions } from './policy-schemas.ts';
import { RULE_SCHEMA } from './rule-schema.ts';
import {
  any,
  boolean,
  checkedText,
  integer,
  isAbsent,
  type JsonObject,
  list,
  listField,
  map,
  type ObjectSchema,
  object,
  objectField,
  oneOf,
  type Report,
  text,
  textField,
} from './schema.ts';

const networkSet = object({ spec: object({ nets: list(checkedText(maskedNet)) }) });
const profileRules = list(RULE_SCHEMA, { maxItems: 1024 });

function checkLabelsToApply(spec: JsonObject, report: Report): void {
  for (const [key, value] of Object.entries(objectField(spec, 'labelsToApply') ?? {})) {
    for (const problem of checkLabel('labelsToApply', key, value))
      report(problem.path, problem.message, problem.rule);
  }
}

const encapsulation = oneOf('Never', 'Always', 'CrossSubnet');
const LINK_LOCAL = ['169.254.0.0/16', 'fe80::/10'];
/** Limits of blocks by family: smallest and largest prefix length. */
const BLOCK_LENGTHS = { 4: [20, 32], 6: [116, 128] } as const;
export const DEFAULT_BLOCK_SIZE = { 4: 26, 6: 122 } as const;

function checkPoolCidr(spec: JsonObject, report: Report): void {
  const cidrText = textField(spec, 'cidr');
  const cidr = cidrText === undefined ? undefined : parseCidr(cidrText);
  if (cidrText === undefined || cidr === undefined) return;
  if (!isMasked(cidrText)) report('cidr', 'must have no bits set behind its length', 'format');
  for (const range of LINK_LOCAL) {
    const linkLocal = parseCidr(range);
    if (linkLocal !== undefined && cidrsOverlap(cidr, linkLocal)) {
      report('cidr', `must not overlap with the link-local range ${range}`);
    }
  }
  checkBlockSize(spec, cidr, report);
  if (cidr.family === 6 && isEncapsulating(spec['ipipMode']))
    report('ipipMode', 'must be Never on an IPv6 pool');
}

function checkBlockSize(spec: JsonObject, cidr: Cidr, report: Report): void {
  const given = spec['blockSize'];
  const hasBlockSize = typeof given === 'number' && given !== 0;
  const blockSize = hasBlockSize ? given : DEFAULT_BLOCK_SIZE[cidr.family];
  const [smallest, largest] = BLOCK_LENGTHS[cidr.family];
  if (blockSize < smallest || blockSize > largest) {
    report('blockSize', `must be from ${smallest} to ${largest} on an IPv${cidr.family} pool`);
  }
  if (spec['disabled'] !== true && cidr.length > blockSize) {
    report('cidr', `must be at least as large as a block (/${blockSize})`);
  }
}

function checkPoolModes(spec: JsonObject, report: Report): void {
  if (isEncapsulating(spec['ipipMode']) && isEncapsulating(spec['vxlanMode'])) {
    report('ipipMode', 'must not be enabled together with vxlanMode');
  }
  for (const field of ['nodeSelector', 'namespaceSelector']) {
    if (hasGlobal(textField(spec, field))) report(field, 'must not hold global()');
  }
}

function checkPoolUses(spec: JsonObject, report: Report): void {
  const uses = listField(spec, 'allowedUses');
  if (uses.includes('Tunnel') && textField(spec, 'namespaceSelector') !== undefined) {
    report('namespaceSelector', 'must not be set on a pool for tunnel addresses');
  }
  if (!uses.includes('LoadBalancer')) return;
  if (uses.includes('Workload') || uses.includes('Tunnel')) {
    report('allowedUses', 'must not combine LoadBalancer with Workload or Tunnel');
  }
  for (const field of ['ipipMode', 'vxlanMode']) {
    if (isEncapsulating(spec[field])) report(field, 'must be Never on a pool for load balancers');
  }
  if (spec['disableBGPExport'] === true)
    report('disableBGPExport', 'must be false on a pool for load balancers');
  const nodes = textField(spec, 'nodeSelector');
  if (nodes !== undefined && nodes !== 'all()')
    report('nodeSelector', 'must be all() on a pool for load balancers');
}

function checkOldPoolFields(spec: JsonObject, report: Report): void {
  if (!isAbsent(spec['ipip'])) report('ipip', 'must not be set: say ipipMode', 'forbidden');
  if (spec['nat-outgoing'] === true) report('nat-outgoing', 'must not be set: say natOutgoing', 'forbidden');
}

function checkDeletedMark(spec: JsonObject, report: Report): void {
  if (spec['deleted'] === true || spec['deleted'] === 'true')
    report('deleted', 'must not be set by hand', 'forbidden');
}

export const NETWORK_SCHEMAS: Readonly<Record<string, ObjectSchema>> = {
  NetworkSet: networkSet,
  GlobalNetworkSet: networkSet,
  Profile: object({
    spec: object(
      { ingress: profileRules, egress: profileRules, labelsToApply: map(text()) },
      { checks: [checkLabelsToApply] },
    ),
  }),
  IPPool: object(
    {
      spec: object(
        {
          cidr: checkedText(looseCidr),
          vxlanMode: encapsulation,
          ipipMode: encapsulation,
          natOutgoing: boolean,
          disabled: boolean,
          disableBGPExport: boolean,
          blockSize: integer(0, 128),
          nodeSelector: checkedText(selector),
          namespaceSelector: checkedText(selector),
          allowedUses: list(oneOf('Workload', 'Tunnel', 'LoadBalancer'), { maxItems: 10, isSet: true }),
          assignmentMode: text({ enum: ['Automatic', 'Manual'], default: 'Automatic' }),
          // Names of the first API, known so that they can be refused with a reason.
          ipip: any,
          'nat-outgoing': boolean,
        },
        { required: ['cidr'], checks: [checkPoolCidr, checkPoolModes, checkPoolUses, checkOldPoolFields] },
      ),
      status: object({ conditions }),
    },
    { required: ['spec'] },
  ),
  IPReservation: object({ spec: object({ reservedCIDRs: list(checkedText(looseCidr)) }) }),
  IPAMConfiguration: object({
    spec: object({
      strictAffinity: boolean,
      maxBlocksPerHost: integer(0, 1_000_000),
      autoAllocateBlocks: boolean,
      kubeVirtVMAddressPersistence: oneOf('Enabled', 'Disabled'),
      ipCooldownSeconds: integer(0, 1_200),
    }),
  }),
  BlockAffinity: object({
    spec: object(
      {
        state: oneOf('confirmed', 'pending', 'pendingDeletion'),
        node: checkedText(resourceName),
        type: oneOf('host', 'virtual'),
        cidr: checkedText(looseCidr),
        deleted: { type: 'any' },
      },
      { checks: [checkDeletedMark] },
    ),
  }),
};
