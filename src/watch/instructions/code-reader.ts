/** Machine code to read: a live process, a file, a kernel image, an array. */
export interface CodeReader {
  /**
   * The bytes [address, address + lengthBytes) as the CPU runs them, cut at the first byte that cannot be read;
   * `undefined` if the first one cannot. The result is not written and not kept.
   *
   * Where a debugger or a uprobe may have put an `int3` into the code, bytes from the file are better than bytes
   * from memory; where the code patches itself (kernels, JIT compilers), memory is.
   */
  code(address: bigint, lengthBytes: number): Uint8Array | undefined;
}

/** All of [address, address + lengthBytes), or `undefined` if any byte of it cannot be read. */
export function readWhole(reader: CodeReader, address: bigint, lengthBytes: number): Uint8Array | undefined {
  const bytes = reader.code(address, lengthBytes);
  if (bytes === undefined || bytes.length < lengthBytes) return undefined;
  return bytes.length === lengthBytes ? bytes : bytes.subarray(0, lengthBytes);
}

/**
 * As much of [address, address + lengthBytes) as can be read, also from a reader that refuses a range which it
 * cannot read whole; `undefined` if the first byte cannot be read.
 */
export function readSome(reader: CodeReader, address: bigint, lengthBytes: number): Uint8Array | undefined {
  const bytes = reader.code(address, lengthBytes);
  if (bytes !== undefined) return bytes.length > lengthBytes ? bytes.subarray(0, lengthBytes) : bytes;
  // Memory becomes unreadable at page boundaries only.
  const joined = new Uint8Array(lengthBytes);
  let count = 0;
  while (count < lengthBytes) {
    const at = address + BigInt(count);
    const toPageEnd = pageBytes - Number(BigInt.asUintN(12, at));
    const page = readWhole(reader, at, Math.min(toPageEnd, lengthBytes - count));
    if (page === undefined) break;
    joined.set(page, count);
    count += page.length;
  }
  return count === 0 ? undefined : joined.subarray(0, count);
}

const pageBytes = 4096;
