// Which kernels and nft libraries the table works with (docs/dataplane.md "Limits").

/** What is wrong with this host's versions. */
export interface VersionProblems {
  /** Nothing can be programmed. */
  readonly error: string | undefined;
  /** It works, but for what the sentence says. */
  readonly warning: string | undefined;
}

/** Comments of chains and concatenated interval maps. */
const LEAST_KERNEL = [5, 10] as const;
/** The first kernels in which a key that is replaced in a transaction is never missed by a lookup under way. */
const STEADY_KERNEL = [6, 17] as const;
const STEADY_LONG_TERM_KERNEL = [6, 12] as const;
const LEAST_NFT = [1, 0, 6] as const;

/** `kernel` is a release (`6.12.48-amd64`); what is not in the form of a version is taken for good. */
export function versionProblems(kernel: string, nft: string | undefined): VersionProblems {
  const release = numbersOf(kernel);
  const library = numbersOf(nft ?? '');
  const errors = [
    ...(isOlder(release, LEAST_KERNEL)
      ? [`Linux ${kernel} is too old: ${LEAST_KERNEL.join('.')} or later is needed`]
      : []),
    ...(isOlder(library, LEAST_NFT)
      ? [`libnftables ${nft} is too old: ${LEAST_NFT.join('.')} or later is needed`]
      : []),
  ];
  const isLongTerm = release[0] === STEADY_LONG_TERM_KERNEL[0] && release[1] === STEADY_LONG_TERM_KERNEL[1];
  const isUnsteady = isOlder(release, STEADY_KERNEL) && !isLongTerm;
  const warning = `Linux ${kernel}: a lookup during a change may miss, and a packet may then pass a rule that denies it; ${STEADY_KERNEL.join('.')} and ${STEADY_LONG_TERM_KERNEL.join('.')} (stable) are free of it`;
  return {
    error: errors.length === 0 ? undefined : errors.join('; '),
    warning: isUnsteady ? warning : undefined,
  };
}

function numbersOf(version: string): readonly number[] {
  const text = /^\d+(\.\d+)*/.exec(version)?.[0];
  return text === undefined ? [] : text.split('.').map(Number);
}

function isOlder(version: readonly number[], than: readonly number[]): boolean {
  if (version.length === 0) return false;
  for (const [index, least] of than.entries()) {
    const number = version[index] ?? 0;
    if (number !== least) return number < least;
  }
  return false;
}
