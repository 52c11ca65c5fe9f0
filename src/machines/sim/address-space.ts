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
      this.#pageAt(Number(at >> 12n)).set(bytes.subarray(done, done + count), offset);
      done += count;
    }
  }

  /** The little-endian number of `lengthBytes` bytes at `address`. */
  readNumber(address: bigint, lengthBytes: number): bigint {
    const offset = Number(address & pageMask);
    if (lengthBytes <= 8 && offset + lengthBytes <= pageBytes) {
      const page = this.#pages.get(Number(address >> 12n));
      if (page === undefined) return 0n;
      if (lengthBytes === 8) return wordsOf(page).getBigUint64(offset, true);
      if (lengthBytes === 4) return BigInt(wordsOf(page).getUint32(offset, true));
    }
    let value = 0n;
    const bytes = this.read(address, lengthBytes);
    for (let i = lengthBytes - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i] ?? 0);
    return value;
  }

  /** Stores the low `lengthBytes` bytes of `value`, little endian. */
  writeNumber(address: bigint, lengthBytes: number, value: bigint): void {
    const offset = Number(address & pageMask);
    if (offset + lengthBytes <= pageBytes && (lengthBytes === 8 || lengthBytes === 4 || lengthBytes === 1)) {
      const page = this.#pageAt(Number(address >> 12n));
      if (lengthBytes === 8) wordsOf(page).setBigUint64(offset, value, true);
      else if (lengthBytes === 4) wordsOf(page).setUint32(offset, Number(value & 0xffff_ffffn), true);
      else page[offset] = Number(value & 0xffn);
      return;
    }
    const bytes = new Uint8Array(lengthBytes);
    let rest = value;
    for (let i = 0; i < lengthBytes; i++) {
      bytes[i] = Number(rest & 0xffn);
      rest >>= 8n;
    }
    this.write(address, bytes);
  }

  #pageAt(number: number): Uint8Array {
    let page = this.#pages.get(number);
    if (page === undefined) {
      page = new Uint8Array(pageBytes);
      this.#pages.set(number, page);
    }
    return page;
  }
}

/** A page as words. */
function wordsOf(page: Uint8Array): DataView {
  return new DataView(page.buffer, page.byteOffset, pageBytes);
}
