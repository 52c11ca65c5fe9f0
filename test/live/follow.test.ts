import fs from 'node:fs';
import { expect, test } from 'vitest';
import { describeWith } from './support/machine.ts';
import { Running, start, trapline } from './support/process.ts';
import { programs } from './support/programs.ts';
import { finishWatch, readWatch, startWatch, type WatchOutput } from './support/watching.ts';

// `--follow`: the pointers on the way are watched too, and the watch moves. Orders wait for the line that says so.

interface Moving {
  readonly program: Running;
  readonly watching: Running;
  ask(order: string): Promise<bigint>;
}

const what = 'cfg->list->count:w';

async function begin(requests: readonly string[], args: readonly string[]): Promise<Moving> {
  const program = new Running(programs.build('mover'), args);
  await program.line(/^ready/);
  const watching = await startWatch(['--follow', ...requests, '-p', String(program.pid)]);
  return { program, watching, ask: (order) => ask(program, order) };
}

/** @returns the address of the count that the program tells. */
async function ask(program: Running, order: string): Promise<bigint> {
  program.write(`${order}\n`);
  const line = await program.line(/^done/);
  const address = line.split(' ')[1] ?? '';
  return address.startsWith('0x') ? BigInt(address) : 0n;
}

async function finish({ program, watching }: Moving): Promise<WatchOutput> {
  const output = await finishWatch(watching);
  program.write('q\n');
  expect((await program.ended).status).toBe(0);
  return output;
}

const seen = ({ user }: WatchOutput) => user.map((hit) => [BigInt(hit.address), Reflect.get(hit, 'new')]);

describeWith(['gcc', 'breakpoints'], 'watches that follow pointers', () => {
  test('moves with each pointer on the way, and keeps the hits of every place', async () => {
    const moving = await begin([what], ['x']);
    const places = [await moving.ask('s')];
    for (const order of ['o', 'i', 'o', 'i']) {
      const moved = moving.watching.line(/^\{"type":"moved"/);
      places.push(await moving.ask(order));
      await moved;
      await moving.ask('s');
    }
    const output = await finish(moving);
    expect(seen(output)).toEqual(
      places.flatMap((place, i) => [
        [place, 2 * i + 1],
        [place, 2 * i + 2],
      ]),
    );
    expect(output.moved.map((move) => move.places)).toEqual(
      places.slice(1).map((place) => [{ address: `0x${place.toString(16)}`, lenBytes: 8 }]),
    );
    expect(output.moved[0]?.pointers.map(({ pointer }) => pointer)).toEqual(['cfg', 'cfg->list']);
    expect(output.armed.watches).toHaveLength(1);
    expect(output.armed.notes.join()).toMatch(/the watch moves when a pointer changes/);
    expect(output.summary).toMatchObject({ hits: 10, lost: 0 });
    // The totals are of one watch: a site stands there once, whatever the place.
    const ips = output.summary.sites.map(({ ip }) => ip);
    expect(ips).toHaveLength(new Set(ips).size);
  });

  test('a pointer that is null is waited for, and may be null again', async () => {
    const moving = await begin([what], []);
    let moved = moving.watching.line(/^\{"type":"moved"/);
    const first = await moving.ask('o');
    await moved;
    await moving.ask('s');
    moved = moving.watching.line(/^\{"type":"moved"/);
    await moving.ask('n');
    await moved;
    moved = moving.watching.line(/^\{"type":"moved"/);
    const second = await moving.ask('o');
    await moved;
    await moving.ask('s');
    const output = await finish(moving);
    expect(output.armed.watches).toEqual([
      {
        watch: what,
        address: null,
        lenBytes: null,
        access: 'w',
        symbol: null,
        module: null,
        waits: "'cfg' is null now: it points nowhere",
      },
    ]);
    expect(output.moved.map(({ places, why }) => [places.length, why])).toEqual([
      [1, undefined],
      [0, "'cfg' is null now: it points nowhere"],
      [1, undefined],
    ]);
    expect(seen(output)).toEqual([
      [first, 1],
      [first, 2],
      [second, 3],
      [second, 4],
    ]);
  });

  test('threads that come before and after a move are watched at the new place', async () => {
    const moving = await begin([what], ['x']);
    await moving.ask('t');
    const moved = moving.watching.line(/^\{"type":"moved"/);
    const place = await moving.ask('o');
    await moved;
    await moving.ask('t');
    await moving.ask('s');
    const output = await finish(moving);
    expect(seen(output).slice(2)).toEqual([3, 4, 5, 6].map((value) => [place, value]));
    expect(new Set(output.user.map(({ tid }) => tid)).size).toBe(2);
  });

  test('a command is followed from its first pointer on', async () => {
    const watching = start(['watch', '--json', '--follow', what, '--', programs.build('mover')]);
    await watching.line(/^\{"type":"armed"/);
    const moved = watching.line(/^\{"type":"moved"/);
    watching.write('o\n');
    await moved;
    watching.write('s\nq\n');
    const { stdout, status } = await watching.ended;
    expect(status).toBe(0);
    const { hits, summary } = readWatch(stdout, { otherLines: true });
    expect(hits.map((hit) => Reflect.get(hit, 'new'))).toEqual([1, 2]);
    expect(summary.lost).toBe(0);
  });

  test('100 moves leave no events behind, and lose nothing of a place that is armed', async () => {
    const moving = await begin([what], ['x']);
    const openFiles = () => fs.readdirSync(`/proc/${moving.watching.pid}/fd`).length;
    const filesBefore = openFiles();
    for (let i = 0; i < 100; i++) {
      const moved = moving.watching.line(/^\{"type":"moved"/);
      await moving.ask('o');
      await moved;
      await moving.ask('s');
    }
    expect(openFiles()).toBeLessThanOrEqual(filesBefore + 2);
    const output = await finish(moving);
    expect(output.user.map((hit) => Reflect.get(hit, 'new'))).toEqual(
      Array.from({ length: 200 }, (_, i) => i + 1),
    );
    expect(output.moved).toHaveLength(100);
  }, 60_000);

  test('what cannot be followed is refused: too many registers, one thread; null names the option', async () => {
    const program = new Running(programs.build('mover'), ['x']);
    await program.line(/^ready/);
    const pid = String(program.pid);
    const many = await trapline([
      'watch',
      '--follow',
      what,
      'cfg->list->table[1:3]:w',
      'cfg->other',
      '-p',
      pid,
    ]);
    expect(many.stderr).toMatch(/--follow takes 6 registers \(2 for pointers, 4 for places\); x86 has 4/);
    expect(many.status).toBe(2);
    const thread = await trapline(['watch', '--follow', what, '-t', pid]);
    expect(thread.stderr).toMatch(new RegExp(`--follow takes a whole process \\(-p ${pid}\\)`));
    await ask(program, 'n');
    expect((await trapline(['watch', what, '-p', pid])).stderr).toMatch(
      /'cfg' is null now.*--follow waits for it/,
    );
    program.write('q\n');
    await program.ended;
  });
});
