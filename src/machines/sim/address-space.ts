const pageBytes = 4096;
const pageMask = 0xfffn;

/**
 * Sparse memory of one address space, zero where nothing was stored. Pages are 4096 bytes, kept by page number, which
 * is below 2^52 and therefore exact as a number.
 */
export class AddressSpace {
  readonly #pages: Map<number, Uint8Array> = new Map();

  /** A private copy of everything, as fork(2) gives one. */
  copy(): AddressSpace {
    const copy = new AddressSpace();
    for (const [number, page] of this.#pages) copy.#pages.set(number, page.slice());
    return copy;
  }

  /** Forgets everything. */
  clear(): void {
    this.#pages.clear();
  }

  /** Pages in use. */
  get pages(): number {
    return this.#pages.size;
  }

  /** `lengthBytes` bytes at a u64 address; the address space wraps at its end. */
  read(address: bigint, lengthBytes: number): Uint8Array {
    const bytes = new Uint8Array(lengthBytes);
    for (let done = 0; done < lengthBytes; ) {
      const at = BigInt.asUintN(64, address + BigInt(done));
      const offset = Number(at & pageMask);
      const count = Math.min(lengthBytes - done, pageBytes - offset);
      const page = this.#pages.get(Number(at >> 12n));
      if (page !== undefined) bytes.set(page.subarray(offset, offset + count), done);
      done += count;
    }
    return bytes;
  }

  /** Stores bytes at a u64 address. */
  write(address: bigint, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const at = BigInt.asUintN(64, address + BigInt(done));
      const offset = Number(at & pageMask);
      const count = Math.min(bytes.length - done, pageBytes - offset);
      const number = Number(at >> 12n);
      let page = this.#pages.get(number);
      if (page === undefined) {
        page = new Uint8Array(pageBytes);
        this.#pages.set(number, page);
      }
      page.set(bytes.subarray(done, done + count), offset);
      done += count;
    }
  }

  /** The little-endian number of `lengthBytes` bytes at `address`. */
  readNumber(address: bigint, lengthBytes: number): bigint {
    let value = 0n;
    const bytes = this.read(address, lengthBytes);
    for (let i = lengthBytes - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i] ?? 0);
    return value;
  }

  /** Stores the low `lengthBytes` bytes of `value`, little endian. */
  writeNumber(address: bigint, lengthBytes: number, value: bigint): void {
    const bytes = new Uint8Array(lengthBytes);
    let rest = value;
    for (let i = 0; i < lengthBytes; i++) {
      bytes[i] = Number(rest & 0xffn);
      rest >>= 8n;
    }
    this.write(address, bytes);
  }
}
