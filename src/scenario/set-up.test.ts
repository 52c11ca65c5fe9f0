import { describe, expect, it } from 'vitest';
import { parseScenarios } from './parser.ts';
import { setUpLength } from './set-up.ts';

const spawn = '{"step": "spawn", "task": "A"}';
const thread = '{"step": "thread", "task": "A", "as": "T"}';
const store = '{"step": "store", "task": "A", "at": "A.data"}';
const open =
  '{"step": "open", "as": "e", "attr": {"bpType": "w", "bpAddr": "A.data", "bpLen": 4}, "task": "A"}';

describe('the set-up of a scenario', () => {
  it.each([
    ['nothing', [], 0],
    ['steps that make tasks', [spawn, thread], 2],
    ['up to the last of them before the first access', [spawn, open, thread, open, store, thread], 3],
    ['not what comes behind an access', [spawn, store, thread], 1],
  ])('is %s', (_what, steps, length) => {
    const [scenario] = parseScenarios('s', ['{"scenario": "s"}', ...steps].join('\n'));
    expect(setUpLength(scenario?.steps ?? [])).toBe(length);
  });
});
