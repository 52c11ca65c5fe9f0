import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { machineSurface } from '../../src/api/machine-surface.ts';
import { AddressSpace } from '../../src/symbols/address-space.ts';
import { evaluatePlace } from '../../src/symbols/expression/evaluator.ts';
import { ExpressionError } from '../../src/symbols/expression/expression-error.ts';
import { parsePlaceExpression } from '../../src/symbols/expression/parser.ts';
import { SurfaceProcessImage } from '../../src/watch/process-image.ts';
import { threadLocalsOf } from '../../src/watch/thread-locals.ts';
import { describeWith } from './support/machine.ts';

// Expressions in a process that runs: what pointers lead to, each thread's own, and what is refused. Needs no breakpoint.

const source = `
  #include <pthread.h>
  #include <stdio.h>
  #include <stdlib.h>
  #include <unistd.h>
  struct node { int count; struct node *next; };
  struct cfg { int limits[3]; struct node *list; struct cfg *none; struct cfg *dangling; int (*call)(int); };
  static struct cfg first; struct cfg *cfg = &first; struct cfg **twice = &cfg; char *raw = (char *)&first;
  __thread long own = 5; static _Thread_local int other;
  static pthread_barrier_t ready;
  static void *work(void *arg) { own++; other++; printf("%d %p %p\\n", gettid(), (void *)&own, (void *)&other); fflush(stdout); pthread_barrier_wait(&ready); pause(); return 0; }
  int main(void) {
    first.list = calloc(1, sizeof(struct node)); first.list->next = calloc(1, sizeof(struct node)); first.dangling = (struct cfg *)0x10000;
    printf("%p %p %p\\n", (void *)&cfg->limits[2], (void *)&cfg->list->next->count, (void *)&cfg->list); 
    printf("%d %p %p\\n", gettid(), (void *)&own, (void *)&other); fflush(stdout);
    pthread_barrier_init(&ready, 0, 3); pthread_t t; pthread_create(&t, 0, work, 0); pthread_create(&t, 0, work, 0);
    pthread_barrier_wait(&ready); printf("ready\\n"); fflush(stdout); pause(); return 0; }
`;

for (const kind of ['dynamic', 'static'] as const) {
  describeWith(['gcc'], `expressions in a running process, linked ${kind}`, () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'trapline-expressions-'));
    let child: ChildProcess;
    let image: SurfaceProcessImage;
    const lines: string[][] = [];

    beforeAll(async () => {
      fs.writeFileSync(path.join(folder, 'e.c'), `#define _GNU_SOURCE\n${source}`);
      const flags = kind === 'static' ? ['-static'] : [];
      execFileSync('gcc', [
        '-g',
        ...flags,
        '-o',
        path.join(folder, 'e'),
        path.join(folder, 'e.c'),
        '-lpthread',
      ]);
      child = spawn(path.join(folder, 'e'), { stdio: ['ignore', 'pipe', 'inherit'] });
      let text = '';
      await new Promise<void>((resolve, reject) => {
        child.on('exit', () => reject(new Error('the program ended')));
        child.stdout?.on('data', (chunk: Buffer) => {
          text += chunk.toString();
          if (text.includes('ready\n')) resolve();
        });
      });
      lines.push(...text.split('\n').map((line) => line.split(' ')));
      image = new SurfaceProcessImage(machineSurface(), child.pid ?? 0);
    });
    afterAll(() => {
      child.removeAllListeners('exit');
      child.kill('SIGKILL');
      image.close();
      fs.rmSync(folder, { recursive: true, force: true });
    });

    const evaluate = (text: string) => {
      const space = new AddressSpace(image);
      const threadLocals = threadLocalsOf(machineSurface(), { pid: image.pid, space });
      return evaluatePlace(parsePlaceExpression(text), { space, threadLocals });
    };
    const refusal = (text: string): ExpressionError => {
      try {
        evaluate(text);
      } catch (error) {
        if (error instanceof ExpressionError) return error;
        throw error;
      }
      throw new Error(`'${text}' was not refused`);
    };

    test('pointers lead where the program itself says', () => {
      const [max, count, list] = (lines[0] ?? []).map(BigInt);
      for (const text of [
        'cfg->limits[2]',
        'cfg.limits[2]',
        '(*cfg).limits[2]',
        '(*twice)->limits[2]',
        'first.limits[2]',
        '((struct cfg *)raw)->limits[2]',
        '*((struct cfg *)raw)->limits',
      ]) {
        const expected = text.startsWith('*') ? (max ?? 0n) - 8n : max;
        expect([text, evaluate(text).address]).toEqual([text, expected]);
      }
      const deep = evaluate('cfg->list->next->count');
      expect(deep).toMatchObject({ address: count, lenBytes: 4 });
      expect(deep.pointers.map(({ text }) => text)).toEqual(['cfg', 'cfg->list', 'cfg->list->next']);
      expect(deep.pointers[1]?.address).toBe(list);
      expect(evaluate('cfg->limits[1:3]')).toMatchObject({ address: (max ?? 0n) - 4n, lenBytes: 8 });
    });

    test("a thread-local variable is each thread's own", () => {
      const threads = lines.slice(1, 4);
      expect(threads.every(([tid]) => Number(tid) > 0)).toBe(true);
      for (const [tid, own, other] of threads) {
        expect(evaluate(`own@${tid}`)).toMatchObject({
          address: BigInt(own ?? 0),
          lenBytes: 8,
          tid: Number(tid),
        });
        expect(evaluate(`other@${tid}`)).toMatchObject({ address: BigInt(other ?? 0), lenBytes: 4 });
      }
      for (const [tid] of threads) expect(refusal('own').message).toContain(`@${tid}`);
      expect(refusal('own@1').message).toContain('no thread 1');
      expect(refusal('cfg@1').message).toContain('not thread-local');
    });

    test('what leads nowhere is refused with the place that is wrong', () => {
      const cases = [
        ['cfg->none->list', 'cfg->none', 'null'],
        ['cfg->dangling->list', 'cfg->dangling', '0x10000'],
        ['cfg->limits[3]', '[3]', '3 elements'],
        ['cfg->limts', '->', 'limits, list'],
        ['cfg->limits.x', '.x', 'no struct'],
        ['(struct nothing *)cfg', 'struct nothing', 'no type'],
        ['first->limits', '->', 'no pointer'],
        ['cfgs->list', 'cfgs', 'no variable'],
      ] as const;
      for (const [text, where, why] of cases) {
        const error = refusal(text);
        expect(error.message).toContain(why);
        const at = where.startsWith('cfg->') ? 3 : text.indexOf(where);
        expect([text, error.excerpt[1]]).toEqual([text, `${' '.repeat(at)}^`]);
      }
    });
  });
}
