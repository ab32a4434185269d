// Capabilities in words, as operators look for them in status (RFC 5492).

import type { Capability } from '../packet/capabilities.ts';
import { familyOf, roleName } from '../packet/iana.ts';

/** `gracefulRestart 120 s, notification, ipv4Unicast kept` */
export function describeCapability(capability: Capability): string {
  const detail = detailOf(capability);
  return detail === '' ? capability.type : `${capability.type} ${detail}`;
}

function detailOf(capability: Capability): string {
  switch (capability.type) {
    case 'multiprotocol':
      return familyName(capability);
    case 'fourOctetAs':
      return String(capability.asn);
    case 'role':
      return roleName(capability.role);
    case 'gracefulRestart':
      return [
        `${capability.restartTimeSeconds} s`,
        ...(capability.restarted ? ['restarted'] : []),
        ...(capability.notification ? ['notification'] : []),
        ...capability.families.map((one) => `${familyName(one)}${one.forwardingKept ? ' kept' : ''}`),
      ].join(', ');
    case 'longLivedGracefulRestart':
      return capability.families.map((one) => `${familyName(one)} ${one.staleTimeSeconds} s`).join(', ');
    case 'addPath':
      return capability.families.map((one) => `${familyName(one)} ${directions(one)}`).join(', ');
    case 'extendedNextHop':
      return capability.families.map((one) => `${familyName(one)} by AFI ${one.nextHopAfi}`).join(', ');
    case 'unknown':
      return `${capability.code}${capability.value.length === 0 ? '' : ` ${Buffer.from(capability.value).toString('hex')}`}`;
    case 'routeRefresh':
    case 'extendedMessage':
    case 'enhancedRouteRefresh':
      return '';
  }
}

function directions({ receive, send }: { readonly receive: boolean; readonly send: boolean }): string {
  return [...(receive ? ['receive'] : []), ...(send ? ['send'] : [])].join('+');
}

function familyName({ afi, safi }: { readonly afi: number; readonly safi: number }): string {
  return familyOf(afi, safi) ?? `AFI ${afi} SAFI ${safi}`;
}
