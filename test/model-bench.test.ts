import { describe, expect, it } from 'vitest';
import { runModelBench, smallBench } from '../bench/model.bench.ts';

describe('the benchmark of the model', () => {
  it('runs on small inputs and prints each of its tables', async () => {
    const lines: string[] = [];
    await runModelBench({ ...smallBench, print: (line) => lines.push(line) });
    const text = lines.join('\n');
    for (const part of [
      'A counted hit:',
      'A sample written to a ring',
      'A context switch',
      'naive: walks',
      'ours: histograms',
      'a thread that inherits four breakpoints',
      'Fuzzing on the model alone',
      'bare walk',
      'replay arm64',
      'counted on arm64',
      ', 0 hits;',
      'other tasks   CPUs',
    ])
      expect(text).toContain(part);
  });
});
