import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { Driven } from './support/driven.ts';
import { describeWith, skip } from './support/machine.ts';
import { cli, Running, run, trapline } from './support/process.ts';
import { programs } from './support/programs.ts';
import { finishWatch, readWatch, startWatch, totalsBy } from './support/watching.ts';

function tool(file: string, args: readonly string[]): void {
  const result = spawnSync(file, args, { encoding: 'utf8', timeout: 10_000 });
  if (result.status !== 0) throw new Error(`${file} ${args.join(' ')}: ${result.stderr}`);
}

describeWith(['gcc', 'breakpoints'], 'where names are found', () => {
  test('in a debug file that .gnu_debuglink names', async () => {
    const folder = path.join(programs.folder, 'linked');
    fs.mkdirSync(path.join(folder, '.debug'), { recursive: true });
    const program = path.join(folder, 'program');
    const debug = path.join(folder, '.debug/program.debug');
    tool('objcopy', ['--only-keep-debug', programs.build('simple'), debug]);
    tool('objcopy', ['--strip-all', `--add-gnu-debuglink=${debug}`, programs.build('simple'), program]);
    const result = await trapline(['watch', '--json', 'counter:w', '--', program]);
    expect(result.stderr).toBe('');
    const { user } = readWatch(result.stdout, { otherLines: true });
    expect(totalsBy(user, (hit) => `${hit.symbol} ${hit.module}`)).toEqual({ 'store program': 10 });
  });

  test('a name that two files have for their own: refused, with both addresses; FILE.c:NAME tells them apart', async () => {
    const source = path.join(programs.folder, 'twins');
    for (const one of ['first', 'second'])
      fs.writeFileSync(
        `${source}-${one}.c`,
        `static volatile int twin; void store_${one}(void); void store_${one}(void) { twin = 1; }`,
      );
    fs.writeFileSync(
      `${source}.c`,
      'void store_first(void); void store_second(void); int main(void) { store_first(); store_second(); store_second(); }',
    );
    tool('gcc', ['-O1', '-o', source, `${source}.c`, `${source}-first.c`, `${source}-second.c`]);
    const both = await trapline(['watch', 'twin:w', '--', source]);
    expect(both.stderr).toMatch(
      /^trapline: 'twin:w': 2 variables.*0x[0-9a-f]+.*twins-first\.c.*0x[0-9a-f]+.*twins-second\.c.*\n$/,
    );
    expect(both.status).toBe(2);
    const one = await trapline(['watch', '--json', 'twins-second.c:twin:w', '--', source]);
    expect(totalsBy(readWatch(one.stdout).user, (hit) => hit.symbol ?? '')).toEqual({ store_second: 2 });
  });

  test('a library loaded at run time (dlopen) is found when it is there, under -p', async () => {
    const library = programs.build('library', { as: 'libshared.so', flags: ['-shared', '-fPIC'] });
    const source = path.join(programs.folder, 'loads');
    fs.writeFileSync(
      `${source}.c`,
      `#include <dlfcn.h>
      #include <stdio.h>
      #include <unistd.h>
      int main(int argc, char **argv) {
        alarm(60);
        void *library = dlopen(argv[1], RTLD_NOW);
        void (*library_store)(void) = (void (*)(void))dlsym(library, "library_store");
        puts("loaded");
        fflush(stdout);
        while (getchar() != EOF) library_store();
        return argc;
      }`,
    );
    tool('gcc', ['-O1', '-o', source, `${source}.c`, '-ldl']);
    const loads = new Running(source, [library]);
    await loads.line(/^loaded/);
    const watching = await startWatch(['library_value:w', '-p', String(loads.pid)]);
    loads.write('x');
    loads.endInput();
    await loads.ended;
    const { stdout } = await watching.ended;
    expect(totalsBy(readWatch(stdout).user, (hit) => `${hit.symbol} ${hit.module}`)).toEqual({
      'fill libshared.so': 3,
    });
    // Before it is loaded there is no such name.
    const early = await trapline(['watch', 'library_value:w', '--', source, library]);
    expect(early.stderr).toMatch(/^trapline: .*library_value.*\n$/);
    expect(early.status).toBe(2);
  });
});

describeWith(['gcc', 'breakpoints', 'root'], 'a process with another root', () => {
  test('names come from its own files, not from those of the same path outside', async () => {
    const program = programs.build('driven', { as: 'driven-static', flags: ['-static'] });
    const root = path.join(programs.folder, 'root');
    fs.mkdirSync(path.join(root, programs.folder), { recursive: true });
    // Outside, the same path is another program.
    const inside = path.join(programs.folder, 'inner');
    fs.copyFileSync(program, path.join(root, inside));
    fs.copyFileSync(programs.build('simple'), inside);
    const driven = await Driven.over(new Running('chroot', [root, inside]));
    const watching = await startWatch(['counter:w', '-p', String(driven.pid)]);
    await driven.ask('store 3');
    await driven.ask('fork 2');
    const { user } = await finishWatch(watching);
    expect(totalsBy(user, (hit) => `${hit.symbol} ${hit.module}`)).toEqual({ 'store inner': 5 });
    expect(await driven.quit()).toBe(0);
  });

  test('a process in its own PID namespace: hits have the pids that we see', async (context) => {
    const program = programs.build('driven', { as: 'driven-static', flags: ['-static'] });
    if (spawnSync('unshare', ['-pf', 'true']).status !== 0)
      return skip(context, 'unshare -p does not work here');
    const driven = await Driven.over(new Running('unshare', ['-pf', '--kill-child', program]));
    expect(driven.pid).toBe(1);
    const children = fs.readFileSync(
      `/proc/${driven.process.pid}/task/${driven.process.pid}/children`,
      'utf8',
    );
    const pid = Number(children.trim());
    const watching = await startWatch(['counter:w', '-p', String(pid)]);
    await driven.ask('store 3');
    const { user } = await finishWatch(watching);
    expect(totalsBy(user, (hit) => `${hit.pid} ${hit.tid} ${hit.comm} ${hit.symbol}`)).toEqual({
      [`${pid} ${pid} driven-static store`]: 3,
    });
    await driven.quit();
  });
});

describeWith(['gcc', 'breakpoints'], 'on a terminal', () => {
  test('progress (hits, rate, lost) is shown where standard error is one, and the piped lines are undisturbed', async (context) => {
    if (spawnSync('script', ['--version']).status !== 0) return skip(context, 'there is no script(1)');
    const file = path.join(programs.folder, 'piped.json');
    const watch = `${process.execPath} ${cli} watch --json counter:w -- ${programs.build('steady')} 1300 > ${file}`;
    const result = await run('script', ['-qec', watch, '/dev/null']);
    expect(result.stdout).toMatch(/\d+ hits, \d+\/s, 0 lost/);
    const { others, hits } = readWatch(fs.readFileSync(file, 'utf8'), { otherLines: true });
    expect(others).toEqual([expect.stringMatching(/^steady/), 'done']);
    expect(hits.length).toBeGreaterThan(100);
  });
});
