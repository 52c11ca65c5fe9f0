// `npm run bench -- NAME [options]`: one file a benchmark, NAME.bench.mjs. Every one has --small, which `npm test` runs.
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { benchFolder } from './support.mjs';

const suffix = '.bench.mjs';
const names = fs
  .readdirSync(benchFolder)
  .filter((file) => file.endsWith(suffix))
  .map((file) => file.slice(0, -suffix.length));
const [name, ...args] = process.argv.slice(2);
if (name === undefined || !names.includes(name)) {
  process.stderr.write(`npm run bench -- NAME [options]; NAME is one of ${names.join(', ')}\n`);
  process.exit(2);
}
const { run } = await import(pathToFileURL(path.join(benchFolder, `${name}${suffix}`)).href);
process.exitCode = await run(args);
