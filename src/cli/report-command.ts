import { summarize } from '../formats/recording-summary.ts';
import { parseCount } from './durations.ts';
import { openOutput } from './output.ts';
import { openFileSource } from './recording-file.ts';
import { reportJson, reportText } from './report-text.ts';

/** The options of `trapline report`, as commander gives them. */
export interface ReportFlags {
  readonly top?: string;
  readonly json?: boolean;
  readonly output?: string;
}

/** `trapline report`: what a recording says. @returns the exit status. */
export function reportCommand(path: string, flags: ReportFlags): number {
  const top = parseCount(flags.top ?? '20', 'number of lines');
  const source = openFileSource(path);
  const summary = summarize(source);
  source.close();
  const { out, begin } = openOutput(flags.output);
  begin();
  if (flags.json === true) out.line(reportJson(summary));
  else for (const line of reportText(summary, { top })) out.line(line);
  out.flush();
  return 0;
}
