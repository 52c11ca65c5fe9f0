import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { assert } from '../base/assert.ts';
import { HitColumns } from '../ring/hit-columns.ts';
import { noHorizon, RingDrain } from '../ring/ring-drain.ts';
import { RingView } from '../ring/ring-view.ts';
import { batchRowsOf, type DrainReply, type DrainRequest, type DrainStart } from './drain-protocol.ts';
import { System } from './system.ts';
import { threadCpuTimeNs } from './thread-cpu-time.ts';

// The worker that drains the rings. It never returns to its event loop: it blocks in poll(2), reads messages
// synchronously, and sends batches. Rings are looked at every tick at the latest, because a ring wakes us only when it
// is half full.
const tickMs = 100;
/** A tick that is longer costs less a hit; nobody reads along at such rates, and a half full ring wakes us anyway. */
const busyTickMs = 250;
/** Hits in one tick that make it a busy one. */
const busyHits = 1000;
/** Records younger than this wait for the next pass: an older one of another CPU may not be published yet. */
const settleNs = 2_000_000;
const POLLIN = 1;
const pageBytes = 4096;
const pollfdBytes = 8;

const port = parentPort;
assert(port !== null, 'the drain worker runs as a worker');
const start = workerData as DrainStart; // its one creator passes this type
const system = new System();
const drain = new RingDrain(start.layout);
const values = start.layout.values !== undefined;
const batchRows = batchRowsOf(start.layout);
const pollFds: number[] = [start.wakeFd];
const urgentFds: Set<number> = new Set();
const free: ArrayBuffer[] = [];
let finishing = false;
let pollArray = system.map(4096);
let pollView = new DataView(pollArray.buffer);
let pollCount = 0;
let hitsSinceWait = 0;
/** An urgent ring was written to: its records are wanted as soon as they have settled. */
let isUrgent = false;

function receive(): void {
  for (;;) {
    const received = receiveMessageOnPort(port!); // asserted above
    if (received === undefined) return;
    const request = received.message as DrainRequest; // hit-drain.ts sends nothing else
    switch (request.type) {
      case 'ring':
        drain.addRing(new RingView(system.ffi.view(request.address, request.lengthBytes), pageBytes));
        pollFds.push(request.fd);
        if (request.urgent) urgentFds.add(request.fd);
        break;
      case 'watches':
        for (let i = 0; i < request.ids.length; i += 3) {
          drain.addWatchId(request.ids[i]!, request.ids[i + 1]!, request.ids[i + 2]!); // three words an entry
        }
        break;
      case 'forgetWatch':
        drain.forgetWatch(request.watch);
        break;
      case 'rawHits':
        drain.addRawHitId(request.ids[0]!, request.ids[1]!); // low and high
        break;
      case 'dropDoubles':
        drain.dropDoubles();
        break;
      case 'columns':
        free.push(request.buffer);
        break;
      case 'finish':
        finishing = true;
        break;
    }
  }
}

/** Waits until a ring is half full, a message has come, or a tick has passed. */
function wait(): void {
  if (pollFds.length !== pollCount) fillPollArray();
  const tick = hitsSinceWait >= busyHits ? busyTickMs : tickMs;
  const timeoutMs = isUrgent ? 1 + settleNs / 1e6 : tick;
  isUrgent = false;
  hitsSinceWait = 0;
  if (system.ffi.poll(pollArray.address, pollCount, timeoutMs) <= 0) return; // tick, or EINTR
  for (let i = 0; i < pollCount; i++) {
    const revents = pollView.getUint16(i * pollfdBytes + 6, true);
    if (i === 0) {
      if (revents !== 0)
        system.scratch((scratch) => system.ffi.read(start.wakeFd, scratch.alloc(8).address, 8));
    } else if ((revents & ~POLLIN) !== 0) {
      pollView.setInt32(i * pollfdBytes, -1, true); // hung up: looked at by ticks from now on
    } else if (revents !== 0 && urgentFds.has(pollFds[i]!)) isUrgent = true; // i < pollCount
  }
  if (isUrgent)
    port!.postMessage({ type: 'urgent', cpuTimeNs: threadCpuTimeNs(system) } satisfies DrainReply); // asserted above
}

/** Puts every file descriptor into the array that poll(2) is shown. */
function fillPollArray(): void {
  pollCount = pollFds.length;
  const needed = pollCount * pollfdBytes;
  if (needed > pollArray.buffer.byteLength)
    pollArray = system.map(Math.max(needed, pollArray.buffer.byteLength * 2));
  pollView = new DataView(pollArray.buffer);
  for (const [i, fd] of pollFds.entries()) {
    pollView.setInt32(i * pollfdBytes, fd, true);
    pollView.setUint32(i * pollfdBytes + 4, POLLIN, true);
  }
}

/** Sends what one or more passes give. Ends when there is nothing left before the horizon or no columns are free. */
function pump(horizonNs: number): boolean {
  for (;;) {
    if (!drain.hasRecords && !drain.hasNotices) return true;
    const buffer = free.pop();
    if (buffer === undefined) return false;
    const columns = new HitColumns({ buffer, length: 0, values });
    assert(columns.capacity === batchRows, 'columns of another size came back');
    const more = drain.pass(columns, horizonNs);
    if (columns.length === 0 && !drain.hasNotices) {
      free.push(buffer);
      return true;
    }
    hitsSinceWait += columns.length;
    const batch = drain.takeBatch(columns);
    const reply: DrainReply = {
      type: 'batch',
      buffer,
      length: columns.length,
      firstSite: batch.firstSite,
      newSites: batch.newSites,
      firstStack: batch.firstStack,
      newStacks: batch.newStacks,
      notices: batch.notices,
      cpuTimeNs: threadCpuTimeNs(system),
    };
    port!.postMessage(reply, [buffer]); // asserted above
    if (!more) return true;
  }
}

for (;;) {
  // Before messages are taken: samples up to here are of events that we have been told of.
  const horizonNs = Number(process.hrtime.bigint()) - settleNs;
  receive();
  const done = pump(finishing ? noHorizon : horizonNs);
  if (finishing && done) break;
  wait();
}
port.postMessage({ type: 'finished', cpuTimeNs: threadCpuTimeNs(system) } satisfies DrainReply);
port.close();
