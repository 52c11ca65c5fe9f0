import type { RunReport, ScenarioOutcome } from './run.ts';

/** The line for one scenario. */
export function scenarioLine(outcome: ScenarioOutcome): string {
  const { name, status, steps, reason } = outcome;
  const what =
    status === 'held'
      ? `ok      ${name} (${plural(steps.length, 'step')})`
      : `${{ skipped: 'skipped', differed: 'DIFFERS', broken: 'BROKEN ' }[status]} ${name}`;
  return reason === undefined ? what : `${what}: ${reason}`;
}

/** A report as text: one line a scenario, then the totals. */
export function renderReport(report: RunReport): string {
  if (report.syntaxError !== undefined) return `${report.syntaxError.message}\n`;
  return `${[...report.scenarios.map(scenarioLine), renderTotals(report)].join('\n')}\n`;
}

/** The totals of a report: scenarios by how they went, and executed steps. */
export function renderTotals(report: RunReport): string {
  const count = (status: ScenarioOutcome['status']): number =>
    report.scenarios.filter((outcome) => outcome.status === status).length;
  const broken = count('broken');
  const totals = `${plural(report.scenarios.length, 'scenario')}: ${count('held')} held, ${count('differed')} differed, ${count('skipped')} skipped${broken === 0 ? '' : `, ${broken} broken`}; ${plural(report.executedSteps, 'step')} executed`;
  return report.executedSteps === 0 ? `${totals}: nothing was executed` : totals;
}

/** A report as JSON objects, one a step, one a scenario that was skipped, and one with the totals. */
export function reportObjects(report: RunReport): object[] {
  const { syntaxError, executedSteps, exitCode } = report;
  if (syntaxError !== undefined)
    return [{ error: syntaxError.message, source: syntaxError.source, line: syntaxError.line, exitCode }];
  const objects: object[] = [];
  for (const { name, source, status, reason, steps } of report.scenarios) {
    for (const { line, step, result, held, expected } of steps)
      objects.push({ scenario: name, source, line, step, result, held, ...(held ? {} : { expected }) });
    if (status === 'skipped') objects.push({ scenario: name, source, skipped: reason });
    else
      objects.push({
        scenario: name,
        source,
        status,
        steps: steps.length,
        ...(reason === undefined ? {} : { reason }),
      });
  }
  objects.push({ scenarios: report.scenarios.length, executedSteps, exitCode });
  return objects;
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
