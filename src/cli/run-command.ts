import { ModelLabMaker } from '../hosts/model/model-lab.ts';
import { renderTotals, reportObjects, scenarioLine } from '../scenario/report.ts';
import { runScenarioFiles } from '../scenario/run.ts';
import { UsageError } from './errors.ts';
import { Output } from './output.ts';
import { printable } from './printable.ts';
import { readScenarioFiles } from './scenario-files.ts';

/** The options of `trapline run`, as commander gives them. */
export interface RunFlags {
  readonly on?: string;
  readonly json?: boolean;
}

/**
 * `trapline run`: runs scenarios, a line each, then the totals; with `--json` an object a step. docs/spec/09 "Runner".
 * @returns 0: all held; 1: a step differed, or none was executed. A text that is no scenario is a `UsageError`.
 */
export async function runCommand(files: readonly string[], flags: RunFlags): Promise<number> {
  checkKernel(flags.on ?? 'model');
  const sources = readScenarioFiles(files);
  const json = flags.json === true;
  const out = new Output(1);
  const report = await runScenarioFiles(sources, {
    maker: new ModelLabMaker(),
    onScenario: (outcome) => {
      if (!json) out.line(printable(scenarioLine(outcome)));
    },
  });
  if (report.syntaxError !== undefined) throw new UsageError(report.syntaxError.message);
  if (json) for (const object of reportObjects(report)) out.line(JSON.stringify(object));
  else out.line(renderTotals(report));
  out.flush();
  return report.exitCode;
}

function checkKernel(name: string): void {
  if (name === 'model') return;
  if (name === 'linux' || name === 'both')
    throw new UsageError(`--on ${name}: scenarios run on the model only so far (--on model)`);
  throw new UsageError(`--on ${name}: expected model`);
}
