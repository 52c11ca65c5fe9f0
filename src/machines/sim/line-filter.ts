/** Entries of the filter; one stands for a line of 64 bytes, addresses 4 MiB apart share one. */
const filterEntries = 0x10000;
const filterLineShift = 6;
const filterMask = filterEntries - 1;
/** More lines than this and everything is let through to the exact rule. */
const filterLinesMax = 1024;

/**
 * A table that says of each line of 64 bytes whether an access that starts there can fire at all. It is what makes an
 * access that hits nothing cheap.
 */
export class LineFilter {
  /** An access that starts at an address whose `(low >>> 6) & 0xffff` entry is 0 fires nothing. */
  readonly table: Uint8Array = new Uint8Array(filterEntries);
  readonly #marked: number[] = [];
  #full = false;

  /** Lets nothing through. */
  clear(): void {
    if (this.#full) {
      this.table.fill(0);
      this.#full = false;
    } else for (const entry of this.#marked) this.table[entry] = 0;
    this.#marked.length = 0;
  }

  /** Lets everything through. */
  open(): void {
    this.table.fill(1);
    this.#full = true;
  }

  /** Lets accesses of up to `reachBytes` bytes through that touch `bytes` bytes from `low` on. False: it is open now. */
  mark(low: number, bytes: number, reachBytes: number): boolean {
    if ((bytes - 1 + reachBytes + 63) / 64 + 1 > filterLinesMax) {
      this.open();
      return false;
    }
    const last = (low + bytes - 1) >> filterLineShift;
    for (let line = (low - reachBytes + 1) >> filterLineShift; ; line++) {
      const entry = line & filterMask;
      this.table[entry] = 1;
      this.#marked.push(entry);
      if (((line ^ last) & filterMask) === 0) return true;
    }
  }
}
