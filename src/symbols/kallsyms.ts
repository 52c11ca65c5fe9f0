import { addressNumber, addressNumberOfPair } from './address-number.ts';
import { addressOrder, lastAtOrBelow } from './address-order.ts';

/** One symbol of the running kernel. */
export interface KernelSymbol {
  readonly name: string;
  /** 0 if the kernel hides addresses. */
  readonly address: bigint;
  /** As nm has it: t, d, b, r, w, … in upper case where the symbol is global. */
  readonly type: string;
  /** The module's name; "bpf" and the like for code that is none; absent for the kernel itself. */
  readonly module?: string;
}

/** A symbol and how far into it an address is. */
export interface KernelSymbolAt {
  readonly symbol: KernelSymbol;
  readonly offset: bigint;
}

/**
 * What /proc/kallsyms says. Names stay in the text until they are asked for.
 */
export class Kallsyms {
  /** How many symbols there are. */
  readonly count: number;
  /** Whether there are symbols and all addresses are 0: kptr_restrict, or a reader without the right. */
  readonly hidden: boolean;
  readonly #text: string;
  readonly #lineStarts: Uint32Array;
  readonly #addresses: Float64Array;
  #index: { readonly starts: Float64Array; readonly lines: Uint32Array } | undefined;

  /**
   * Reads the text.
   *
   * ```
   * line = ADDRESS " " TYPE " " NAME ["\t[" MODULE "]"]       ADDRESS: 16 hex digits
   * ```
   * Lines that are not in this format are left out. Source: proc(5), "/proc/kallsyms".
   */
  static parse(text: string): Kallsyms {
    return new Kallsyms(text);
  }

  private constructor(text: string) {
    this.#text = text;
    // The shortest line has 20 characters and its newline.
    const most = Math.ceil((text.length + 1) / 21);
    const lineStarts = new Uint32Array(most);
    const addresses = new Float64Array(most);
    let count = 0;
    let hidden = true;
    for (let at = 0; at + 20 <= text.length; ) {
      const newline = text.indexOf('\n', at);
      const end = newline < 0 ? text.length : newline;
      if (end - at >= 20 && text.charCodeAt(at + 16) === space && text.charCodeAt(at + 18) === space) {
        const high = hexWord(text, at);
        const low = hexWord(text, at + 8);
        if (high >= 0 && low >= 0) {
          if (low !== 0 || high !== 0) hidden = false;
          lineStarts[count] = at;
          addresses[count] = addressNumberOfPair(low, high);
          count++;
        }
      }
      at = end + 1;
    }
    this.count = count;
    this.hidden = hidden && count > 0;
    this.#lineStarts = lineStarts.subarray(0, count);
    this.#addresses = addresses.subarray(0, count);
  }

  /**
   * The symbol that a kernel address is in: the last one at or below it (the list has no sizes). Of several at one
   * address a global one is preferred to a local one to a weak one, then fewer leading underscores. `undefined` for addresses
   * that are not the kernel's, and if addresses are hidden.
   */
  at(address: bigint): KernelSymbolAt | undefined {
    if (this.hidden) return undefined;
    this.#index ??= this.#buildIndex();
    const value = addressNumber(address);
    if (!(value < 0)) return undefined;
    const place = lastAtOrBelow(this.#index.starts, value);
    if (place < 0) return undefined;
    const symbol = this.#symbol(this.#index.lines[place]!); // in bounds
    return { symbol, offset: BigInt.asUintN(64, address) - symbol.address };
  }

  /** All symbols named `name`, in the order of the text. */
  find(name: string): KernelSymbol[] {
    const found: KernelSymbol[] = [];
    if (name === '' || /[\s]/.test(name)) return found;
    const wanted = ` ${name}`;
    for (let at = this.#text.indexOf(wanted); at >= 0; at = this.#text.indexOf(wanted, at + 1)) {
      const end = this.#text.charCodeAt(at + wanted.length);
      if (!Number.isNaN(end) && end !== newlineCode && end !== tab) continue;
      const line = this.#lineAt(at);
      if (line >= 0 && this.#lineStarts[line] === at - 18) found.push(this.#symbol(line));
    }
    return found;
  }

  /** The index of the line that the character at `at` is in. */
  #lineAt(at: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      // In bounds: low <= middle < high.
      if (this.#lineStarts[middle]! <= at) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #symbol(line: number): KernelSymbol {
    const start = this.#lineStarts[line]!; // in bounds: `line` is below `count`
    const newline = this.#text.indexOf('\n', start);
    const end = newline < 0 ? this.#text.length : newline;
    const [name = '', moduleText] = this.#text.slice(start + 19, end).split('\t');
    const symbol = {
      name: name.trimEnd(),
      address: BigInt(`0x${this.#text.slice(start, start + 16)}`),
      type: this.#text.charAt(start + 17),
    };
    return moduleText === undefined
      ? symbol
      : { ...symbol, module: moduleText.replace(/^\[(.*)\]\s*$/, '$1') };
  }

  /** The kernel's addresses, sorted, the preferred symbol of each. */
  #buildIndex(): { starts: Float64Array; lines: Uint32Array } {
    const order = addressOrder(this.#addresses.map((address) => (Number.isNaN(address) ? 0 : address)));
    const starts = new Float64Array(order.length);
    const lines = new Uint32Array(order.length);
    let count = 0;
    for (const line of order) {
      const address = this.#addresses[line]!; // in bounds: the order is of these lines
      // User-half values are offsets of per-CPU variables, not addresses.
      if (!(address < 0)) continue;
      if (count > 0 && starts[count - 1] === address) {
        if (this.#rank(line) < this.#rank(lines[count - 1]!)) lines[count - 1] = line;
        continue;
      }
      starts[count] = address;
      lines[count] = line;
      count++;
    }
    return { starts: starts.slice(0, count), lines: lines.slice(0, count) };
  }

  #rank(line: number): number {
    const start = this.#lineStarts[line]!; // in bounds, as in #symbol
    const type = this.#text.charCodeAt(start + 17);
    let underscores = 0;
    while (underscores < 7 && this.#text.charCodeAt(start + 19 + underscores) === 0x5f) underscores++;
    const isWeak = (type | 0x20) === 0x77 || (type | 0x20) === 0x76;
    const isLocal = (type & 0x20) !== 0;
    return (isWeak ? 16 : isLocal ? 8 : 0) + underscores;
  }
}

const space = 0x20;
const tab = 0x09;
const newlineCode = 0x0a;

/** The u32 that 8 hex digits spell, or -1. */
function hexWord(text: string, at: number): number {
  let value = 0;
  for (let i = at; i < at + 8; i++) {
    const code = text.charCodeAt(i);
    let digit: number;
    if (code >= 0x30 && code <= 0x39) digit = code - 0x30;
    else if (code >= 0x61 && code <= 0x66) digit = code - 0x57;
    else return -1;
    value = value * 16 + digit;
  }
  return value;
}
