import { expect, test } from 'vitest';
import { describeWith, lacking, skip } from './support/machine.ts';
import { Running, run, trapline } from './support/process.ts';
import { programs } from './support/programs.ts';
import { readWatch, startWatch, total, totalsBy, type WatchOutput } from './support/watching.ts';

// The program of the "Must show": four threads with 1,000 stores each, and one read(2) into the variable.

/** The line that counter.c ends with: its pid, the threads' tids, the value. */
function parseProgram(line: string): { pid: number; tids: number[] } {
  const [pid = 0, ...rest] = line.trim().split(' ').map(Number);
  expect(rest[4]).toBe(1234567);
  return { pid, tids: rest.slice(0, 4) };
}

function checkHits(output: WatchOutput, program: { pid: number; tids: number[] }): void {
  const { user, kernel, summary } = output;
  expect(user).toHaveLength(4000);
  const [a, b, c, d] = program.tids;
  expect(totalsBy(user, (hit) => `${hit.pid} ${hit.tid} ${hit.comm} ${hit.symbol} ${hit.access}`)).toEqual({
    [`${program.pid} ${a} storer-a store_a w`]: 1000,
    [`${program.pid} ${b} storer-b store_b w`]: 1000,
    [`${program.pid} ${c} storer-c store_c w`]: 1000,
    [`${program.pid} ${d} storer-d store_d w`]: 1000,
  });
  expect(kernel).toHaveLength(1);
  expect(total(kernel)).toBeGreaterThanOrEqual(1);
  expect(total(kernel)).toBeLessThanOrEqual(4);
  expect(kernel[0]).toMatchObject({ pid: program.pid, tid: program.pid, comm: 'counter', access: 'w' });
  expect(summary.lost).toBe(0);
  expect(summary.hits).toBe(4000 + total(kernel));
}

describeWith(['gcc', 'breakpoints', 'kernel mode'], 'four threads and one read(2)', () => {
  test('a started program: 4,000 user hits of the right threads and functions, and the read alone as kernel hits', async () => {
    const result = await trapline(['watch', '--json', 'counter:w', '--', programs.build('counter')]);
    expect(result.stderr).toBe('');
    expect(result.status).toBe(0);
    const output = readWatch(result.stdout, { otherLines: true });
    expect(output.others).toHaveLength(1);
    checkHits(output, parseProgram(output.others[0] ?? ''));
    expect(output.ended.map((line) => line.reason)).toEqual(['target ended']);
  });

  test('a running process: the same under -p', async () => {
    const program = new Running(programs.build('counter'), ['wait']);
    await program.line(/^ready/);
    const watching = await startWatch(['counter:w', '-p', String(program.pid)]);
    program.write('g');
    const ended = await program.ended;
    expect(ended.status).toBe(0);
    const result = await watching.ended;
    expect(result.stderr).toBe('');
    expect(result.status).toBe(0);
    const output = readWatch(result.stdout);
    checkHits(output, parseProgram(ended.stdout.split('\n')[1] ?? ''));
    expect(output.ended.map((line) => line.reason)).toEqual(['target ended']);
  });

  test('user hits and counts equal those of perf stat', async (context) => {
    const reason = lacking('perf');
    if (reason !== undefined) return skip(context, reason);
    const program = programs.buildFixed('counter');
    const event = `mem:0x${programs.address(program, 'counter').toString(16)}/4:w:u`;
    const perf = await run('perf', ['stat', '-x,', '-e', event, program]);
    const counted = Number(perf.stderr.split(',')[0]);
    expect(counted).toBe(4000);
    const watched = readWatch((await trapline(['watch', '--json', event, '--', program])).stdout, {
      otherLines: true,
    });
    expect(watched.user).toHaveLength(counted);
    expect(watched.kernel).toEqual([]);
    const stat = await trapline(['stat', '--user-only', '--json', 'counter:w', '--', program]);
    const counts: unknown = JSON.parse(stat.stdout.trim().split('\n').at(-1) ?? '');
    expect(counts).toMatchObject({ watches: [{ hits: counted }] });
  });

  test('the totals as text name each function with its thread, and nothing is lost', async () => {
    const result = await trapline(['watch', '--quiet', 'counter:w', '--', programs.build('counter')]);
    expect(result.status).toBe(0);
    const lines = result.stdout.trimEnd().split('\n');
    const { tids } = parseProgram(lines.find((line) => / 1234567$/.test(line)) ?? '');
    for (const [i, letter] of ['a', 'b', 'c', 'd'].entries()) {
      const site = lines.filter((line) => line.includes(`store_${letter} `));
      expect(site).toHaveLength(1);
      expect(site[0]).toMatch(
        new RegExp(`^\\s*1000\\s+2[45]\\.\\d%\\s+user\\s+w\\b.*storer-${letter}/${tids[i]}$`),
      );
    }
    expect(lines.at(-1)).toMatch(/^hits: 400[1-4] {2}lost: 0$/);
  });
});
