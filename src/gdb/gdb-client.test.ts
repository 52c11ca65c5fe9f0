import { describe, expect, it } from 'vitest';
import { encodeFrame } from './framing.ts';
import { GdbClient, type Timer } from './gdb-client.ts';
import { GdbServer } from './gdb-server.ts';
import { FakeTarget, line } from './loop.test-support.ts';
import { packetBytes, packetText } from './packet-reader.ts';

/** A timer that fires when the test says. */
function handTimer(): { timer: Timer; fire(): void } {
  const set: Set<() => void> = new Set();
  return {
    timer: (_, told) => {
      set.add(told);
      return () => set.delete(told);
    },
    fire: () => {
      for (const told of [...set]) told();
    },
  };
}

async function connected(target = new FakeTarget()) {
  const [client, own] = line();
  const server = new GdbServer(own, target);
  return { target, server, client: await GdbClient.connect(client, handTimer()) };
}

describe('a client', () => {
  it('agrees with a server, and knows its registers', async () => {
    const { client } = await connected();
    expect(client.packetBytesMax).toBe(0x20000);
    expect(client.description?.architecture).toBe('i386:x86-64');
    expect(client.description?.registers.find(({ name }) => name === 'rip')).toEqual({
      name: 'rip',
      number: 16,
      bits: 64,
    });
    expect(await client.threads()).toEqual([
      { process: 1, thread: 1 },
      { process: 1, thread: 2 },
    ]);
  });

  it('reads memory of any length, up to where it ends', async () => {
    const { client, target } = await connected();
    expect(await client.readMemory(0x1000n, 0x1000)).toEqual(target.page);
    expect(await client.readMemory(0x1ff0n, 64)).toEqual(target.page.subarray(0xff0));
    await expect(client.readMemory(0n, 8)).rejects.toThrow('the stub answers E14');
  });

  it('arms, runs to a hit, and reads where it was', async () => {
    const { client, target } = await connected();
    expect(await client.breakpoint('insert', { kind: 'write', address: 0x1008n, lenBytes: 4 })).toBe('done');
    expect(await client.breakpoint('insert', { kind: 'read', address: 0x1008n, lenBytes: 4 })).toBe(
      'unknown',
    );
    await expect(
      client.breakpoint('remove', { kind: 'write', address: 0x1010n, lenBytes: 4 }),
    ).rejects.toThrow('the stub answers E02');
    target.stop = {
      type: 'signal',
      signal: 5,
      thread: { process: 1, thread: 2, name: '' },
      watch: { kind: 'watch', address: 0x1008n },
    };
    const stop = await client.run();
    expect(stop).toMatchObject({ type: 'signal', signal: 5, watch: { kind: 'watch', address: 0x1008n } });
    expect(await client.programCounter(stop)).toBe(0x2020_2020_2020_2020n);
    expect(await client.monitor('slots')).toBe('4 of 4 free\n');
    await client.detach();
    expect(target.detached).toBe(1);
  });

  it('says that nobody answers', async () => {
    const [client] = line();
    const { timer, fire } = handTimer();
    const greeting = GdbClient.connect(client, { timer, answerMs: 250 });
    fire();
    await expect(greeting).rejects.toThrow('the peer has not answered for 250 ms');
  });

  it('says that the stub is gone', async () => {
    const { client, server, target } = await connected();
    target.next = () => new Promise(() => undefined);
    const running = client.run();
    server.close();
    await expect(running).rejects.toThrow('the stub is gone');
  });

  it('sends again what did not arrive, but not for ever', async () => {
    const [client, peer] = line();
    const sent: string[] = [];
    peer.onClose(() => undefined);
    peer.onData((bytes) => {
      const text = packetText(bytes);
      if (!text.startsWith('$')) return;
      sent.push(text);
      peer.write(packetBytes('-'));
    });
    await expect(GdbClient.connect(client, handTimer())).rejects.toThrow(
      'the peer does not take our packets',
    );
    expect(sent.length).toBe(3);
  });

  it('hears what a running target prints', async () => {
    const [client, peer] = line();
    const output: string[] = [];
    const answers: Record<string, readonly string[]> = {
      '?': ['T05thread:01;'],
      c: ['O68690a', 'S05'],
    };
    peer.onClose(() => undefined);
    peer.onData((bytes) => {
      const [, question] = /\$([^#]*)#/.exec(packetText(bytes)) ?? [];
      if (question === undefined) return;
      peer.write(packetBytes('+'));
      for (const answer of answers[question] ?? ['']) peer.write(encodeFrame(packetBytes(answer)));
    });
    const made = await GdbClient.connect(client, { ...handTimer(), onOutput: (text) => output.push(text) });
    expect(made.packetBytesMax).toBe(400);
    expect(await made.run()).toMatchObject({ type: 'signal', signal: 5 });
    expect(output).toEqual(['hi\n']);
  });
});
