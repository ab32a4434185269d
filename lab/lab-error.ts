// What can go wrong with a lab, told apart by `type.code`.

export type LabErrorType =
  | { readonly code: 'notInside' }
  | { readonly code: 'noNamespaces'; readonly detail: string }
  | { readonly code: 'duplicateHost'; readonly name: string }
  | { readonly code: 'unknownHost'; readonly name: string }
  | { readonly code: 'badHostName'; readonly name: string }
  | { readonly code: 'fabricFull'; readonly limit: number }
  | { readonly code: 'setupFailed'; readonly step: string; readonly detail: string }
  /** Over the control socket, where what went wrong comes as the lab's sentence alone. */
  | { readonly code: 'refused'; readonly reason: string };

/** A lab operation that cannot be done; the message is a sentence for the user. */
export class LabError extends Error {
  override readonly name = 'LabError';
  readonly type: LabErrorType;

  constructor(type: LabErrorType, options?: ErrorOptions) {
    super(describe(type), options);
    this.type = type;
  }
}

function describe(type: LabErrorType): string {
  switch (type.code) {
    case 'notInside':
      return 'a lab can be made only inside its own namespaces: start it with `node scripts/inside.ts COMMAND …`';
    case 'noNamespaces':
      return (
        `neither root nor user namespaces are to be had here (${type.detail}): ` +
        'run as root, or let the administrator set kernel.unprivileged_userns_clone=1 (Debian) or ' +
        'kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu)'
      );
    case 'duplicateHost':
      return `the lab has a host named ${type.name} already`;
    case 'unknownHost':
      return `the lab has no host named ${type.name}`;
    case 'badHostName':
      return `"${type.name}" is no host name: lower-case letters, digits and "-", at most 63 characters`;
    case 'fabricFull':
      return `the fabric has no free address: it carries at most ${type.limit} hosts of this kind`;
    case 'setupFailed':
      return `${type.step} failed: ${type.detail.trim()}`;
    case 'refused':
      return type.reason;
  }
}
