import { expect, test } from 'vitest';
import { Driven } from './support/driven.ts';
import { describeWith } from './support/machine.ts';
import { trapline } from './support/process.ts';
import { finishWatch, startWatch } from './support/watching.ts';

describeWith(['gcc', 'breakpoints'], 'watches of expressions', () => {
  async function hitsOf(what: readonly string[], order: string) {
    const driven = await Driven.start();
    const watching = await startWatch([
      ...what.map((each) => each.replace('PID', String(driven.pid))),
      '-p',
      String(driven.pid),
    ]);
    await driven.ask(order);
    const output = await finishWatch(watching);
    expect(await driven.quit()).toBe(0);
    return output;
  }

  test('a member of a struct, with its type', async () => {
    const { user } = await hitsOf(['record.b:w'], 'small 3');
    expect(user.map((hit) => hit.watch)).toEqual(['record.b:w', 'record.b:w', 'record.b:w']);
  });

  test("the only thread's own variable, and the same by its number", async () => {
    expect((await hitsOf(['own:w'], 'small 4')).user).toHaveLength(4);
    expect((await hitsOf(['own@PID:w'], 'small 4')).user).toHaveLength(4);
  });

  test('what cannot be has a line that says why, and a caret under the place', async () => {
    const driven = await Driven.start();
    const cases = [
      ['record.nothing[0]:w', /has no member 'nothing'.* has a, b/, 'record.nothing[0]', 6],
      ['own@1:w', /no thread 1/, 'own@1', 0],
      ['record.b[:w', /an index is a number/, 'record.b[:w', 9],
      ['*counter:w', /no pointer but 'volatile int'/, '*counter', 0],
    ] as const;
    for (const [what, why, shown, at] of cases) {
      const { stderr, stdout, status } = await trapline(['watch', what, '-p', String(driven.pid)]);
      const [message = '', line, caret, ...more] = stderr.trimEnd().split('\n');
      expect(message).toMatch(why);
      expect([line, caret, more]).toEqual([`  ${shown}`, `  ${' '.repeat(at)}^`, []]);
      expect([stdout, status]).toEqual(['', 2]);
    }
    expect(await driven.quit()).toBe(0);
  });
});
