// What does one record cost to decode?
//
// `RingDrain` on a full synthetic ring of 2 MiB into columns of 16384 rows, as the draining thread does it: without and
// with call stacks of depth 10, with and without the registers that recognise kernel copies, one and two rings.
// Expected: 10-20 ns a record plain, 60-90 ns with a stack of depth 10.
//
//     npm run bench -- drain [--rounds 60]
import { HitColumns } from '../dist/ring/hit-columns.js';
import { noHorizon, RingDrain } from '../dist/ring/ring-drain.js';
import { FakeRing } from './fake-ring.mjs';
import { machineLine, parseOptions, printTable, spread } from './support.mjs';

const ringBytes = 2 * 1024 * 1024;
const batchRows = 16384;

export async function run(argv) {
  const { rounds } = parseOptions(argv, { rounds: 60 }, { rounds: 2 });
  const shapes = [
    { name: 'plain', layout: { stacks: false, copyRegisters: false }, rings: 1 },
    { name: 'registers, user hits', layout: { stacks: false, copyRegisters: true }, rings: 1 },
    {
      name: 'registers, kernel copies',
      layout: { stacks: false, copyRegisters: true },
      rings: 1,
      kernel: true,
    },
    { name: 'registers, two rings in turns', layout: { stacks: false, copyRegisters: true }, rings: 2 },
    { name: 'stacks of depth 10', layout: { stacks: true, copyRegisters: true }, rings: 1 },
    {
      name: 'stacks of depth 10, 1000 different',
      layout: { stacks: true, copyRegisters: true },
      rings: 1,
      stacks: 1000,
    },
  ];
  const runs = new Map(shapes.map((shape) => [shape, { ns: [], hits: 0, hash: 0, written: 0 }]));
  for (const shape of shapes) {
    const run = runs.get(shape);
    run.drain = new RingDrain(shape.layout);
    run.rings = Array.from({ length: shape.rings }, () => new FakeRing(ringBytes));
    for (const ring of run.rings) run.drain.addRing(ring.view);
    run.drain.addWatchId(7, 0, 0);
    run.columns = new HitColumns({ capacity: batchRows });
  }
  for (let round = 0; round < rounds; round++) {
    for (const shape of shapes) {
      const run = runs.get(shape);
      const written = fill(run.rings, shape, run.written);
      run.written += written;
      const start = process.hrtime.bigint();
      let hits = 0;
      for (let more = true; more; ) {
        run.columns.length = 0;
        more = run.drain.pass(run.columns, noHorizon);
        run.drain.takeBatch(run.columns);
        hits += run.columns.length;
      }
      const ns = Number(process.hrtime.bigint() - start);
      run.hash = (run.hash + run.columns.timeLow[run.columns.length - 1]) >>> 0;
      run.hits += hits;
      if (round >= Math.min(5, rounds - 1)) run.ns.push(ns / hits); // the first rounds compile
    }
  }
  console.log(`${machineLine()}; ring of ${ringBytes >> 20} MiB, ${rounds} rounds, interleaved`);
  printTable([
    ['records', 'decoded', 'ns/record (median, min..max)', 'M/s', 'hash'],
    ...shapes.map((shape) => {
      const { ns, hits, written, hash } = runs.get(shape);
      const best = Math.min(...ns);
      return [
        shape.name,
        `${hits}${hits === written ? '' : ' WRONG'}`,
        spread(ns, 1),
        (1000 / best).toFixed(0),
        hash.toString(16),
      ];
    }),
  ]);
  return [...runs.values()].every(({ hits, written }) => hits === written) ? 0 : 1;
}

/** Fills the rings to the brim, in turns; how many records that was. */
function fill(rings, shape, before) {
  const { stacks, copyRegisters } = shape.layout;
  const sizeBytes = 48 + (stacks ? 88 : 0) + (copyRegisters ? 24 : 0);
  const perRing = Math.floor(Math.min(...rings.map((ring) => ring.room)) / sizeBytes);
  let n = before;
  for (let i = 0; i < perRing; i++) {
    for (const [cpu, ring] of rings.entries()) {
      const different = n % (shape.stacks ?? 1);
      ring.sample({
        id: 7,
        ip: 0x401136,
        pid: 4000,
        tid: 4000 + cpu,
        timeNs: 1e12 + n * 16_000,
        cpu,
        kernel: shape.kernel === true,
        ...(stacks
          ? { frames: Array.from({ length: 10 }, (_, frame) => 0x401000 + 64 * frame + different * 4096) }
          : {}),
        ...(copyRegisters ? { registers: { cx: 1e6 - (n % 1000), di: 0x7f0000000000 + (n % 1000) } } : {}),
      });
      n++;
    }
  }
  for (const ring of rings) ring.publish();
  return n - before;
}
