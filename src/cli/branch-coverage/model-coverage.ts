import fs from 'node:fs';
import { type Profiler, Session } from 'node:inspector';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type BranchSite, branchSites } from './branch-sites.ts';
import { specSections } from './spec-sections.ts';

/** The code that is the model: folders of dist/. */
const folders: readonly string[] = ['kernel', 'arch'];
/**
 * Modules in these folders that no machine executes: where the tool asks what a processor could watch, and the accounting
 * of the RFC of 2009-10-28, which was never in a kernel and is tested by itself.
 */
export const notTheModel: ReadonlySet<string> = new Set([
  'arch/x86/fitting.js',
  'kernel/pmu/history/mask-boundary.js',
]);
const root = fileURLToPath(new URL('../../', import.meta.url));

/** A branch that was not reached. */
export interface UnreachedBranch {
  /** "kernel/perf/open.js". */
  readonly file: string;
  readonly line: number;
  readonly kind: BranchSite['kind'];
  /** The line. */
  readonly text: string;
}

/** How much of the model's code was executed. */
export interface ModelCoverage {
  readonly branches: number;
  readonly reached: number;
  readonly byFolder: readonly {
    readonly folder: string;
    readonly branches: number;
    readonly reached: number;
  }[];
  readonly unreached: readonly UnreachedBranch[];
  /** Sections of docs/spec that comments of the model cite, "03 section 9", and those whose code was executed. */
  readonly sections: readonly string[];
  readonly sectionsReached: readonly string[];
}

/**
 * Which branches of the model are executed from now on, by V8's precise coverage. To be made before any module of the model
 * is loaded: V8 tells blocks only of functions that it compiles after. docs/decisions/0010-coverage.md.
 */
export class ModelCoverageRecorder {
  readonly #session: Session = new Session();

  constructor() {
    this.#session.connect();
    this.#post('Profiler.enable');
    this.#post('Profiler.startPreciseCoverage', { callCount: false, detailed: true });
  }

  /** What was executed so far. */
  take(): ModelCoverage {
    let scripts: Profiler.ScriptCoverage[] = [];
    this.#session.post('Profiler.takePreciseCoverage', (error, { result }) => {
      if (error !== null) throw error;
      scripts = result; // called at once: the session is of this thread
    });
    const byUrl = new Map(scripts.map((script) => [script.url, script]));
    const files = folders.flatMap((folder) =>
      fs
        .readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.js') && !name.endsWith('.test-support.js'))
        .map((name) => path.posix.join(folder, name))
        .filter((name) => !notTheModel.has(name))
        .sort(),
    );
    const unreached: UnreachedBranch[] = [];
    const counts = new Map<string, { branches: number; reached: number }>();
    const sections = new Map<string, boolean>();
    for (const file of files) {
      const source = fs.readFileSync(path.join(root, file), 'utf8');
      const executed = executedMap(source, byUrl.get(pathToFileURL(path.join(root, file)).href));
      const folder = path.posix.dirname(file);
      const count = counts.get(folder) ?? { branches: 0, reached: 0 };
      counts.set(folder, count);
      for (const { kind, start } of branchSites(source)) {
        count.branches++;
        if (executed[start] === 1) count.reached++;
        else {
          const line = source.slice(0, start).split('\n').length;
          unreached.push({ file, line, kind, text: source.split('\n')[line - 1]?.trim() ?? '' });
        }
      }
      for (const { section, codeStart } of specSections(source))
        sections.set(section, sections.get(section) === true || executed[codeStart] === 1);
    }
    const byFolder = [...counts].map(([folder, count]) => ({ folder, ...count }));
    const sum = (key: 'branches' | 'reached'): number =>
      byFolder.reduce((total, each) => total + each[key], 0);
    const cited = [...sections.keys()].sort();
    return {
      branches: sum('branches'),
      reached: sum('reached'),
      byFolder,
      unreached,
      sections: cited,
      sectionsReached: cited.filter((section) => sections.get(section) === true),
    };
  }

  close(): void {
    this.#session.disconnect();
  }

  #post(method: 'Profiler.enable' | 'Profiler.startPreciseCoverage', parameters: object = {}): void {
    this.#session.post(method, parameters, (error: Error | null) => {
      if (error !== null) throw error;
    });
  }
}

/** For every offset whether it was executed: inner ranges say it better than those around them. */
function executedMap(source: string, script: Profiler.ScriptCoverage | undefined): Uint8Array {
  const executed = new Uint8Array(source.length);
  const ranges = (script?.functions ?? []).flatMap((each) => each.ranges);
  ranges.sort((a, b) => a.startOffset - b.startOffset || b.endOffset - a.endOffset);
  for (const { startOffset, endOffset, count } of ranges)
    executed.fill(count > 0 ? 1 : 0, startOffset, endOffset);
  return executed;
}
