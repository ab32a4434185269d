// Where each suite of `npm test` runs: on this machine, or inside the test image (docs/compose.md "The test image"). Pure.

import type { Suite } from './suites.ts';

/** What a suite that needs a kernel of its own has to know about the machine. */
export interface Machine {
  readonly platform: NodeJS.Platform;
  readonly isRoot: boolean;
  /** Whether the lab's namespaces can be made: as root, or as a user in a user namespace. */
  readonly hasNamespaces: boolean;
  /** Whether the Debian packages of the suites are there or can be fetched. */
  readonly hasPackages: boolean;
  /** Whether a Docker engine answers. */
  readonly hasEngine: boolean;
  /** CALICO_TS_TEST_IMAGE=1: the test image, whatever the machine could do itself. */
  readonly isImageForced: boolean;
}

export type Place =
  | { readonly kind: 'here' }
  /** `why` is the middle of a sentence. */
  | { readonly kind: 'testImage'; readonly why: string }
  /** `reason` is a sentence that says what to do. */
  | { readonly kind: 'nowhere'; readonly reason: string };

/**
 * Directly where that works, as root or in user namespaces: it is quicker, and changes nothing of the system either way.
 * Else in the test image, if an engine answers. Else nowhere, and the suite fails.
 */
export function placeOf(suite: Suite, machine: Machine): Place {
  if (!needsLinux(suite, machine)) return { kind: 'here' };
  const why = machine.isImageForced ? 'CALICO_TS_TEST_IMAGE asks for it' : obstacle(machine);
  if (why === undefined) return { kind: 'here' };
  if (machine.hasEngine) return { kind: 'testImage', why };
  return { kind: 'nowhere', reason: `${why}, and no Docker engine answers: ${remedy(machine)}` };
}

/** Suites in namespaces need a Linux kernel; off Linux the unit tests do too, as some read /proc. */
function needsLinux(suite: Suite, machine: Machine): boolean {
  if (suite.isInside === true) return true;
  return suite.name === 'unit' && machine.platform !== 'linux';
}

function obstacle(machine: Machine): string | undefined {
  if (machine.platform !== 'linux') return `this is ${machine.platform}, not Linux`;
  if (!machine.hasNamespaces)
    return machine.isRoot
      ? 'root may not make namespaces here (is this a container without SYS_ADMIN?)'
      : 'unprivileged user namespaces are not allowed here';
  if (!machine.hasPackages) return 'Debian packages are missing and cannot be fetched here';
  return undefined;
}

function remedy({ platform, hasNamespaces, isRoot, isImageForced }: Machine): string {
  if (platform !== 'linux') return 'start one (Docker Desktop, colima, podman machine)';
  if (isImageForced) return 'start one, or unset CALICO_TS_TEST_IMAGE';
  if (hasNamespaces) return 'install the packages named above by hand, or start an engine';
  if (isRoot) return 'run this outside of the container, or start an engine';
  return 'run this as root, allow them (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone or kernel.apparmor_restrict_unprivileged_userns), or start an engine';
}
