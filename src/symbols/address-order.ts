/**
 * The order that sorts addresses given as numbers: a permutation of the indexes of `addresses`, stable. All values
 * must be integers that numbers hold exactly (see `addressNumber`).
 *
 * A radix sort, because sorting 300,000 indexes with a comparison function takes ten times as long.
 */
export function addressOrder(addresses: Float64Array): Uint32Array {
  const count = addresses.length;
  // Every `!` below is an index under `count`, or a digit under `radix`.
  let order = new Uint32Array(count);
  for (let i = 0; i < count; i++) order[i] = i;
  if (isSorted(addresses)) return order;

  let lowest = Number.POSITIVE_INFINITY;
  let highest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < count; i++) {
    const address = addresses[i]!; // in bounds
    if (address < lowest) lowest = address;
    if (address > highest) highest = address;
  }
  if (count < smallCount || !Number.isSafeInteger(highest - lowest)) {
    return order.sort((a, b) => addresses[a]! - addresses[b]! || a - b); // in bounds
  }
  let next = new Uint32Array(count);
  const ends = new Uint32Array(radix);
  for (let scale = 1; scale <= highest - lowest; scale *= radix) {
    ends.fill(0);
    for (let i = 0; i < count; i++) {
      const digit = Math.floor((addresses[i]! - lowest) / scale) % radix;
      ends[digit]! += 1;
    }
    let sum = 0;
    for (let digit = 0; digit < radix; digit++) {
      const start = sum;
      sum += ends[digit]!;
      ends[digit] = start;
    }
    for (let i = 0; i < count; i++) {
      const index = order[i]!;
      const digit = Math.floor((addresses[index]! - lowest) / scale) % radix;
      const place = ends[digit]!;
      ends[digit] = place + 1;
      next[place] = index;
    }
    [order, next] = [next, order];
  }
  return order;
}

/**
 * The index of the last of the sorted `starts` that is at or below `address`, or -1 if none is (also for NaN).
 */
export function lastAtOrBelow(starts: Float64Array, address: number): number {
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    // In bounds: low <= middle < high.
    if (starts[middle]! <= address) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

const radix = 65_536;
const smallCount = 4_096;

function isSorted(values: Float64Array): boolean {
  for (let i = 1; i < values.length; i++) {
    // In bounds: 0 < i < length.
    if (values[i]! < values[i - 1]!) return false;
  }
  return true;
}
