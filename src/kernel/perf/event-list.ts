import type { PerfEvent } from './perf-event.ts';

/** All events of a kernel, oldest first, as a list through the events themselves: in and out in constant time. */
export class EventList implements Iterable<PerfEvent> {
  #first: PerfEvent | null = null;
  #last: PerfEvent | null = null;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(event: PerfEvent): void {
    event.previous = this.#last;
    if (this.#last === null) this.#first = event;
    else this.#last.next = event;
    this.#last = event;
    this.#size++;
  }

  remove(event: PerfEvent): void {
    if (event.previous === null) this.#first = event.next;
    else event.previous.next = event.next;
    if (event.next === null) this.#last = event.previous;
    else event.next.previous = event.previous;
    event.previous = null;
    event.next = null;
    this.#size--;
  }

  *[Symbol.iterator](): Generator<PerfEvent> {
    for (let event = this.#first; event !== null; event = event.next) yield event;
  }
}
