import fs from 'node:fs';
import { symbolResources } from '../api/symbol-resources.ts';
import type { ByteSource } from '../base/byte-source.ts';
import { importPerfData } from '../formats/import-perf-data.ts';
import { openFileSource, RecordingFile } from './recording-file.ts';
import { toolName } from './tool-name.ts';

/** `trapline import`: a perf.data as a recording. @returns the exit status. */
export function importCommand(path: string, flags: { readonly output?: string }): number {
  const source = openFileSource(path);
  const file = new RecordingFile(flags.output ?? '');
  const opened: { close(): void }[] = [];
  let began = false;
  const openPath = (name: string): ByteSource | undefined => {
    try {
      const opening = openFileSource(name);
      opened.push(opening);
      return opening;
    } catch {
      return undefined; // not there any more
    }
  };
  try {
    const hits = importPerfData(
      source,
      {
        write(bytes) {
          if (!began) file.begin();
          began = true;
          file.write(bytes);
        },
      },
      { openPath, symbols: symbolResources(), tool: toolName(), command: process.argv.slice(2) },
    );
    file.close();
    if (file.problem !== undefined) {
      fs.writeSync(2, `trapline: ${file.problem}\n`);
      return 1;
    }
    fs.writeSync(2, `${hits} hits imported\n`);
    return 0;
  } catch (error) {
    if (!began) file.abandon();
    throw error;
  } finally {
    source.close();
    for (const each of opened) each.close();
  }
}
