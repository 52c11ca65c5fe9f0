import { UsageError } from './errors.ts';

const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;

/** "500ms", "2s", "1.5m", "1h", or plain seconds, in milliseconds. Throws {@link UsageError}. */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text);
  if (match === null) throw new UsageError(`'${text}' is no duration; expected for example 500ms, 2s, 1m`);
  const unit = (match[2] ?? 's') as keyof typeof units; // the pattern allows these alone
  const milliseconds = Number(match[1]) * units[unit];
  if (!(milliseconds > 0) || milliseconds > 2 ** 31 - 1)
    throw new UsageError(`'${text}' is no duration between 1ms and 24 days`);
  return milliseconds;
}

/** A whole number of at least 1. Throws {@link UsageError} that names `what`. */
export function parseCount(text: string, what: string): number {
  if (!/^\d+$/.test(text) || Number(text) < 1 || !Number.isSafeInteger(Number(text))) {
    throw new UsageError(`'${text}' is no ${what}; expected a whole number of at least 1`);
  }
  return Number(text);
}

/** "100/s" or "100": hits a second, 1 to a million. Throws {@link UsageError}. */
export function parseRate(text: string): number {
  const rate = Number(/^(\d{1,7})(?:\/s)?$/.exec(text)?.[1] ?? 0);
  if (rate < 1 || rate > 1_000_000)
    throw new UsageError(`'${text}' is no rate; expected for example 100/s, up to 1000000/s`);
  return rate;
}

/** "0,2-3" as CPU numbers. Throws {@link UsageError}. */
export function parseCpus(text: string): number[] {
  const cpus = new Set<number>();
  for (const part of text.split(',')) {
    const match = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(part);
    const first = Number(match?.[1]);
    const last = Number(match?.[2] ?? match?.[1]);
    if (match === null || last < first)
      throw new UsageError(`'${text}' is no list of CPUs; expected for example 0,2-3`);
    for (let cpu = first; cpu <= last; cpu++) cpus.add(cpu);
  }
  return [...cpus].sort((a, b) => a - b);
}
