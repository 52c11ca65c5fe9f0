import { framesOf, functionsOf } from './read-hits.ts';
import type { AccessEntry } from './recording-entries.ts';
import type { RecordingTables } from './recording-reader.ts';
import type { TextSink } from './text-sink.ts';

/** Places in `meta.categories`. */
const categoryUser = 1;
const categoryKernel = 2;
const writtenAtOnce = 4096;

/** One thread of a processed profile: its tables, samples and markers. */
export class FirefoxThread {
  readonly #access: AccessEntry;
  readonly #strings = new Map<string, number>();
  /** "name,file" to the function's number. */
  readonly #functions = new Map<string, number>();
  readonly #functionRows: { name: number; file: number | null }[] = [];
  readonly #frames = new Map<string, number>();
  readonly #frameRows: {
    func: number;
    address: number;
    line: number | null;
    depth: number;
    category: number;
  }[] = [];
  readonly #stacks = new Map<string, number>();
  readonly #stackRows: { frame: number; prefix: number | null; category: number }[] = [];
  readonly #sampleTimes: number[] = [];
  readonly #sampleStacks: number[] = [];
  readonly #markerTimes: number[] = [];
  readonly #markerNames: number[] = [];
  /** JSON texts. */
  readonly #markerData: string[] = [];

  constructor(access: AccessEntry) {
    this.#access = access;
  }

  /** The number of the stack of an access. */
  stackOf(access: AccessEntry, tables: RecordingTables): number {
    let prefix: number | null = null;
    for (const { kernel, location } of framesOf(access, tables).reverse()) {
      const category = kernel ? categoryKernel : categoryUser;
      const functions = functionsOf(location);
      for (const [i, { name, file, line }] of functions.reverse().entries()) {
        const func = this.#function(name, file);
        const frame = numberOf(this.#frames, `${func},${location.address},${line},${i}`, () => {
          const address = location.moduleOffset ?? location.address;
          this.#frameRows.push({ func, address: Number(address), line: line ?? null, depth: i, category });
        });
        const above: number | null = prefix;
        prefix = numberOf(this.#stacks, `${frame},${above}`, () => {
          this.#stackRows.push({ frame, prefix: above, category });
        });
      }
    }
    return prefix ?? 0; // a hit has a frame
  }

  sample(timeMs: number, stack: number): void {
    this.#sampleTimes.push(timeMs);
    this.#sampleStacks.push(stack);
  }

  /** A change of a value. */
  marker(
    timeMs: number,
    name: string,
    data: { readonly old: string; readonly new: string; readonly exact: boolean },
  ): void {
    this.#markerTimes.push(timeMs);
    this.#markerNames.push(this.#string(name));
    this.#markerData.push(
      `{"type":"change","old":${JSON.stringify(data.old)},"new":${JSON.stringify(data.new)},"exact":"${data.exact}"}`,
    );
  }

  /** Writes it as JSON. */
  write(out: TextSink): void {
    const { pid, tid, comm } = this.#access;
    const head = {
      processType: 'default',
      processStartupTime: 0,
      processShutdownTime: null,
      registerTime: 0,
      unregisterTime: null,
      pausedRanges: [],
      name: comm,
      isMainThread: pid === tid,
      processName: comm,
      pid: String(pid),
      tid,
    };
    out.write(`${JSON.stringify(head).slice(0, -1)},"samples":{"weightType":"samples","weight":null`);
    column(out, 'stack', this.#sampleStacks, String);
    column(out, 'time', this.#sampleTimes, String);
    out.write(`,"length":${this.#sampleTimes.length}},"markers":{"length":${this.#markerTimes.length}`);
    column(out, 'data', this.#markerData, (text) => text);
    column(out, 'name', this.#markerNames, String);
    column(out, 'startTime', this.#markerTimes, String);
    column(out, 'endTime', this.#markerTimes, () => 'null');
    column(out, 'phase', this.#markerTimes, () => '0');
    column(out, 'category', this.#markerTimes, () => '0');
    out.write('}');
    const stacks = this.#stackRows;
    const frames = this.#frameRows;
    const functions = this.#functionRows;
    const tables = {
      stackTable: {
        frame: stacks.map(({ frame }) => frame),
        prefix: stacks.map(({ prefix }) => prefix),
        category: stacks.map(({ category }) => category),
        subcategory: stacks.map(() => 0),
        length: stacks.length,
      },
      frameTable: {
        address: frames.map(({ address }) => address),
        inlineDepth: frames.map(({ depth }) => depth),
        category: frames.map(({ category }) => category),
        subcategory: frames.map(() => 0),
        func: frames.map(({ func }) => func),
        nativeSymbol: frames.map(() => null),
        innerWindowID: frames.map(() => 0),
        implementation: frames.map(() => null),
        line: frames.map(({ line }) => line),
        column: frames.map(() => null),
        length: frames.length,
      },
      funcTable: {
        isJS: functions.map(() => false),
        relevantForJS: functions.map(() => false),
        name: functions.map(({ name }) => name),
        resource: functions.map(() => -1),
        fileName: functions.map(({ file }) => file),
        lineNumber: functions.map(() => null),
        columnNumber: functions.map(() => null),
        length: functions.length,
      },
      resourceTable: { lib: [], name: [], host: [], type: [], length: 0 },
      nativeSymbols: { libIndex: [], address: [], name: [], functionSize: [], length: 0 },
      stringArray: [...this.#strings.keys()],
    };
    out.write(`,${JSON.stringify(tables).slice(1)}`);
  }

  #function(name: string, file: string | undefined): number {
    return numberOf(this.#functions, `${name}\0${file}`, () => {
      this.#functionRows.push({
        name: this.#string(name),
        file: file === undefined ? null : this.#string(file),
      });
    });
  }

  #string(text: string): number {
    return numberOf(this.#strings, text, () => {});
  }
}

/** The number of `key`; a new one is the next, and made known. */
function numberOf(numbers: Map<string, number>, key: string, make: () => void): number {
  let number = numbers.get(key);
  if (number === undefined) {
    number = numbers.size;
    numbers.set(key, number);
    make();
  }
  return number;
}

function column<T>(out: TextSink, name: string, values: readonly T[], text: (value: T) => string): void {
  out.write(`,"${name}":[`);
  for (let at = 0; at < values.length; at += writtenAtOnce) {
    const part = values.slice(at, at + writtenAtOnce).map(text);
    out.write(at === 0 ? part.join() : `,${part.join()}`);
  }
  out.write(']');
}
