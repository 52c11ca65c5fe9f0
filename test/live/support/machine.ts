import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe } from 'vitest';
import { perfEventsOf } from './process.ts';
import { programs } from './programs.ts';

/** What a test may need of the machine. */
export type Need = 'gcc' | 'breakpoints' | 'kernel mode' | 'root' | 'two cpus' | 'perf' | 'x86_64';

function works(file: string, args: readonly string[]): boolean {
  return spawnSync(file, args, { stdio: 'ignore', timeout: 10_000 }).status === 0;
}

const known = new Map<Need, string | undefined>();

function find(need: Need): string | undefined {
  switch (need) {
    case 'gcc':
      return works('gcc', ['--version']) ? undefined : 'there is no gcc';
    case 'breakpoints': {
      if (lacking('gcc') !== undefined) return 'there is no gcc to probe breakpoints with';
      const probe = spawnSync(programs.build('probe'), [], { encoding: 'utf8', timeout: 10_000 });
      programs.remove(); // this runs when tests are collected: none of them may run at all
      return probe.status === 0 ? undefined : `the machine refuses breakpoints: ${probe.stdout.trim()}`;
    }
    case 'kernel mode':
      return process.getuid?.() === 0 || paranoidLevel() < 2
        ? undefined
        : `accesses in kernel mode may not be seen (no root, kernel.perf_event_paranoid is ${paranoidLevel()})`;
    case 'root':
      return process.getuid?.() === 0 ? undefined : 'it needs root';
    case 'two cpus':
      return os.availableParallelism() >= 2 ? undefined : 'it needs two CPUs';
    case 'perf':
      return works('perf', ['stat', '-e', 'dummy', 'true']) ? undefined : 'there is no perf that works';
    case 'x86_64':
      return process.arch === 'x64' ? undefined : `the machine is no x86-64 but ${process.arch}`;
  }
}

/** Why the machine cannot give this; `undefined` if it can. */
export function lacking(need: Need): string | undefined {
  if (!known.has(need)) known.set(need, find(need));
  return known.get(need);
}

/** A `describe` that is skipped, with the reason printed, where the machine lacks something. */
export function describeWith(needs: readonly Need[], name: string, body: () => void): void {
  const reason = needs.map(lacking).find((each) => each !== undefined);
  if (reason !== undefined) console.log(`skipped: ${name}: ${reason}`);
  describe.skipIf(reason !== undefined)(name, body);
}

/** Skips a running test, with the reason printed. */
export function skip(
  context: { readonly task: { readonly name: string }; skip(note?: string): void },
  reason: string,
): void {
  console.log(`skipped: ${context.task.name}: ${reason}`);
  context.skip(reason);
}

/** kernel.perf_event_paranoid. */
export function paranoidLevel(): number {
  return Number(fs.readFileSync(path.join('/proc/sys/kernel', 'perf_event_paranoid'), 'utf8'));
}

/** A process, if there is one, that holds perf events: a watch of whole CPUs needs the registers that it may have. */
export function perfEventHolder(): string | undefined {
  for (const name of fs.readdirSync('/proc'))
    if (/^\d+$/.test(name) && perfEventsOf(name) > 0) return `process ${name} holds perf events`;
  return undefined;
}
