// `npm run bench -- NAME [options]`: one file a benchmark, NAME.bench.mjs, or NAME.bench.ts, which the build compiles.
// Every one has --small, which `npm test` runs.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { benchFolder } from './support.mjs';

const suffix = '.bench.mjs';
const names = fs
  .readdirSync(benchFolder)
  .filter((file) => file.endsWith(suffix))
  .map((file) => file.slice(0, -suffix.length));
/** Compiled benchmarks, and what they need of Node. */
const compiled = { model: ['--expose-gc', '--max-old-space-size=12000'] };
const [name, ...args] = process.argv.slice(2);
if (name !== undefined && Object.hasOwn(compiled, name)) {
  const unknown = args.find((arg) => arg !== '--small');
  if (unknown !== undefined) {
    process.stderr.write(`bench ${name}: unknown option '${unknown}'; there is --small\n`);
    process.exit(2);
  }
  const file = path.join(benchFolder, '..', 'dist', 'bench', `${name}.bench.js`);
  const { status } = spawnSync(process.execPath, [...compiled[name], file, ...args], { stdio: 'inherit' });
  process.exit(status ?? 1);
}
if (name === undefined || !names.includes(name)) {
  process.stderr.write(
    `npm run bench -- NAME [options]; NAME is one of ${[...names, ...Object.keys(compiled)].join(', ')}\n`,
  );
  process.exit(2);
}
const { run } = await import(pathToFileURL(path.join(benchFolder, `${name}${suffix}`)).href);
process.exitCode = await run(args);
