// Why a policy or profile cannot be compiled. Stored resources are validated, so this means that somebody wrote past the
// validation; as Calico does, whoever meets it treats the resource as absent and says so.

export type PolicyErrorType =
  | {
      readonly code: 'badSelector';
      readonly field: string;
      readonly selector: string;
      readonly reason: string;
    }
  | { readonly code: 'badNet'; readonly field: string; readonly net: string }
  | { readonly code: 'badPort'; readonly field: string; readonly port: string }
  | { readonly code: 'badProtocol'; readonly field: string; readonly protocol: string }
  | { readonly code: 'badAction'; readonly field: string; readonly action: string };

/** `type.field` is the path in the resource: `spec.ingress[0].source.nets[1]`. */
export class PolicyError extends Error {
  readonly type: PolicyErrorType;

  constructor(type: PolicyErrorType, options?: ErrorOptions) {
    super(`${type.field}: ${describe(type)}`, options);
    this.name = 'PolicyError';
    this.type = type;
  }
}

function describe(type: PolicyErrorType): string {
  switch (type.code) {
    case 'badSelector':
      return `not a selector: ${type.selector} (${type.reason})`;
    case 'badNet':
      return `not a network: ${type.net}`;
    case 'badPort':
      return `not a port: ${type.port}`;
    case 'badProtocol':
      return `not a protocol: ${type.protocol}`;
    case 'badAction':
      return `not an action: ${type.action}`;
  }
}
