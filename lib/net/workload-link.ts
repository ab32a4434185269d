// What every workload's link has in common (Calico's interface set-up): the host side's address, and the gateways that the
// pod sees behind it.

export const HOST_SIDE_MAC = 'ee:ee:ee:ee:ee:ee';
export const GATEWAY_V4 = '169.254.1.1';
/** The link-local address that the host side's MAC gives. */
export const GATEWAY_V6 = 'fe80::ecee:eeff:feee:eeee';
