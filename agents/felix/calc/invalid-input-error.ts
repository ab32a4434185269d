// A value in the datastore that cannot be used. Whoever meets it takes the value for absent and says so.

export class InvalidInputError extends Error {
  readonly type: { readonly code: 'invalidField'; readonly field: string; readonly reason: string };

  /** `field` is the path in the resource: `spec.ipNetworks[0]`. */
  constructor(field: string, reason: string) {
    super(`${field}: ${reason}`);
    this.name = 'InvalidInputError';
    this.type = { code: 'invalidField', field, reason };
  }
}
