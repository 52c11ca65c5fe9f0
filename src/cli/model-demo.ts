import { ModelScenario } from '../hosts/model/model-scenario.ts';
import { parseScenarios } from '../scenario/parser.ts';
import { parseWatchRequest } from '../watch/watch-request.ts';
import { WatchSession } from '../watch/watch-session.ts';
import type { Output } from './output.ts';

/** Rounds of the race; each loses one update. */
const rounds = 3;

/**
 * Two threads add 1 to a balance: load, think, store. Both load before either stores, so one update is lost; then a
 * system call stores into the balance too.
 */
function raceScenario(): string {
  const steps: object[] = [
    { scenario: 'demo', machine: { cpus: 2 } },
    { step: 'spawn', task: 'depositor', cpu: 0 },
    { step: 'thread', task: 'depositor', as: 'interest' },
    { step: 'migrate', task: 'interest', cpu: 1 },
  ];
  const at = 'depositor.data';
  for (let value = 1; value <= rounds; value++) {
    for (const task of ['depositor', 'interest']) steps.push({ step: 'load', task, at, len: 4 });
    for (const task of ['depositor', 'interest']) steps.push({ step: 'store', task, at, len: 4, value });
  }
  steps.push({ step: 'syscallWrite', task: 'depositor', at, len: 4 });
  return steps.map((step) => JSON.stringify(step)).join('\n');
}

/** The demo where the machine refuses breakpoints: a race on the model, watched as a process is. */
export async function modelDemo(out: Output, show: (session: WatchSession) => Promise<void>): Promise<void> {
  const [scenario] = parseScenarios('demo', raceScenario());
  if (scenario === undefined) return; // it is one
  const model = await ModelScenario.start(scenario);
  const session = await WatchSession.open({
    surface: model.surface,
    target: { type: 'process', pid: model.tasks[0]?.pid ?? 0 },
    requests: [parseWatchRequest('depositor.data/4:w')],
  });
  out.line(
    `On a simulated machine, two threads add 1 to a shared balance, ${rounds} times each, without a lock; then a read(2) goes into it. Every write to it:`,
  );
  await show(session);
  session.close();
}
