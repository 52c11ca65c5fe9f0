import fs from 'node:fs';
import { gzipSync } from 'node:zlib';
import type { ByteSink, ByteSource } from '../base/byte-source.ts';
import { writeCollapsed } from '../formats/collapsed.ts';
import { writeCsv } from '../formats/csv.ts';
import { writeFirefoxProfile } from '../formats/firefox-profile.ts';
import { writePerfData } from '../formats/perf-data.ts';
import { writePerfScript } from '../formats/perf-script.ts';
import { writePerfetto } from '../formats/perfetto.ts';
import { writePprof } from '../formats/pprof.ts';
import type { ReadResult } from '../formats/recording-reader.ts';
import { UsageError } from './errors.ts';
import { oneLine } from './printable.ts';
import { writeRecordedJsonLines } from './recorded-json-lines.ts';
import { openFileSource } from './recording-file.ts';

/** The options of `trapline export`, as commander gives them. */
export interface ExportFlags {
  readonly as?: string;
  readonly output?: string;
}

const formats: Readonly<Record<string, (source: ByteSource, sink: ByteSink) => ReadResult>> = {
  collapsed: writeCollapsed,
  csv: writeCsv,
  firefox: writeFirefoxProfile,
  jsonl: writeRecordedJsonLines,
  perf: writePerfData,
  perfetto: writePerfetto,
  pprof: (source, sink) => writePprof(source, { write: (bytes) => sink.write(gzipSync(bytes)) }),
  script: writePerfScript,
};

/** `trapline export` and `script`: writes a recording as what another tool reads. @returns the exit status. */
export function exportCommand(path: string, flags: ExportFlags): number {
  const write = formats[flags.as ?? ''];
  if (write === undefined)
    throw new UsageError(`--as wants one of ${Object.keys(formats).join(', ')}, not '${flags.as}'`);
  const source = openFileSource(path);
  const file = new LateFile(flags.output);
  try {
    const { missing, hits } = write(source, file);
    if (missing !== undefined) fs.writeSync(2, `trapline: ${oneLine(missing)}\n`);
    if (flags.output !== undefined) fs.writeSync(2, `${hits} hits exported\n`);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EPIPE') return 0; // the reader has seen enough
    throw error;
  } finally {
    source.close();
    file.close();
  }
  return 0;
}

/** A file that is opened at the first write: what is no recording leaves it alone. Without a path, standard output. */
class LateFile implements ByteSink {
  readonly #path: string | undefined;
  #fd: number | undefined;

  constructor(path: string | undefined) {
    this.#path = path;
    if (path === undefined) this.#fd = 1;
  }

  write(bytes: Uint8Array): void {
    this.#fd ??= fs.openSync(this.#path ?? '', 'w');
    for (let done = 0; done < bytes.length; ) {
      try {
        done += fs.writeSync(this.#fd, bytes, done);
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
        Atomics.wait(pause, 0, 0, 1);
      }
    }
  }

  close(): void {
    if (this.#fd !== undefined && this.#fd !== 1) fs.closeSync(this.#fd);
  }
}

const pause = new Int32Array(new SharedArrayBuffer(4));
