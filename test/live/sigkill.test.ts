import { expect, test } from 'vitest';
import { Driven } from './support/driven.ts';
import { describeWith, lacking, skip } from './support/machine.ts';
import { eventually, processesOf, runsFreely, start } from './support/process.ts';
import { programs } from './support/programs.ts';
import { finishWatch, startWatch } from './support/watching.ts';

const four = ['counter:w', 'other:w', 'third:w', 'fourth:w'];

/** All registers of the process are free, and it runs: four more watches can be armed on it, and see it. */
async function expectUntouched(driven: Driven): Promise<void> {
  expect(runsFreely(driven.pid)).toBe(true);
  const watching = await startWatch([...four, '-p', String(driven.pid)]);
  await driven.ask('all 1');
  expect((await finishWatch(watching)).user).toHaveLength(4);
  expect(await driven.quit()).toBe(0);
}

describeWith(['gcc', 'breakpoints'], 'trapline is killed (SIGKILL)', () => {
  test('while it attaches and watches: the target runs on untouched, each of 12 times', async (context) => {
    const lack = lacking('kernel mode');
    if (lack !== undefined) return skip(context, lack);
    const driven = await Driven.start();
    await driven.ask('worker one');
    for (let i = 0; i < 12; i++) {
      const watching = start(['watch', '--json', '-s', ...four, '-p', String(driven.pid)]);
      const ready =
        i >= 8 ? watching.line(/armed/) : new Promise((resolve) => setTimeout(resolve, 10 + 15 * i));
      await ready;
      if (i >= 8) driven.process.write('all 200\nwork 0 200\n');
      watching.kill();
      await watching.ended;
      expect(runsFreely(driven.pid), `after ${i}`).toBe(true);
      if (i >= 8) await driven.process.line(/^worked/);
    }
    await expectUntouched(driven);
  });

  test('while it starts a program: the program runs to its end or is gone, none is left stopped, each of 16 times', async () => {
    const program = programs.build('steady', { as: 'steady-killed' });
    for (let i = 0; i < 16; i++) {
      const watching = start(['watch', '--json', ...four, '--', program, '150']);
      if (i < 14) await new Promise((resolve) => setTimeout(resolve, 20 + 9 * i));
      else await watching.line(/"type":"hit"/);
      watching.kill();
      const gone = await eventually(() => processesOf(program).length === 0, 3000);
      expect(gone, `after ${i}: ${processesOf(program).join()}`).toBe(true);
      await watching.destroy();
    }
    const driven = await Driven.start();
    await expectUntouched(driven);
  });

  test('while a program waits for its libraries to be armed', async () => {
    const program = programs.build('steady', { as: 'steady-environ' });
    for (let i = 0; i < 6; i++) {
      const watching = start(['watch', '--json', 'libc.so.6:environ/8:w', '--', program, '100']);
      await new Promise((resolve) => setTimeout(resolve, 60 + 12 * i));
      watching.kill();
      await eventually(() => processesOf(program).length === 0, 3000);
      expect(processesOf(program), `after ${i}`).toEqual([]);
      await watching.destroy();
    }
  });
});
