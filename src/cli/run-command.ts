import { readFileSync } from 'node:fs';
import { LiveLabMaker } from '../hosts/live/live-lab.ts';
import { ModelLabMaker } from '../hosts/model/model-lab.ts';
import { parseRecording, type Recording, RecordingSyntaxError } from '../scenario/recording.ts';
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
  /** A recording's path. */
  readonly against?: string;
}

/**
 * `trapline run`: runs scenarios on the model, on the machine's Linux, or on both and compares; a line each, then the totals; with `--json` an object a step. docs/spec/09 "Runner".
 * @returns 0: all held; 1: a step differed, or none was executed. A text that is no scenario is a `UsageError`.
 */
export async function runCommand(files: readonly string[], flags: RunFlags): Promise<number> {
  const on = kernelOf(flags.on ?? 'model');
  if (flags.against !== undefined && on !== 'model')
    throw new UsageError('--against RECORDING compares the model: --on is model');
  const sources = readScenarioFiles(files);
  const recording = flags.against === undefined ? undefined : readRecording(flags.against);
  const json = flags.json === true;
  const out = new Output(1);
  const live = on === 'model' ? undefined : new LiveLabMaker();
  const onScenario = (outcome: Parameters<typeof scenarioLine>[0]): void => {
    if (!json) out.line(printable(scenarioLine(outcome)));
    out.flush();
  };
  let report: Awaited<ReturnType<typeof runScenarioFiles>>;
  try {
    report = await runScenarioFiles(sources, {
      maker: on === 'linux' && live !== undefined ? live : new ModelLabMaker(),
      ...(on === 'both' && live !== undefined ? { against: live } : {}),
      ...(recording === undefined ? {} : { recording }),
      onScenario,
    });
  } catch (error) {
    if (error instanceof RecordingSyntaxError) throw new UsageError(error.message);
    throw error;
  } finally {
    live?.close();
  }
  if (report.syntaxError !== undefined) throw new UsageError(report.syntaxError.message);
  if (json) for (const object of reportObjects(report)) out.line(JSON.stringify(object));
  else out.line(renderTotals(report));
  out.flush();
  return report.exitCode;
}

/** Throws `UsageError` for a file that cannot be read, or is no recording. */
function readRecording(path: string): Recording {
  try {
    return parseRecording(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new UsageError(`${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

type Kernel = 'model' | 'linux' | 'both';

function kernelOf(name: string): Kernel {
  if (name === 'model' || name === 'linux' || name === 'both') return name;
  throw new UsageError(`--on ${name}: expected model, linux or both`);
}
