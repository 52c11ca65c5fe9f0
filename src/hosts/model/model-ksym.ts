import { KsymTracer, type SymbolPlace } from '../../kernel/ksym/ksym-tracer.ts';
import type { LabKsym } from '../../scenario/lab.ts';
import type { ModelHost } from './model-host.ts';

/** A symbol ends where the next begins; the last one has a page. */
const lastSymbolBytes = 0x1000n;

/** The tracer of kernel symbols on a model, by its files. */
export class ModelKsym implements LabKsym {
  readonly tracer: KsymTracer;
  readonly #host: ModelHost;

  constructor(host: ModelHost) {
    this.#host = host;
    this.tracer = new KsymTracer({
      core: host.core,
      machine: host.machine,
      place: (address) => this.#place(address),
    });
  }

  setCurrent(current: boolean): void {
    if (current) this.tracer.start();
    else this.tracer.stop();
  }

  write(line: string): void {
    this.tracer.write(line);
  }

  read(file: 'filter' | 'trace' | 'profile'): string {
    return this.tracer[file]();
  }

  close(): void {
    this.tracer.stop();
  }

  #place(address: bigint): SymbolPlace | undefined {
    let below: { name: string; at: bigint } | undefined;
    let above: bigint | undefined;
    for (const [name, at] of this.#host.machine.symbols) {
      if (at <= address && (below === undefined || at > below.at)) below = { name, at };
      if (at > address && (above === undefined || at < above)) above = at;
    }
    if (below === undefined) return undefined;
    const size = (above ?? below.at + lastSymbolBytes) - below.at;
    return { name: below.name, offset: address - below.at, size };
  }
}
