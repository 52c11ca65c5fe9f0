import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll } from 'vitest';
import { root } from './process.ts';

/** The C programs of test/live/programs, compiled when they are first wanted, in a folder of this test file. */
class Programs {
  #folder: string | undefined;
  readonly #built: Map<string, string> = new Map();

  constructor() {
    afterAll(() => this.remove());
  }

  /** The folder; other things of the test file may be put there. It is gone after the last test. */
  get folder(): string {
    if (this.#folder === undefined) {
      this.#folder = fs.mkdtempSync(path.join(os.tmpdir(), 'trapline-live-'));
      fs.chmodSync(this.#folder, 0o755);
    }
    return this.#folder;
  }

  /** Takes everything away again. */
  remove(): void {
    if (this.#folder !== undefined) fs.rmSync(this.#folder, { recursive: true, force: true });
    this.#folder = undefined;
    this.#built.clear();
  }

  /** Compiles `name`.c and gives the program's path; `as` names the file where one source is built in several ways. */
  build(name: string, options: { readonly flags?: readonly string[]; readonly as?: string } = {}): string {
    const { flags = [], as = name } = options;
    const known = this.#built.get(as);
    if (known !== undefined) return known;
    const output = path.join(this.folder, as);
    const source = path.join(root, 'test/live/programs', `${name}.c`);
    this.#gcc(['-O1', '-g', '-pthread', source, '-o', output, ...flags]);
    this.#built.set(as, output);
    return output;
  }

  /** Compiles `name`.c without position independence: its variables have the addresses of the file. */
  buildFixed(name: string): string {
    return this.build(name, { as: `${name}-fixed`, flags: ['-no-pie', '-fno-pie'] });
  }

  /** A copy under another name, without symbols. */
  strip(program: string): string {
    const output = `${program}-stripped`;
    const result = spawnSync('strip', ['-o', output, program], { encoding: 'utf8' });
    if (result.status !== 0) throw new Error(`strip: ${result.stderr}`);
    return output;
  }

  /** The address of a symbol in the file. */
  address(program: string, symbol: string): bigint {
    const result = spawnSync('nm', [program], { encoding: 'utf8' });
    const match = new RegExp(`^([0-9a-f]+) \\w ${symbol}$`, 'm').exec(result.stdout);
    if (match === null) throw new Error(`no ${symbol} in ${program}`);
    return BigInt(`0x${match[1]}`);
  }

  #gcc(args: readonly string[]): void {
    const result = spawnSync('gcc', args, { encoding: 'utf8', timeout: 20_000 });
    if (result.status !== 0) throw new Error(`gcc ${args.join(' ')}: ${result.stderr}`);
  }
}

export const programs: Programs = new Programs();
