/** What an fd stands for: an event, or something else that a program has open. */
export type OpenFileEntry<E> =
  | { readonly type: 'event'; readonly event: E }
  /** `object`: a map or program of bpf. */
  | { readonly type: 'other'; readonly object?: object };

const other: OpenFileEntry<never> = { type: 'other' };
/** 0, 1 and 2 are the standard streams. */
const standardFds = 3;

/** The fds of one process; a new one gets the lowest free number. */
export class FileTable<E> {
  readonly #entries: (OpenFileEntry<E> | undefined)[] = [other, other, other];
  readonly #max: number;
  /** No number below is free. */
  #lowestFree = standardFds;
  #used = standardFds;

  constructor(max: number) {
    this.#max = max;
  }

  get full(): boolean {
    return this.#used >= this.#max;
  }

  /** Events that are open. */
  get events(): number {
    let events = 0;
    for (const entry of this.#entries) if (entry?.type === 'event') events++;
    return events;
  }

  add(event: E): number {
    return this.#put({ type: 'event', event });
  }

  /** Opens something that is no event. */
  addOther(object?: object): number {
    return this.#put(object === undefined ? other : { type: 'other', object });
  }

  #put(entry: OpenFileEntry<E>): number {
    let fd = this.#lowestFree;
    while (this.#entries[fd] !== undefined) fd++;
    this.#entries[fd] = entry;
    this.#lowestFree = fd + 1;
    this.#used++;
    return fd;
  }

  get(fd: number): OpenFileEntry<E> | undefined {
    return this.#entries[fd];
  }

  /** Frees an fd; gives what it stood for, `undefined` if it was free. */
  remove(fd: number): OpenFileEntry<E> | undefined {
    const entry = this.#entries[fd];
    if (entry === undefined) return undefined;
    this.#entries[fd] = undefined;
    this.#used--;
    if (fd < this.#lowestFree) this.#lowestFree = fd;
    return entry;
  }

  /** Numbers of the open fds, without the standard streams. */
  open(): number[] {
    const fds: number[] = [];
    for (const [fd, entry] of this.#entries.entries())
      if (entry !== undefined && (fd >= standardFds || entry.type === 'event')) fds.push(fd);
    return fds;
  }
}
