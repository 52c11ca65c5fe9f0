import { PeerError } from './errors.ts';
import type {
  BreakpointAbility,
  BreakpointKind,
  GdbTarget,
  MonitorCommands,
  Stop,
  TargetThread,
} from './target.ts';
import type { TargetDescription } from './target-description.ts';
import type { Transport } from './transport.ts';
import { x8664Description } from './x86-64-description.ts';

/** Two ends of a line. What one end writes arrives at the other at once; before it is listened to, it waits. */
export function line(): readonly [Transport, Transport] {
  const ends = [0, 1].map(() => ({
    take: undefined as ((bytes: Uint8Array) => void) | undefined,
    told: undefined as ((reason: string | undefined) => void) | undefined,
    waiting: [] as Uint8Array[],
  }));
  let open = true;
  const make = (own: 0 | 1): Transport => ({
    write: (bytes) => {
      const other = ends[1 - own];
      if (!open || other === undefined) return;
      if (other.take === undefined) other.waiting.push(bytes.slice());
      else other.take(bytes.slice());
    },
    onData: (take) => {
      const end = ends[own];
      if (end === undefined) return;
      end.take = take;
      for (const bytes of end.waiting.splice(0)) take(bytes);
    },
    onClose: (told) => {
      const end = ends[own];
      if (end !== undefined) end.told = told;
    },
    close: () => {
      if (!open) return;
      open = false;
      for (const end of ends) end.told?.('the line was closed');
    },
  });
  return [make(0), make(1)];
}

/** A target with two threads and a page at 0x1000, that stops when it is told how. */
export class FakeTarget implements GdbTarget {
  readonly description: TargetDescription = x8664Description;
  readonly page: Uint8Array = Uint8Array.from({ length: 0x1000 }, (_, i) => (i * 7) & 0xff);
  readonly values: Map<string, Uint8Array> = new Map();
  readonly armed: Set<string> = new Set();
  readonly ran: string[] = [];
  readonly all: TargetThread[] = [
    { process: 1, thread: 1, name: 'main' },
    { process: 1, thread: 2, name: 'worker <2>' },
  ];
  stop: Stop = { type: 'signal', signal: 5, thread: { process: 1, thread: 1, name: 'main' } };
  readonly watchpointSlots: number = 4;
  detached = 0;
  /** Answers `run`; by default it stops at once with what {@link stop} says. */
  next: (() => Stop | Promise<Stop>) | undefined;
  interrupts = 0;

  threads(): readonly TargetThread[] {
    return this.all;
  }

  lastStop(): Stop {
    return this.stop;
  }

  readonly registers = {
    read: (thread: TargetThread, register: number): Uint8Array | undefined => {
      const held = this.values.get(`${thread.thread}:${register}`);
      if (held !== undefined) return held;
      if (register >= 24) return undefined;
      const lenBytes = register < 17 ? 8 : 4;
      return new Uint8Array(lenBytes).fill(0x10 * thread.thread + (register & 15));
    },
    write: (thread: TargetThread, register: number, bytes: Uint8Array): void => {
      this.values.set(`${thread.thread}:${register}`, bytes.slice());
    },
  };

  readonly memory = {
    read: (_: TargetThread, address: bigint, lenBytes: number): Uint8Array => {
      const at = Number(address) - 0x1000;
      if (at < 0 || at >= this.page.length) throw new PeerError('EFAULT', 'nothing is mapped there');
      return this.page.subarray(at, at + lenBytes);
    },
    write: (_: TargetThread, address: bigint, bytes: Uint8Array): void => {
      const at = Number(address) - 0x1000;
      if (at < 0 || at + bytes.length > this.page.length)
        throw new PeerError('EFAULT', 'nothing is mapped there');
      this.page.set(bytes, at);
    },
  };

  #kind(kind: BreakpointKind): BreakpointAbility {
    return {
      insert: (address: bigint, lenBytes: number): void => {
        if (this.armed.size === 4) throw new PeerError('ENOSPC', 'all registers are taken');
        this.armed.add(`${kind} ${address} ${lenBytes}`);
      },
      remove: (address: bigint, lenBytes: number): void => {
        if (!this.armed.delete(`${kind} ${address} ${lenBytes}`))
          throw new PeerError('ENOENT', 'there is none');
      },
    };
  }

  readonly breakpoints: NonNullable<GdbTarget['breakpoints']> = {
    hardware: this.#kind('hardware'),
    write: this.#kind('write'),
    access: this.#kind('access'),
  };

  readonly resume = {
    steps: true,
    run: (actions: readonly { type: string; thread: TargetThread | undefined }[]): Stop | Promise<Stop> => {
      this.ran.push(actions.map(({ type, thread }) => `${type} ${thread?.thread ?? 'all'}`).join(', '));
      return this.next === undefined ? this.stop : this.next();
    },
    interrupt: (): void => {
      this.interrupts++;
    },
  };

  readonly monitor: MonitorCommands = { slots: { help: 'who holds them', run: () => '4 of 4 free\n' } };

  detach(): void {
    this.detached++;
  }
}
