import type { SpawnOptions } from 'node:child_process';
import { Running } from './process.ts';
import { programs } from './programs.ts';

/** The program driven.c: does what it is told, line by line. */
export class Driven {
  readonly process: Running;
  readonly pid: number;
  /** Where its variables are. */
  readonly counter: bigint;
  readonly other: bigint;

  private constructor(process: Running, greeting: string) {
    this.process = process;
    const match = /^pid (\d+) counter (\w+) other (\w+)$/.exec(greeting);
    this.pid = Number(match?.[1]);
    this.counter = BigInt(match?.[2] ?? 0);
    this.other = BigInt(match?.[3] ?? 0);
  }

  /** Starts it by itself. */
  static async start(
    program: string = programs.build('driven'),
    options: SpawnOptions = {},
  ): Promise<Driven> {
    return Driven.over(new Running(program, [], options));
  }

  /** Talks to one that something else has started and passes input and output to. */
  static async over(process: Running): Promise<Driven> {
    return new Driven(process, await process.line(/^pid \d+ counter/));
  }

  /** Gives an order and waits for the answer; the last number of it. */
  async ask(order: string): Promise<number> {
    this.process.write(`${order}\n`);
    const [word = ''] = order.split(' ');
    const answers: Readonly<Record<string, RegExp>> = {
      store: /^stored/,
      outer: /^stored/,
      load: /^loaded/,
      bump: /^bumped/,
      target: /^called/,
      all: /^wrote all/,
      small: /^wrote small/,
      thread: /^thread/,
      worker: /^worker/,
      work: /^worked/,
      rename: /^renamed/,
      renamework: /^renamed/,
      fork: /^child/,
      forkexec: /^child/,
      grandchild: /^grandchild/,
      orphan: /^child/,
      zombie: /^child/,
      read: /^read/,
      write: /^wrote 4/,
      exec: /^executed|^failed/,
      exit: /^exiting/,
      die: /^dying/,
    };
    const answer = await this.process.line(answers[word] ?? /^\?/);
    return Number(/(\d+)\s*$/.exec(answer)?.[1]);
  }

  /** Ends it; its exit status. */
  async quit(status: number = 0): Promise<number> {
    this.process.write(`exit ${status}\n`);
    this.process.endInput();
    return (await this.process.ended).status;
  }
}
