// Replay what a real program did: valgrind --tool=lackey --trace-mem=yes --log-file=trace.txt PROGRAM
// Usage: node 05-replay-a-memory-trace.mjs [TRACE] [ADDRESS]; a trace that ends in .gz is unpacked.
import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { LackeyTraceParser, ModelHost, ModelSurface, replayProgram, sampleTypeOf } from 'trapline/model';

const file = process.argv[2] ?? new URL('true.lackey.gz', import.meta.url);
const input = createReadStream(file);
const text = String(file).endsWith('.gz') ? input.pipe(createGunzip()) : input;
const parser = new LackeyTraceParser();
for await (const chunk of text.setEncoding('latin1')) parser.push(chunk);
const trace = parser.finish();

// Watch the address given, or the most written 8 bytes.
const writes = new Map();
for (let i = 0; i < trace.length; i++) {
  if (trace.shape[i] >>> 14 < 2) continue;
  const block = trace.addressHigh[i] * 2 ** 32 + trace.addressLow[i] - (trace.addressLow[i] & 7);
  writes.set(block, (writes.get(block) ?? 0) + 1);
}
const busiest = [...writes].reduce((best, entry) => (entry[1] > best[1] ? entry : best));
const bpAddr = BigInt(process.argv[3] ?? busiest[0]);

const host = new ModelHost();
const surface = new ModelSurface(host);
const { pid } = host.machine.spawn({ name: 'replayed', program: replayProgram(trace) });
// What a sample in the ring holds is what the drain reads.
const layout = { stacks: false, copyRegisters: false };
const sampleType = sampleTypeOf(layout);
const event = surface.events.open(
  { type: 5, bpType: 2, bpAddr, bpLen: 8n, samplePeriod: 1n, sampleType, sampleIdAll: true },
  { pid, cpu: -1 },
);
event.mapRing(64);
const drain = surface.events.drain(layout);
drain.addRing(event);
drain.addWatch(event, 0);
surface.tasks.waitEnd(pid).ended.then(() => drain.finish());

const bySite = new Map();
const sites = [];
for (let batch = await drain.next(); batch !== undefined; batch = await drain.next()) {
  for (let i = 0; i < batch.newSites.length; i += 3)
    sites.push(batch.newSites[i + 1] * 2 ** 32 + batch.newSites[i]);
  for (let row = 0; row < batch.columns.length; row++) {
    const site = sites[batch.columns.site[row]];
    bySite.set(site, (bySite.get(site) ?? 0) + 1);
  }
  drain.recycle(batch);
}
console.log(
  `${trace.length} accesses; ${event.read().value} writes to 0x${bpAddr.toString(16)}, from ${bySite.size} places:`,
);
for (const [site, count] of [...bySite].sort((a, b) => b[1] - a[1]).slice(0, 5))
  console.log(`  before 0x${site.toString(16)}: ${count}`);
surface.close();
