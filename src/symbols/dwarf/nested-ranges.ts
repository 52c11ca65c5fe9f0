import { addressOrder, lastAtOrBelow } from '../address-order.ts';

/** Ranges that lie within each other, as they were added: to find the innermost one at an address. */
export class NestedRanges {
  readonly #starts: Float64Array;
  readonly #owners: Int32Array;

  /**
   * @param ranges start and end of each, `addressNumber`s. An outer range comes before those in it.
   * @param owners by range: what {@link at} answers.
   */
  constructor(ranges: readonly number[], owners: readonly number[]) {
    const count = owners.length;
    const starts = Float64Array.from({ length: count }, (_, i) => ranges[i * 2] ?? 0);
    const pieceStarts = new Float64Array(count * 2);
    const pieceOwners = new Int32Array(count * 2);
    let pieces = 0;
    const addPiece = (start: number, owner: number): void => {
      if (pieces > 0 && pieceStarts[pieces - 1] === start) pieces--;
      if (pieces > 0 && pieceOwners[pieces - 1] === owner) return;
      pieceStarts[pieces] = start;
      pieceOwners[pieces] = owner;
      pieces++;
    };
    // Ranges that have begun, the innermost on top. All that end where another ends are found by closing again.
    const open: { readonly end: number; readonly owner: number }[] = [];
    const closeUntil = (address: number): void => {
      for (let top = open[open.length - 1]; top !== undefined && top.end <= address; ) {
        const { end } = top;
        while (top !== undefined && top.end <= end) {
          open.pop();
          top = open[open.length - 1];
        }
        addPiece(end, top?.owner ?? nobody);
      }
    };
    // Stable: of ranges that start together, the outer one stays before the inner one.
    for (const index of addressOrder(starts)) {
      const start = starts[index]!; // the order is of these
      closeUntil(start);
      const owner = owners[index]!; // likewise
      open.push({ end: ranges[index * 2 + 1] ?? start, owner });
      addPiece(start, owner);
    }
    closeUntil(Number.POSITIVE_INFINITY);
    this.#starts = pieceStarts.slice(0, pieces);
    this.#owners = pieceOwners.slice(0, pieces);
  }

  /** The owner of the innermost range that `address` is in, or -1. */
  at(address: number): number {
    const piece = lastAtOrBelow(this.#starts, address);
    return piece < 0 ? nobody : this.#owners[piece]!; // in bounds
  }
}

const nobody = -1;
