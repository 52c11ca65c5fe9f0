// Run by the record and values benchmarks: watches a command through the API, touches every column, writes what it saw to
// a file. With values, checks them: the target stores 2, 3, 4, ….
// node record-api.mjs FILE WHAT stacks|plain|values COMMAND ARGS...
import fs from 'node:fs';
import { valueFlags, watch } from '../dist/api/index.js';

const [file, what, mode, ...command] = process.argv.slice(2);
const watched = watch({ command, what, stacks: mode === 'stacks', values: mode === 'values' });
let hits = 0;
let userHits = 0;
let exactValues = 0;
let wrongValues = 0;
let sum = 0;
for await (const { columns } of watched) {
  const { length, timeLow, tid, site, stack, cpu, watch: watchNumber, flags, values } = columns;
  for (let row = 0; row < length; row++) {
    sum = (sum + timeLow[row] + tid[row] + site[row] + stack[row] + cpu[row] + watchNumber[row]) | 0;
    if ((flags[row] & 1) === 0) userHits++;
    if (values !== undefined) {
      if ((values.flags[row] & valueFlags.exact) !== 0) exactValues++;
      if (values.afterLow[row] !== hits + row + 2 || values.beforeLow[row] !== hits + row + 1) wrongValues++;
    }
  }
  hits += length;
}
const session = await watched.session();
const result = { hits, userHits, sum, lost: session.lost(), drainCpuNs: session.drainCpuTimeNs() };
fs.writeFileSync(file, JSON.stringify(mode === 'values' ? { ...result, exactValues, wrongValues } : result));
watched.close();
