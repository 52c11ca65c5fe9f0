/** A breakpoint as the rule sees it. */
export interface NaiveBreakpoint {
  readonly pool: number;
  readonly cpu: number;
  /** null: no task. */
  readonly task: string | null;
}

/** The rule of docs/spec/02 section 4.1, counted from scratch at each question. */
export class NaiveSlots {
  readonly existing: NaiveBreakpoint[] = [];
  readonly #slots: readonly number[];
  readonly #cpus: number;

  constructor(slots: readonly number[], cpus: number) {
    this.#slots = slots;
    this.#cpus = cpus;
  }

  admits(request: NaiveBreakpoint): boolean {
    const capacity = this.#slots[request.pool] ?? 0;
    const cpus = request.cpu >= 0 ? [request.cpu] : Array.from({ length: this.#cpus }, (_, cpu) => cpu);
    return cpus.every((cpu) => this.#used(request, cpu) + 1 <= capacity);
  }

  #used(request: NaiveBreakpoint, cpu: number): number {
    const here = this.existing.filter((b) => b.pool === request.pool && (b.cpu === cpu || b.cpu === -1));
    const pinned = here.filter((b) => b.task === null).length;
    const ofTask = (task: string): number => here.filter((b) => b.task === task).length;
    if (request.task !== null) return pinned + ofTask(request.task);
    const tasks = new Set(here.flatMap((b) => (b.task === null ? [] : [b.task])));
    return pinned + Math.max(0, ...[...tasks].map(ofTask));
  }

  add(breakpoint: NaiveBreakpoint): void {
    this.existing.push(breakpoint);
  }

  remove(breakpoint: NaiveBreakpoint): void {
    const index = this.existing.indexOf(breakpoint);
    if (index < 0) throw new Error('removal of a breakpoint that does not exist');
    this.existing.splice(index, 1);
  }
}
