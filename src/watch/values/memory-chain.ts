/**
 * What is known of the watched bytes of one process between two hits. Numbers are u32 words, cut to the watch's
 * length.
 */
export class MemoryChain {
  /** Whether the contents are known (or assumed: `exact` tells). */
  known: boolean = false;
  low: number = 0;
  high: number = 0;
  /** Certain to be what is in memory: nothing else can have stored since. */
  exact: boolean = false;
  /** Where they come from: a number of `valueSources`. */
  source: number = 0;
  /** The row of this batch whose value after the access is still wanted, -1 for none. */
  pendingRow: number = -1;
  /** Contents that were read from memory, of use for hits after a time; -2: none. In ns, as a double. */
  readAtNs: number = -2;
  readLow: number = 0;
  readHigh: number = 0;
  readExact: boolean = false;

  /** The contents are now these. */
  set(value: { readonly low: number; readonly high: number }, source: number, exact: boolean): void {
    this.known = true;
    this.low = value.low;
    this.high = value.high;
    this.source = source;
    this.exact = exact;
  }

  /** Nothing is known any more. */
  forget(): void {
    this.known = false;
    this.exact = false;
  }

  /** Contents were read from memory, before `timeNs`. */
  readUntil(timeNs: number, value: { readonly low: number; readonly high: number }, exact: boolean): void {
    this.readAtNs = timeNs;
    this.readLow = value.low;
    this.readHigh = value.high;
    this.readExact = exact;
  }

  /** Takes what was read for a hit at `timeNs`, where nothing better is known and the hit is later than the reading. */
  adoptRead(timeNs: number, source: number): void {
    if (this.readAtNs < -1 || timeNs <= this.readAtNs) return;
    if (!this.known) this.set({ low: this.readLow, high: this.readHigh }, source, this.readExact);
    this.readAtNs = -2;
  }
}
