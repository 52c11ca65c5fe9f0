// What do recordings cost: bytes a hit, reading, exporting? Expected: 29 bytes, 10 M hits reported in 3 s, a million
// exported in 5 s to each format. `npm run bench -- recording [--hits N] [--exported N]`
import { spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { entryText } from '../dist/formats/recording-entries.js';
import { RecordingWriter } from '../dist/formats/recording-writer.js';
import {
  benchFolder,
  machineLine,
  parseOptions,
  printTable,
  temporaryFolder,
  trapline,
  verdict,
} from './support.mjs';

const formats = ['perf', 'firefox', 'pprof', 'perfetto', 'collapsed', 'csv', 'jsonl', 'script'];

export async function run(argv) {
  const options = parseOptions(
    argv,
    { hits: 10_000_000, exported: 1_000_000 },
    { hits: 20_000, exported: 5000 },
  );
  const folder = temporaryFolder();
  console.log(machineLine());
  const rows = [['what', 'seconds', 'wanted', '', 'MiB', 'wanted', '', 'hash']];
  let wrong = 0;

  const large = path.join(folder, 'large.trapline');
  const writing = write(large, options.hits);
  const bytesAHit = fs.statSync(large).size / options.hits;
  const report = timed(['report', '--json', large], path.join(folder, 'report'));
  const said = JSON.parse(`${report.text.slice(0, report.text.indexOf(',"watches"'))}}`);
  if (said.hits !== options.hits) wrong++;
  rows.push([`write ${options.hits} hits`, writing.toFixed(2), '-', '', '-', '', '', '']);
  rows.push(row(`report of ${options.hits}`, report, 3, 500));

  const small = path.join(folder, 'small.trapline');
  write(small, options.exported);
  for (const format of formats) {
    const out = path.join(folder, `out.${format}`);
    const one = timed(['export', '--as', format, '-o', out, small]);
    if (!one.stderr.includes(`${options.exported} hits exported`)) wrong++;
    rows.push(row(`export ${options.exported} as ${format}`, { ...one, text: fs.readFileSync(out) }, 5));
    fs.rmSync(out);
  }
  printTable(rows);
  console.log(`bytes a hit: ${bytesAHit.toFixed(2)}, wanted <= 30: ${verdict(bytesAHit, 30)}`);
  console.log(`writing: ${((writing / options.hits) * 1e9).toFixed(0)} ns a hit`);
  if (wrong > 0) console.log(`WRONG: ${wrong} did not have every hit`);
  return wrong > 0 ? 1 : 0;
}

function row(what, { seconds, maxRssMiB, text }, wantedSeconds, wantedMiB) {
  const hash = crypto.createHash('sha256').update(text).digest('hex').slice(0, 8);
  const memory = wantedMiB === undefined ? ['', ''] : [`<= ${wantedMiB}`, verdict(maxRssMiB, wantedMiB)];
  return [
    what,
    seconds.toFixed(2),
    `<= ${wantedSeconds}`,
    verdict(seconds, wantedSeconds),
    maxRssMiB.toFixed(0),
    ...memory,
    hash,
  ];
}

/** Runs trapline; wall time and the largest memory of it, told by itself at its end. */
function timed(args, output) {
  const teller = path.join(benchFolder, 'tell-memory.mjs');
  const start = process.hrtime.bigint();
  const { status, stderr } = spawnSync(process.execPath, ['--import', teller, trapline, ...args], {
    stdio: ['ignore', output === undefined ? 'ignore' : fs.openSync(output, 'w'), 'pipe'],
    encoding: 'utf8',
  });
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  if (status !== 0) throw new Error(`${args.join(' ')}: ${stderr}`);
  const maxRssMiB = Number(/maxRSS (\d+)/.exec(stderr)?.[1]) / 1024;
  return { seconds, stderr, maxRssMiB, text: output === undefined ? '' : fs.readFileSync(output, 'utf8') };
}

/** A recording of `hits` stores by four threads with 64 call sites. @returns seconds. */
function write(file, hits) {
  const fd = fs.openSync(file, 'w');
  const start = process.hrtime.bigint();
  const writer = new RecordingWriter({ write: (bytes) => fs.writeSync(fd, bytes) });
  const sinceNs = 5_000_000_000n;
  writer.entry(
    entryText({
      type: 'recording',
      kernel: 'Linux 6.1.0 x86_64',
      machine: { cpus: 2 },
      tool: 'bench',
      command: [],
      pid: 100,
      comm: 'prog',
      threads: 4,
      cpus: [0, 1],
      kernelMode: true,
      notes: [],
      sinceNs,
      wallClockNs: 1_700_000_000_000_000_000n,
      stacks: false,
      values: true,
      watches: [
        {
          text: 'counter',
          address: 0x404040n,
          lenBytes: 4,
          access: 'w',
          type: { kind: 'base', name: 'int', byteSize: 4, encoding: 'signed' },
        },
      ],
    }),
  );
  const accesses = [];
  for (let site = 0; site < 64; site++) {
    const address = 0x401000n + BigInt(16 * site);
    const location = {
      address,
      module: 'prog',
      modulePath: '/bin/prog',
      symbol: `store_${site}`,
      function: `store_${site}`,
      offset: 4n,
      file: '/src/prog.c',
      line: site + 1,
    };
    const code = {
      sampleIp: address + 6n,
      ip: address,
      instructionFound: true,
      location,
      kernel: false,
      access: 'w',
      text: undefined,
    };
    writer.entry(entryText({ type: 'site', pid: 100, watch: 0, code }));
    for (let thread = 0; thread < 4; thread++)
      accesses.push(
        writer.entry(
          entryText({
            type: 'access',
            pid: 100,
            tid: 100 + thread,
            comm: `thread-${thread}`,
            cpu: thread & 1,
            site,
            stack: 0,
          }),
        ),
      );
  }
  let state = 1;
  for (let i = 0; i < hits; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    const time = 5_000_000_000 + 1500 * (i + 1);
    writer.hit(
      accesses[(state >>> 8) & 255],
      1 | 4 | 8,
      time >>> 0,
      Math.floor(time / 2 ** 32),
      i,
      0,
      i + 1,
      0,
    );
  }
  writer.entry(
    entryText({ type: 'end', timeNs: sinceNs + 1500n * BigInt(hits), reason: 'target ended', hits, lost: 0 }),
  );
  writer.finish();
  fs.closeSync(fd);
  return Number(process.hrtime.bigint() - start) / 1e9;
}
