import { describe, expect, it } from 'vitest';
import { arm64Description } from '../../gdb/arm64-description.ts';
import { GdbServer } from '../../gdb/gdb-server.ts';
import { FakeTarget, line } from '../../gdb/loop.test-support.ts';
import type { Stop } from '../../gdb/target.ts';
import type { TargetDescription } from '../../gdb/target-description.ts';
import type { Transport } from '../../gdb/transport.ts';
import { x8664Description } from '../../gdb/x86-64-description.ts';
import { HitReader, type HitReaderItem } from '../hit-reader.ts';
import { parseWatchRequest } from '../watch-request.ts';
import { type RemoteOptions, RemoteSession } from './remote-session.ts';

/** A program that only stores bytes at addresses of the fake's page, one an instruction of four bytes. */
class StoringTarget extends FakeTarget {
  override readonly description: TargetDescription;
  readonly #stores: readonly (readonly [address: number, value: number])[];
  readonly #reports: 'before' | 'after';
  done = 0;
  /** Whether the program ends after its stores; otherwise it runs until it is interrupted. */
  ends = true;
  #interrupted: ((stop: Stop) => void) | undefined;

  constructor(
    stores: readonly (readonly [address: number, value: number])[],
    as: { readonly description: TargetDescription; readonly reports: 'before' | 'after' },
  ) {
    super();
    this.description = as.description;
    this.#reports = as.reports;
    this.#stores = stores;
    this.all.length = 1;
    this.#tellPc();
  }

  override readonly resume = {
    steps: true,
    run: (actions: readonly { type: string }[]): Stop | Promise<Stop> =>
      this.#go(actions[0]?.type === 'step'),
    interrupt: (): void => {
      this.interrupts++;
      this.#interrupted?.({ type: 'signal', signal: 2, thread: { process: 1, thread: 1, name: 'main' } });
      this.#interrupted = undefined;
    },
  };

  #tellPc(): void {
    const pc = this.description === arm64Description ? 32 : 16;
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, 0x40_0000n + 4n * BigInt(this.done), true);
    this.values.set(`1:${pc}`, bytes);
  }

  #go(step: boolean): Stop | Promise<Stop> {
    const thread = { process: 1, thread: 1, name: 'main' };
    for (;;) {
      const store = this.#stores[this.done];
      if (store === undefined) {
        if (this.ends) return { type: 'exited', process: 1, status: 0 };
        return new Promise((resolve) => {
          this.#interrupted = resolve;
        });
      }
      const [address, value] = store;
      const hit = [...this.armed].some((each) => each.includes(` ${address} `));
      const stop: Stop = {
        type: 'signal',
        signal: 5,
        thread,
        ...(hit ? { watch: { kind: 'watch', address: BigInt(address) } } : {}),
      };
      if (hit && this.#reports === 'before') return stop;
      this.page[address - 0x1000] = value;
      this.done++;
      this.#tellPc();
      if (hit || step) return stop;
    }
  }
}

const stores = [
  [0x1010, 1],
  [0x1020, 9],
  [0x1010, 1],
  [0x1010, 2],
  [0x1011, 3],
  [0x1010, 2],
] as const;

async function open(
  transport: Transport,
  what: readonly string[],
  more: Partial<RemoteOptions> = {},
): Promise<RemoteSession> {
  let nowNs = 0n;
  return RemoteSession.open({
    transport,
    place: 'the test',
    requests: what.map(parseWatchRequest),
    timer: (milliseconds, told) => {
      const timer = setTimeout(told, milliseconds);
      return () => clearTimeout(timer);
    },
    now: () => ++nowNs,
    ...more,
  });
}

/** "watch: old -> new @ip", a line a hit, until the session ends. */
async function hitsOf(session: RemoteSession): Promise<string[]> {
  const lines: string[] = [];
  const reader = new HitReader(session, (item: HitReaderItem) => {
    if (item.type !== 'hit') return;
    const { watch, value, code } = item.hit;
    lines.push(
      `${watch.text}: ${value?.before?.low} -> ${value?.after?.low}${value?.exact === true ? '' : '~'} @${code.ip.toString(16)}`,
    );
  });
  for (let batch = await session.next(); batch !== undefined; batch = await session.next()) {
    reader.read(batch);
    session.recycle(batch);
  }
  reader.flush();
  return lines;
}

describe('a watch behind a stub', () => {
  const cases = [
    { name: 'x86, reported after', description: x8664Description, reports: 'after', ips: [4, 12, 16, 24] },
    { name: 'arm64, reported before', description: arm64Description, reports: 'before', ips: [0, 8, 12, 20] },
    {
      name: 'arm64, reported after (QEMU)',
      description: arm64Description,
      reports: 'after',
      ips: [0, 8, 12, 20],
    },
  ] as const;
  for (const { name, description, reports, ips } of cases) {
    it(`tells every store once, with what was and what is: ${name}`, async () => {
      const target = new StoringTarget(stores, { description, reports });
      const [ours, theirs] = line();
      const server = new GdbServer(theirs, target);
      target.page[0x10] = 0;
      const session = await open(ours, ['0x1010/1:w']);
      const values = ['0 -> 1', '1 -> 1', '1 -> 2', '2 -> 2'];
      expect(await hitsOf(session)).toEqual(
        values.map((value, i) => `0x1010/1:w: ${value} @${(0x40_0000 + (ips[i] ?? 0)).toString(16)}`),
      );
      expect(session.endReason).toBe('target ended');
      expect(session.problem).toBeUndefined();
      expect(session.counts().map(({ hits }) => hits)).toEqual([4n]);
      await session.close();
      server.close();
    });
  }

  it('tells the first hit of an arm64 stub that reports before, though the store changes nothing', async () => {
    const target = new StoringTarget([[0x1010, 5]], { description: arm64Description, reports: 'before' });
    target.page[0x10] = 5;
    const [ours, theirs] = line();
    new GdbServer(theirs, target);
    expect(await hitsOf(await open(ours, ['0x1010/1:w']))).toEqual(['0x1010/1:w: 5 -> 5 @400000']);
  });

  it('lets the target go with nothing armed after --max-hits, and when stopped', async () => {
    const target = new StoringTarget(stores, { description: x8664Description, reports: 'after' });
    const [ours, theirs] = line();
    new GdbServer(theirs, target);
    const session = await open(ours, ['0x1010/1:w', '0x1020/1:w'], { maxHits: 2 });
    expect(await hitsOf(session)).toHaveLength(2);
    expect(session.endReason).toBe('max hits');
    expect({ armed: target.armed.size, detached: target.detached }).toEqual({ armed: 0, detached: 1 });

    const endless = new StoringTarget([], { description: x8664Description, reports: 'after' });
    endless.ends = false;
    const [own, peer] = line();
    new GdbServer(peer, endless);
    const other = await open(own, ['0x1010/1:w']);
    const hits = hitsOf(other);
    other.stop('time');
    expect(await hits).toEqual([]);
    expect(other.endReason).toBe('time');
    expect({ armed: endless.armed.size, detached: endless.detached, interrupts: endless.interrupts }).toEqual(
      {
        armed: 0,
        detached: 1,
        interrupts: 1,
      },
    );
  });

  it('is refused in one line, the target let go with nothing armed, where a watch cannot be', async () => {
    const refused = async (what: readonly string[]): Promise<[string, StoringTarget]> => {
      const target = new StoringTarget(stores, { description: x8664Description, reports: 'after' });
      const [ours, theirs] = line();
      new GdbServer(theirs, target);
      const error = await open(ours, what).then(
        () => new Error('was opened'),
        (reason: unknown) => reason,
      );
      return [error instanceof Error ? error.message : '', target];
    };
    const five = [0, 1, 2, 3, 4].map((i) => `${0x1010 + i}/1:w`);
    for (const [what, message] of [
      [five, "the test: '4116/1:w' (1 bytes at 0x1014): the stub answers E28; 4 armed before it"],
      [
        ['counter'],
        "'counter': there is no 'counter'; names of a remote target come from --symbols FILE; an address needs none",
      ],
    ] as const) {
      const [told, target] = await refused(what);
      expect(told).toContain(message.replace(/^the test: /, ''));
      expect(told).not.toContain('\n');
      expect({ armed: target.armed.size, detached: target.detached }).toEqual({ armed: 0, detached: 1 });
    }
  });

  it('ends with a line where the stub goes away in the middle, and where the peer is no stub', async () => {
    const target = new StoringTarget([[0x1010, 1]], { description: x8664Description, reports: 'after' });
    target.ends = false;
    const [ours, theirs] = line();
    const server = new GdbServer(theirs, target);
    const session = await open(ours, ['0x1010/1:w']);
    await session.next();
    const last = session.next();
    server.close();
    expect(await last).toBeUndefined();
    expect(session.endReason).toBe('stub gone');
    expect(session.problem).toContain('the stub is gone');

    const [own, peer] = line();
    peer.onData((bytes) => peer.write(bytes)); // an echo
    await expect(open(own, ['0x1010/1:w'])).rejects.toThrow(/^no stub answers at the test: .*$/);
  });
});
