import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { Driven } from './support/driven.ts';
import { describeWith } from './support/machine.ts';
import { Running, root, run } from './support/process.ts';
import { programs } from './support/programs.ts';
import { finishWatch, startWatch } from './support/watching.ts';

const api = pathToFileURL(path.join(root, 'dist/api/index.js')).href;
let scripts = 0;

/** Writes a script that has `watch`, and prints what `print` is given, as JSON lines. */
function script(text: string): string {
  const file = path.join(programs.folder, `script-${++scripts}.mjs`);
  fs.writeFileSync(
    file,
    `import { watch, WatchError } from ${JSON.stringify(api)};
const print = (value) => console.log(JSON.stringify(value, (_, each) => typeof each === 'bigint' ? String(each) : each));
${text}`,
  );
  return file;
}

/** Runs a script to its end: status 0, nothing on standard error; what it printed. */
async function runScript(text: string, args: readonly string[] = []): Promise<unknown[]> {
  const result = await run(process.execPath, [script(text), ...args]);
  expect(result.stderr).toBe('');
  expect(result.status).toBe(0);
  return result.stdout
    .trimEnd()
    .split('\n')
    .filter((line) => !line.startsWith('simple ')) // a watched program's
    .map((line): unknown => JSON.parse(line));
}

describeWith(['gcc', 'breakpoints'], 'the API', () => {
  test('command: the hits of a program, its exit status, counts and summary', async () => {
    const printed = await runScript(
      `const watching = watch({ command: [process.argv[2]], what: ['counter:w', 'table+40/8:w'], userOnly: true });
      const totals = {};
      for await (const batch of watching)
        for (const hit of batch.hits()) {
          const key = [hit.watch.text, hit.code.location.symbol, hit.code.access].join(' ');
          totals[key] = (totals[key] ?? 0) + hit.count;
        }
      print({ totals, exit: await watching.exitStatus(), counts: (await watching.counts()).map((each) => each.hits) });
      const { reason, hits, lost } = await watching.summary();
      print({ reason, hits, lost });
      watching.close();`,
      [programs.build('simple')],
    );
    expect(printed).toEqual([
      {
        totals: { 'counter:w store w': 10, 'table+40/8:w main w': 3 },
        exit: { type: 'exited', code: 3 },
        counts: ['10', '3'],
      },
      { reason: 'target ended', hits: 13, lost: 0 },
    ]);
  });

  test('pid: a running process, left by breaking out of the loop: nothing is armed any more', async () => {
    const driven = await Driven.start();
    const child = new Running(process.execPath, [
      script(`
      const watching = watch({ pid: Number(process.argv[2]), what: 'counter:w' });
      await watching.armed;
      print('armed');
      let hits = 0;
      for await (const batch of watching) {
        hits += batch.length;
        if (hits > 0) break;
      }
      print({ hits });
      process.stdin.resume(); // stays, so that only the loop's end can have disarmed
      process.stdin.on('end', () => process.exit(0));`),
      String(driven.pid),
    ]);
    await child.line(/armed/);
    await driven.ask('store 3');
    expect(JSON.parse(await child.line(/hits/))).toEqual({ hits: 3 });
    const watching = await startWatch([
      'counter:w',
      'other:w',
      'third:w',
      'fourth:w',
      '-p',
      String(driven.pid),
    ]);
    await driven.ask('all 1');
    expect((await finishWatch(watching)).user).toHaveLength(4);
    child.endInput();
    expect((await child.ended).status).toBe(0);
    expect(await driven.quit()).toBe(0);
  });

  test('close() in the middle ends the loop, and may be called twice', async () => {
    const printed = await runScript(
      `const watching = watch({ pid: Number(process.argv[2]), what: 'counter:w' });
      await watching.armed;
      setTimeout(() => { watching.close(); watching.close(); }, 50);
      for await (const batch of watching) print(batch.length);
      print('over');`,
      [String((await Driven.start()).pid)],
    );
    expect(printed).toEqual(['over']);
  });

  test('close() before it is armed leaves nothing behind, and the script ends', async () => {
    const printed = await runScript(
      `const watching = watch({ pid: Number(process.argv[2]), what: 'counter:w' });
      watching.close();
      let batches = 0;
      for await (const batch of watching) batches++;
      print({ batches });`,
      [String((await Driven.start()).pid)],
    );
    expect(printed).toEqual([{ batches: 0 }]);
  });

  test('Symbol.dispose disarms', async () => {
    const driven = await Driven.start();
    const printed = await runScript(
      `const four = ['counter:w', 'other:w', 'third:w', 'fourth:w'];
      for (let i = 0; i < 3; i++) {
        const watching = watch({ pid: Number(process.argv[2]), what: four });
        print((await watching.armed).watches.length);
        watching[Symbol.dispose]();
        watching[Symbol.dispose]();
        await new Promise((resolve) => setTimeout(resolve, 20));
      }`,
      [String(driven.pid)],
    );
    expect(printed).toEqual([4, 4, 4]);
    expect(await driven.quit()).toBe(0);
  });

  test('a watch that is forgotten does not keep the script from ending once its target has ended', async () => {
    const printed = await runScript(
      `const watching = watch({ command: ['/bin/true'], what: '0x10000:w' });
      for await (const batch of watching);
      print(await watching.exitStatus());`,
    );
    expect(printed).toEqual([{ type: 'exited', code: 0 }]);
  });

  test('maxHits and durationMs end it', async () => {
    const printed = await runScript(
      `const few = watch({ command: [process.argv[2]], what: 'counter:w', maxHits: 4 });
      let hits = 0;
      for await (const batch of few) hits += batch.length;
      print({ hits, reason: (await few.summary()).reason });
      few.close();
      const short = watch({ pid: process.ppid, what: '0x10000:w', durationMs: 60 });
      const began = Date.now();
      for await (const batch of short);
      print({ waited: Date.now() - began >= 55, reason: (await short.summary()).reason });
      short.close();`,
      [programs.build('simple')],
    );
    expect(printed).toEqual([
      { hits: 4, reason: 'max hits' },
      { waited: true, reason: 'time' },
    ]);
  });

  test('memory: an element that this thread and a worker write, by thread', async () => {
    const printed = await runScript(`
      import { Worker } from 'node:worker_threads';
      const shared = new Int32Array(new SharedArrayBuffer(16));
      const worker = new Worker(\`
        const { workerData, parentPort } = require('node:worker_threads');
        parentPort.on('message', () => {
          for (let i = 0; i < 50; i++) Atomics.store(workerData, 1, i);
          parentPort.postMessage('done');
          parentPort.close();
        });\`, { eval: true, workerData: shared });
      await new Promise((resolve) => worker.once('online', resolve));
      const watching = watch({ memory: shared.subarray(1, 2), what: 'element' });
      const info = await watching.armed;
      shared[0] = 1; // beside it
      shared[1] = 2;
      worker.postMessage('go');
      await new Promise((resolve) => worker.once('message', resolve));
      await new Promise((resolve) => setTimeout(resolve, 20));
      await watching.stop();
      const tids = new Map();
      for await (const batch of watching)
        for (const hit of batch.hits()) tids.set(hit.tid, (tids.get(hit.tid) ?? 0) + hit.count);
      print({ text: info.watches[0].text, lenBytes: info.watches[0].lenBytes, pid: info.pid === process.pid });
      print({ own: tids.get(process.pid), counts: [...tids.values()].sort((a, b) => a - b) });
      watching.close();`);
    expect(printed).toEqual([
      { text: 'element', lenBytes: 4, pid: true },
      { own: 1, counts: [1, 50] },
    ]);
  });

  test('memory: a small array on the JavaScript heap is watched where it stays, through garbage collections', async () => {
    const printed = await runScript(`
      import v8 from 'node:v8';
      import vm from 'node:vm';
      v8.setFlagsFromString('--expose-gc');
      const gc = vm.runInNewContext('gc');
      const small = new Float64Array(1);
      const watching = watch({ memory: small });
      await watching.armed;
      for (let i = 0; i < 3; i++) { gc(); small[0] = i + 0.5; }
      await watching.stop();
      let hits = 0;
      for await (const batch of watching) hits += batch.length;
      print({ hits });
      watching.close();`);
    expect(printed).toEqual([{ hits: 3 }]);
  });

  test('memory: 24 bytes are refused, naming the pieces; a misaligned view too', async () => {
    const printed = await runScript(`
      for (const memory of [new Float64Array(3), new Uint8Array(8).subarray(1, 5), new Uint8Array(0)]) {
        const watching = watch({ memory, what: 'array' });
        try { await watching.armed; print('armed'); }
        catch (error) { print({ known: error instanceof WatchError, kind: error.kind, message: error.message }); }
        watching.close();
      }`);
    expect(printed).toMatchObject([
      { known: true, kind: 'request', message: expect.stringMatching(/array.*24 bytes.*\/8.*\/8.*\/8/) },
      { known: true, kind: 'request', message: expect.stringMatching(/align/) },
      { known: true, kind: 'request' },
    ]);
  });

  test('bad requests reject armed and the loop with a WatchError, and nothing else (no unhandled rejection)', async () => {
    const driven = await Driven.start();
    const printed = await runScript(
      `const pid = Number(process.argv[2]);
      const bad = [
        { pid, what: 'conter:w' }, { pid, what: [] }, { pid: 4194304, what: '0x10000:w' }, { what: 'counter' },
        { pid, command: ['true'], what: 'counter' }, { command: ['no-such-command'], what: 'counter' },
        { command: [], what: 'counter' }, { pid, what: 'counter:q' },
      ];
      for (const options of bad) {
        const watching = watch(options);
        try { for await (const batch of watching); print('no error'); }
        catch (error) { print([error instanceof WatchError, error.kind]); }
        watching.close();
      }
      watch({ pid, what: 'conter:w' }); // nobody asks
      await new Promise((resolve) => setTimeout(resolve, 100));`,
      [String(driven.pid)],
    );
    expect(printed).toEqual(new Array(8).fill([true, 'request']));
    expect(await driven.quit()).toBe(0);
  });

  test('numbers that are none are refused: maxHits, durationMs, pid', async () => {
    const printed = await runScript(`
      const bad = [{ maxHits: 0 }, { maxHits: Number.NaN }, { maxHits: -1 }, { durationMs: -5 }, { durationMs: Number.NaN }, { pid: 1.5 }, { pid: -1 }];
      for (const options of bad) {
        try {
          const watching = watch({ pid: process.ppid, what: '0x10000:w', ...options });
          setTimeout(() => watching.close(), 100);
          for await (const batch of watching);
          print({ accepted: String(Object.entries(options)) });
        } catch (error) { print(error instanceof WatchError); }
      }`);
    expect(printed).toEqual(new Array(7).fill(true));
  });

  test('two watches of one script at once do not disturb each other', async () => {
    const printed = await runScript(
      `const all = ['counter:w', 'table+40/8:w'].map(async (what) => {
        const watching = watch({ command: [process.argv[2]], what, userOnly: true });
        let hits = 0;
        for await (const batch of watching) hits += batch.length;
        watching.close();
        return hits;
      });
      print(await Promise.all(all));`,
      [programs.build('simple')],
    );
    expect(printed).toEqual([[10, 3]]);
  });

  test('./uapi and the types are there', () => {
    for (const file of ['dist/api/index.d.ts', 'dist/uapi/index.js', 'dist/uapi/index.d.ts'])
      expect(fs.existsSync(path.join(root, file)), file).toBe(true);
  });
});
