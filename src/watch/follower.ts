import { maxPiecesListed } from '../arch/x86/fitting.ts';
import { assert } from '../base/assert.ts';
import { hex } from '../base/hex.ts';
import { KernelError } from '../base/kernel-error.ts';
import { joinPair } from '../base/pair.ts';
import { type HitColumns, hitFlags } from '../ring/hit-columns.ts';
import type { FollowedPointer } from '../symbols/expression/resolved-place.ts';
import type { Armed } from './arm.ts';
import { requestError, WatchError } from './errors.ts';
import type { PlannedWatch, UnplannedRequest } from './plan.ts';
import type { WatchRequest } from './watch-request.ts';

/** A watch is somewhere else since a pointer has changed. */
export interface WatchMove {
  /** When the new place was armed (CLOCK_MONOTONIC); stores to it before were not seen. */
  readonly timeNs: bigint;
  /** As the user wrote it. */
  readonly text: string;
  /** What is armed now; none while a pointer leads nowhere. */
  readonly watches: readonly PlannedWatch[];
  /** What the pointers hold, as far as they lead somewhere. */
  readonly pointers: readonly FollowedPointer[];
  /** Why nothing is armed. */
  readonly why?: string;
}

/** What a {@link Follower} works with. */
export interface FollowerParts {
  readonly armed: Armed;
  /** What a request means now. */
  readonly plan: (request: WatchRequest) => readonly PlannedWatch[] | UnplannedRequest;
  /** A refusal in words. */
  readonly explain: (error: KernelError, watches: readonly PlannedWatch[]) => WatchError;
  readonly now: () => bigint;
}

/** A request that pointers lead to. */
interface Followed {
  readonly request: WatchRequest;
  /** Of its watches, all that there were. */
  readonly own: Set<number>;
  /** Those that are armed. */
  armed: number[];
  plan: readonly PlannedWatch[] | UnplannedRequest;
  pointers: readonly FollowedPointer[];
}

/** Pointers change while they are being followed: so often they are looked at again. */
const mostPasses = 20;

/**
 * Follows pointers (`--follow`): a register for each pointer that a place depends on, and when one of them has been
 * stored to, the place is found again and armed there. First the pointers are armed, then they are read, then the place
 * is armed: no change of a pointer is overlooked. Stores to the new place before it is armed are.
 */
export class Follower {
  readonly #parts: FollowerParts;
  readonly #followed: Followed[] = [];
  /** By address and length. */
  readonly #pointers: Map<string, number> = new Map();
  readonly #pointerNumbers: Set<number> = new Set();
  /** Numbers without events; hits until then may still come. */
  readonly #free: Map<number, bigint> = new Map();
  /** No hit before this time will come. */
  #settledNs: bigint = 0n;
  #moves: WatchMove[] = [];
  #closed: boolean = false;
  /** A number is about to mean another watch; it does now. */
  onPlace: { before(number: number): void; after(number: number): void } | undefined;

  constructor(parts: FollowerParts) {
    this.#parts = parts;
  }

  /**
   * Arms what pointers lead to, and the pointers. Throws `WatchError` where there are too few registers, and the
   * `KernelError` of a refusal.
   */
  begin(requests: readonly WatchRequest[]): void {
    const { armed } = this.#parts;
    for (const request of requests) {
      const number = armed.watches.length;
      armed.arm([waiting(request, 'it has not been looked for')]);
      this.#free.set(number, -1n);
      this.#followed.push({ request, own: new Set([number]), armed: [], plan: [], pointers: [] });
    }
    this.#checkRegisters();
    const failures = this.#sync();
    const [failure] = failures;
    if (failure !== undefined) throw failure;
    for (const { request, own, plan } of this.#followed) {
      const [first] = own;
      if ('error' in plan && first !== undefined)
        armed.watches[first] = waiting(request, whyOf(plan.error, request));
    }
    this.#moves = [];
  }

  /** A pointer may have changed. */
  check(): void {
    if (!this.#closed) this.#sync();
  }

  /** Takes the hits of pointers out of a batch; they have been acted on when this returns. */
  take(columns: HitColumns): void {
    const { length } = columns;
    let to = 0;
    let hasOurs = false;
    let dropped = false;
    for (let row = 0; row < length; row++) {
      if (this.#pointerNumbers.has(columns.watch[row]!)) {
        hasOurs = true; // row < length
        dropped = true;
        continue;
      }
      if (to < row) columns.copyRow(row, to);
      // What went before is not there any more: this is a hit of its own.
      if (dropped) columns.flags[to]! &= ~hitFlags.continuesCopy;
      dropped = false;
      to++;
    }
    if (hasOurs) this.check();
    if (length > 0) this.#settledNs = joinPair(columns.timeLow[length - 1]!, columns.timeHigh[length - 1]!); // a row
    columns.length = to;
  }

  /** Whether something has moved since {@link Follower.takeMoves}. */
  get hasMoves(): boolean {
    return this.#moves.length > 0;
  }

  /** What has moved since the last call. */
  takeMoves(): readonly WatchMove[] {
    return this.#moves.splice(0);
  }

  /** Nothing is armed any more. */
  close(): void {
    this.#closed = true;
  }

  /** The number that stands for a followed watch's; `undefined` of others. */
  groupOf(number: number): number | undefined {
    for (const { own } of this.#followed) if (own.has(number)) return Math.min(...own);
    return undefined;
  }

  /** @returns why something could not be armed. */
  #sync(): (WatchError | KernelError)[] {
    const unwatched = new Map<string, KernelError>();
    for (let pass = 0; pass < mostPasses; pass++) {
      const wanted = new Map<string, FollowedPointer>();
      for (const followed of this.#followed) {
        this.#evaluate(followed);
        for (const pointer of followed.pointers) wanted.set(keyOf(pointer), pointer);
      }
      if (!this.#watchPointers(wanted, unwatched)) break;
    }
    return this.#followed.flatMap((followed) => this.#move(followed, unwatched) ?? []);
  }

  #evaluate(followed: Followed): void {
    const plan = this.#parts.plan(followed.request);
    followed.plan = plan;
    followed.pointers = 'error' in plan ? (plan.pointers ?? []) : (plan[0]?.pointers ?? []);
  }

  /** Arms the pointers that are not, and lets go of those that nothing depends on. @returns whether one was armed. */
  #watchPointers(wanted: ReadonlyMap<string, FollowedPointer>, unwatched: Map<string, KernelError>): boolean {
    const { armed } = this.#parts;
    for (const [key, number] of this.#pointers) {
      if (wanted.has(key)) continue;
      this.#pointers.delete(key);
      this.#release(number);
    }
    let isChanged = false;
    for (const [key, { text, address, lenBytes }] of wanted) {
      if (this.#pointers.has(key) || unwatched.has(key)) continue;
      const isFixed = this.#followed.some(
        ({ pointers: [first] }) => first !== undefined && keyOf(first) === key,
      );
      const watch: PlannedWatch = {
        ...{ text, address, lenBytes, access: 'w', isPointer: true },
        ...(isFixed ? {} : { moves: true }),
      };
      const number = this.#freeOf(this.#pointerNumbers);
      this.#pointerNumbers.add(number);
      try {
        armed.armAt(number, watch);
        this.#pointers.set(key, number);
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        this.#free.set(number, this.#parts.now());
        unwatched.set(key, error);
      }
      isChanged = true;
    }
    return isChanged;
  }

  /** Arms the place that was found, if it is another. @returns why it could not. */
  #move(
    followed: Followed,
    unwatched: ReadonlyMap<string, KernelError>,
  ): WatchError | KernelError | undefined {
    const { armed, now, explain } = this.#parts;
    const { request, plan, pointers } = followed;
    const blind = pointers.find((pointer) => unwatched.has(keyOf(pointer)));
    let failure: WatchError | KernelError | undefined =
      blind === undefined ? undefined : unwatched.get(keyOf(blind));
    const places = 'error' in plan || failure !== undefined ? [] : plan;
    const before = followed.armed.map((number) => armed.watches[number]!); // armed numbers have watches
    const isSame =
      before.length === places.length &&
      before.every(
        (watch, i) => watch.address === places[i]?.address && watch.lenBytes === places[i]?.lenBytes,
      );
    if (isSame) return failure;
    for (const number of followed.armed.splice(0)) this.#release(number);
    const watches = places.map((place): PlannedWatch => ({ ...place, moves: true }));
    try {
      for (const watch of watches) {
        const number = this.#freeOf(followed.own);
        followed.own.add(number);
        this.onPlace?.before(number);
        this.#free.set(number, now()); // until it is armed
        armed.armAt(number, watch);
        this.#free.delete(number);
        followed.armed.push(number);
        this.onPlace?.after(number);
      }
    } catch (error) {
      if (!(error instanceof KernelError) && !(error instanceof WatchError)) throw error;
      failure = error;
      for (const number of followed.armed.splice(0)) this.#release(number);
    }
    const error = failure instanceof KernelError ? explain(failure, watches) : failure;
    const whyNot = error ?? ('error' in plan ? plan.error : undefined);
    const why = whyNot === undefined ? undefined : whyOf(whyNot, request);
    this.#moves.push({
      timeNs: now(),
      text: request.text,
      watches: why === undefined ? watches : [],
      pointers,
      ...(why === undefined ? {} : { why }),
    });
    return failure;
  }

  #release(number: number): void {
    this.#parts.armed.release(number);
    this.#free.set(number, this.#parts.now());
  }

  /** One of `own` that no hit will come of any more, otherwise a new one. */
  #freeOf(own: ReadonlySet<number>): number {
    for (const number of own) {
      const sinceNs = this.#free.get(number);
      if (sinceNs === undefined || sinceNs >= this.#settledNs) continue;
      this.#free.delete(number);
      return number;
    }
    return this.#parts.armed.watches.length;
  }

  /** Refuses what takes more registers than there are: a register a pointer, and those of the places. */
  #checkRegisters(): void {
    const { armed } = this.#parts;
    for (const followed of this.#followed) this.#evaluate(followed);
    const pointers = new Set(this.#followed.flatMap((each) => each.pointers.map(keyOf))).size;
    const places = this.#followed.reduce(
      (sum, { plan }) => sum + ('error' in plan ? 1 : plan.length),
      armed.watches.filter(({ waits }) => waits === undefined).length,
    );
    if (pointers + places <= maxPiecesListed) return;
    const texts = this.#followed.map(({ request }) => `'${request.text}'`).join(', ');
    throw requestError(
      `${texts}: --follow takes ${pointers + places} registers (${pointers} for pointers, ${places} for ${places === 1 ? 'the place' : 'places'}); x86 has ${maxPiecesListed}`,
    );
  }
}

function keyOf({ address, lenBytes }: FollowedPointer): string {
  return `${hex(address)}/${lenBytes}`;
}

/** Why, without the request in front, which its reader has. */
function whyOf({ message }: Error, { text }: WatchRequest): string {
  const prefix = `'${text}': `;
  return message.startsWith(prefix) ? message.slice(prefix.length) : message;
}

/** A request of which nothing is armed. */
function waiting(request: WatchRequest, waits: string): PlannedWatch {
  const access = request.access ?? 'rw';
  assert(access !== 'r', 'planned before');
  return { text: request.text, address: 0n, lenBytes: 0, access, moves: true, waits };
}
