import type { KnownDifference } from './known-difference.ts';

/**
 * Where the model and Linux are known to disagree. What stands here is reported and does not fail a run; docs/conformance.md
 * shows it. A difference that can be taken away is not listed, it is taken away.
 */
export const knownDifferences: readonly KnownDifference[] = [];
