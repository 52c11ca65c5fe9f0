import fs from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';

// One of the two threads of `trapline demo`: it adds to a shared balance without a lock, which loses updates when both
// are at it.

/** What a racing thread is started with. */
export interface RaceStart {
  readonly name: string;
  /** The shared counter is element 0; element 1 lets both start at one time. */
  readonly shared: SharedArrayBuffer;
  readonly role: 'deposit' | 'payInterest';
  readonly times: number;
}

/** Adds 1, in two steps. */
export function deposit(balance: Int32Array): void {
  const before = balance[0] ?? 0;
  think();
  balance[0] = before + 1;
}

/** Adds 1 too. */
export function payInterest(balance: Int32Array): void {
  const before = balance[0] ?? 0;
  think();
  balance[0] = before + 1;
}

/** Takes a tenth of a millisecond, so that the other thread gets in between. */
function think(): void {
  const end = performance.now() + 0.1;
  while (performance.now() < end);
}

const start = workerData as RaceStart | null; // demo-command.ts passes this type
if (parentPort !== null && start !== null) {
  fs.writeFileSync('/proc/thread-self/comm', start.name);
  const balance = new Int32Array(start.shared);
  parentPort.postMessage('ready');
  Atomics.wait(balance, 1, 0);
  const work = start.role === 'deposit' ? deposit : payInterest;
  for (let i = 0; i < start.times; i++) work(balance);
}
