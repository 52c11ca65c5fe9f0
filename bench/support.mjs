// What the benchmarks share: options, peers, medians, tables.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const benchFolder = path.dirname(fileURLToPath(import.meta.url));
export const trapline = path.join(benchFolder, '../dist/cli/main.js');

/** "--hits 100 --small" by the defaults' types: numbers, booleans, strings. Exits 2 on what is none of them. */
export function parseOptions(argv, defaults, small = {}) {
  const isSmall = argv.includes('--small');
  const options = { ...defaults, ...(isSmall ? small : {}), small: isSmall };
  for (let i = 0; i < argv.length; i++) {
    const name = argv[i].replace(/^--/, '').replace(/-([a-z])/g, (_, letter) => letter.toUpperCase());
    if (name === 'small') continue;
    const known = defaults[name];
    if (known === undefined || !argv[i].startsWith('--')) {
      const names = [...Object.keys(defaults), 'small'].map((each) => `--${each}`).join(' ');
      process.stderr.write(`unknown option ${argv[i]}; there are ${names}\n`);
      process.exit(2);
    }
    if (typeof known === 'boolean') options[name] = true;
    else options[name] = typeof known === 'number' ? Number(argv[++i]) : argv[++i];
    if (typeof known === 'number' && !(options[name] >= 0)) {
      process.stderr.write(`--${name} wants a number\n`);
      process.exit(2);
    }
  }
  return options;
}

/** A folder that is removed when the process ends. */
export function temporaryFolder() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'trapline-bench-'));
  process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Whether a program can be started at all. */
export function isInstalled(program, args = ['--version']) {
  return spawnSync(program, args, { stdio: 'ignore' }).error === undefined;
}

/** bench/c/NAME.c as a program at a fixed address; `undefined` without a compiler. */
export function compile(name, folder) {
  if (!isInstalled('gcc')) return undefined;
  const program = path.join(folder, name);
  const source = path.join(benchFolder, 'c', `${name}.c`);
  const flags = ['-O1', '-g', '-fno-omit-frame-pointer', '-no-pie', '-pthread'];
  const done = spawnSync('gcc', [...flags, '-o', program, source], { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`gcc cannot compile ${source}: ${done.stderr}`);
  return program;
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** "1.23 (1.10..1.40)", or "-" of nothing. */
export function spread(values, digits) {
  if (values.length === 0) return '-';
  const text = median(values).toFixed(digits);
  if (values.length === 1) return text;
  return `${text} (${Math.min(...values).toFixed(digits)}..${Math.max(...values).toFixed(digits)})`;
}

/** Rows of cells, the first row the titles, as aligned lines. */
export function printTable(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => String(row[column] ?? '').length)));
  for (const row of rows) {
    const cells = row.map((cell, column) =>
      column === 0 ? String(cell).padEnd(widths[column]) : String(cell).padStart(widths[column]),
    );
    console.log(cells.join('  ').trimEnd());
  }
}

/** "reached" or "missed by 12%". */
export function verdict(value, wanted) {
  if (value <= wanted) return 'reached';
  return wanted === 0 ? `missed: ${value}` : `MISSED by ${((value / wanted - 1) * 100).toFixed(0)}%`;
}

/** The machine in a line, for the reader of the figures. */
export function machineLine() {
  return `${os.cpus().length} CPUs, Linux ${os.release()}, Node ${process.version}, load ${os.loadavg()[0].toFixed(2)}`;
}
