import { errnoValues } from '../../base/errno.ts';
import { hex } from '../../base/hex.ts';
import { KernelError } from '../../base/kernel-error.ts';
import { joinPair } from '../../base/pair.ts';
import type { Machine } from '../../machine/machine.ts';
import { HW_BREAKPOINT_W } from '../../uapi/perf-event-attr.ts';
import { type BreakpointCore, kernelBreakpointAttr, type WideBreakpoint } from './breakpoint-core.ts';

/** The symbol that the sample watches unless told otherwise. */
export const sampleClientSymbol: string = 'jiffies';

/**
 * The smallest client in the kernel: watches writes to a kernel variable on all CPUs and logs each, with where it came
 * from. docs/spec/04 section 10.
 */
export class SampleClient {
  readonly #core: BreakpointCore;
  #wide: WideBreakpoint | null;
  readonly #log: (line: string) => void;

  /**
   * Loads it. Throws `KernelError` ENXIO (no such symbol), and what the registration says.
   * @param options.log takes the lines of the kernel log.
   */
  constructor(
    core: BreakpointCore,
    machine: Machine,
    options: { readonly symbol?: string; readonly log: (line: string) => void },
  ) {
    const symbol = options.symbol ?? sampleClientSymbol;
    const bpAddr = machine.symbol(symbol);
    if (bpAddr === undefined)
      throw new KernelError({
        errno: errnoValues.ENXIO,
        operation: 'load the sample client',
        hint: `no kernel symbol ${symbol}`,
      });
    this.#core = core;
    this.#log = options.log;
    this.#wide = core.registerWide({
      attr: kernelBreakpointAttr({ bpAddr, bpLen: 4n, bpType: HW_BREAKPOINT_W }),
      handler: (_event, frame) => {
        this.#log(`${symbol} value is changed`);
        this.#log(`Dump stack from the sample handler: ${hex(joinPair(frame.ipLow, frame.ipHigh))}`);
      },
    });
    this.#log(`HW Breakpoint for ${symbol} write installed`);
  }

  /** Unloads it; may be called twice. */
  close(): void {
    if (this.#wide === null) return;
    this.#core.unregisterWide(this.#wide);
    this.#wide = null;
    this.#log('HW Breakpoint uninstalled');
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
