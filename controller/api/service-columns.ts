// Columns of Services and EndpointSlices, as kubectl prints them.

import type { EndpointSlice, Service, ServicePort } from '../../lib/model/kubernetes-service-types.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import type { Column } from './api-kind.ts';
import { ageColumn, column, nameColumn } from './columns.ts';

const NONE = '<none>';
/** More of them are counted. */
const SHOWN_ENDPOINTS = 3;

function portText({ port, protocol = 'TCP', nodePort }: ServicePort): string {
  return nodePort === undefined ? `${port}/${protocol}` : `${port}:${nodePort}/${protocol}`;
}

function externalText(object: Resource): string {
  const { spec = {}, status } = object as Service;
  if (spec.type === 'ExternalName') return spec.externalName ?? NONE;
  const ingress = (status?.loadBalancer?.ingress ?? []).map(({ ip, hostname }) => ip ?? hostname ?? '');
  const all = [...ingress, ...(spec.externalIPs ?? [])].filter((text) => text !== '');
  if (all.length > 0) return all.join(',');
  return spec.type === 'LoadBalancer' ? '<pending>' : NONE;
}

function selectorText(object: Resource): string {
  const pairs = Object.entries((object as Service).spec?.selector ?? {});
  return pairs.length === 0 ? NONE : pairs.map(([key, value]) => `${key}=${value}`).join(',');
}

function listText(values: readonly string[]): string {
  if (values.length === 0) return NONE;
  const more = values.length > SHOWN_ENDPOINTS ? ` + ${values.length - SHOWN_ENDPOINTS} more...` : '';
  return values.slice(0, SHOWN_ENDPOINTS).join(',') + more;
}

export const serviceColumns: readonly Column[] = [
  nameColumn,
  column('Type', 'spec.type'),
  column('Cluster-IP', (object) => (object as Service).spec?.clusterIP ?? NONE),
  column('External-IP', externalText),
  column('Port(s)', (object) => listOr((object as Service).spec?.ports?.map(portText))),
  ageColumn,
  column('Selector', selectorText, { wide: true }),
];

export const endpointSliceColumns: readonly Column[] = [
  nameColumn,
  column('AddressType', 'addressType'),
  column('Ports', (object) => {
    const ports = (object as EndpointSlice).ports ?? [];
    return listText(ports.map(({ port }) => String(port ?? '')));
  }),
  column('Endpoints', (object) => {
    const endpoints = (object as EndpointSlice).endpoints ?? [];
    return listText(endpoints.flatMap(({ addresses }) => addresses));
  }),
  ageColumn,
];

function listOr(texts: readonly string[] | undefined): string {
  return texts === undefined || texts.length === 0 ? NONE : texts.join(',');
}
