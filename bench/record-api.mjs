// Run by the record benchmark: watches a command through the API, touches every column, writes what it saw to a file.
// node record-api.mjs FILE WHAT stacks|plain COMMAND ARGS...
import fs from 'node:fs';
import { watch } from '../dist/api/index.js';

const [file, what, stacks, ...command] = process.argv.slice(2);
const watched = watch({ command, what, stacks: stacks === 'stacks' });
let hits = 0;
let userHits = 0;
let sum = 0;
for await (const { columns } of watched) {
  const { length, timeLow, tid, site, stack, cpu, watch: watchNumber, flags } = columns;
  for (let row = 0; row < length; row++) {
    sum = (sum + timeLow[row] + tid[row] + site[row] + stack[row] + cpu[row] + watchNumber[row]) | 0;
    if ((flags[row] & 1) === 0) userHits++;
  }
  hits += length;
}
const session = await watched.session();
const result = { hits, userHits, sum, lost: session.lost(), drainCpuNs: session.drainCpuTimeNs() };
fs.writeFileSync(file, JSON.stringify(result));
watched.close();
