import { PeerError } from '../../gdb/errors.ts';
import type { GdbClient } from '../../gdb/gdb-client.ts';

const pageBytes = 4096;
const pageMask = 4095n;
/** A calculation that goes on asking is not ended by more memory. */
const roundsMost = 256;

/**
 * Memory of a remote target for code that reads at once, while a stub answers later: what is missing is noted, fetched, and
 * the calculation done again. Pages are kept until {@link forget}: for code, and for what is read while the target stands.
 */
export class RemoteMemory {
  readonly #client: GdbClient;
  /** By address; `undefined`: cannot be read. */
  readonly #pages: Map<bigint, Uint8Array | undefined> = new Map();
  readonly #missing: Set<bigint> = new Set();

  constructor(client: GdbClient) {
    this.#client = client;
  }

  /** Up to `lenBytes` bytes, cut where memory cannot be read; `undefined` where nothing is known. */
  read(address: bigint, lenBytes: number): Uint8Array | undefined {
    const bytes = new Uint8Array(lenBytes);
    let got = 0;
    while (got < lenBytes) {
      const at = BigInt.asUintN(64, address + BigInt(got));
      const base = at & ~pageMask;
      const page = this.#pages.get(base);
      if (page === undefined) {
        if (!this.#pages.has(base)) this.#missing.add(base);
        break;
      }
      const piece = page.subarray(Number(at - base), Number(at - base) + lenBytes - got);
      bytes.set(piece, got);
      got += piece.length;
      if (piece.length === 0) break;
    }
    return got === 0 ? undefined : bytes.subarray(0, got);
  }

  /** What `compute` gives once all that it reads is there. The target stands. */
  async settle<Result>(compute: () => Result): Promise<Result> {
    for (let round = 0; round < roundsMost; round++) {
      this.#missing.clear();
      const result = compute();
      if (this.#missing.size === 0) return result;
      for (const base of this.#missing) this.#pages.set(base, await this.#fetch(base));
    }
    return compute();
  }

  /** Drops what was read: the target has run. */
  forget(): void {
    this.#pages.clear();
  }

  async #fetch(base: bigint): Promise<Uint8Array | undefined> {
    try {
      return await this.#client.readMemory(base, pageBytes);
    } catch (error) {
      if (error instanceof PeerError) return undefined;
      throw error;
    }
  }
}
