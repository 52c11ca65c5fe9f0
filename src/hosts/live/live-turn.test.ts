import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { System } from '../../linux/system.ts';
import { LabFailure } from '../../scenario/lab.ts';
import { LiveTurn } from './live-turn.ts';

const able = process.platform === 'linux' && process.arch === 'x64';
if (!able) console.log(`skipped: turns of live runs: ${process.platform} on ${process.arch}`);
/** Not the one that real runs use. */
const name = `trapline-test-${process.pid}`;

describe.skipIf(!able)('turns of live runs', () => {
  it('are of one runner at a time; who waits too long is told whom for', () => {
    const system = new System();
    const first = new LiveTurn(system, { name });
    const second = new LiveTurn(system, { name, patienceMs: 30 });
    first.take();
    first.take(); // who has it has it
    expect(() => second.take()).toThrow(LabFailure);
    expect(() => second.take()).toThrow(`(pid ${process.pid}) has had the machine's breakpoints for 0.03 s`);
    first.release();
    first.release();
    second.take();
    expect(() => new LiveTurn(system, { name, patienceMs: 5 }).take()).toThrow(LabFailure);
    second.release();
  });

  it('come back when a runner is killed, and waiting ends then', async () => {
    const module = new URL('../../../dist/', import.meta.url);
    const script = `
      import { System } from ${JSON.stringify(new URL('linux/system.js', module).href)};
      import { LiveTurn } from ${JSON.stringify(new URL('hosts/live/live-turn.js', module).href)};
      new LiveTurn(new System(), { name: ${JSON.stringify(name)} }).take();
      console.log('taken');
      setInterval(() => {}, 1000);`;
    const other = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(other.stdout, 'data');
    const turn = new LiveTurn(new System(), { name, patienceMs: 20_000 });
    const impatient = new LiveTurn(new System(), { name, patienceMs: 5 });
    expect(() => impatient.take()).toThrow(`(pid ${other.pid})`);
    other.kill('SIGKILL');
    turn.take();
    turn.release();
  });
});
