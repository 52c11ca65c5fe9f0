import { lastAtOrBelow } from '../address-order.ts';

/** A file of a {@link LineTable}: its parts, joined only when someone asks. */
export interface LineFile {
  readonly name: string;
  /** Of {@link LineTable.directories}. */
  readonly directory: number;
}

/** A line of source. */
export interface SourceLine {
  /** Absent where the table names no file of the row's number. */
  readonly file?: string;
  /** From 1; 0: made by the compiler, of no line. */
  readonly line: number;
  /** From 1; 0: unknown. */
  readonly column: number;
}

/** The rows of one unit by address, as columns. */
export interface LineRows {
  /** Ascending. A row reaches up to the next one's address. */
  readonly addresses: Float64Array;
  /** Index into the files; `noFile` of a row that ends a sequence: no code up to the next row. */
  readonly files: Uint32Array;
  readonly lines: Uint32Array;
  readonly columns: Uint16Array;
}

/** In {@link LineRows.files}: the addresses from here on are no code of the unit. */
export const noFile = 0xffff_ffff;

/** The line table of one unit: from addresses in the file (vaddrs) to lines. */
export class LineTable {
  readonly rows: LineRows;
  readonly #files: readonly (LineFile | undefined)[];
  readonly #directories: readonly string[];
  readonly #paths: Map<number, string | undefined> = new Map();

  /**
   * @param files by the number that rows and `DW_AT_decl_file` use.
   * @param directories the first is the directory of the compilation.
   */
  constructor(rows: LineRows, files: readonly (LineFile | undefined)[], directories: readonly string[]) {
    this.rows = rows;
    this.#files = files;
    this.#directories = directories;
  }

  /** The line of `address` (an `addressNumber`), or `undefined` where the unit has no code. */
  at(address: number): SourceLine | undefined {
    const { addresses, files, lines, columns } = this.rows;
    const row = lastAtOrBelow(addresses, address);
    const file = row < 0 ? noFile : files[row]!; // in bounds
    if (file === noFile) return undefined;
    const path = this.path(file);
    return { ...(path === undefined ? {} : { file: path }), line: lines[row]!, column: columns[row]! }; // in bounds
  }

  /** The path of a file by its number; relative only where the file's own directories are. */
  path(number: number): string | undefined {
    if (this.#paths.has(number)) return this.#paths.get(number);
    const path = this.#join(this.#files[number]);
    this.#paths.set(number, path);
    return path;
  }

  #join(file: LineFile | undefined): string | undefined {
    if (file === undefined || file.name === '') return undefined;
    if (file.name.startsWith('/')) return normalized(file.name);
    const directory = this.#directories[file.directory] ?? '';
    const base = this.#directories[0] ?? '';
    const parts = directory.startsWith('/') || file.directory === 0 ? [directory] : [base, directory];
    return normalized([...parts, file.name].filter((part) => part !== '').join('/'));
  }
}

/** Without "." and "x/..": compilers are called in the folders where builds put them. */
function normalized(path: string): string {
  if (!path.includes('./') && !path.includes('//')) return path;
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '.' || (part === '' && parts.length > 0)) continue;
    const last = parts[parts.length - 1];
    if (part === '..' && last !== undefined && last !== '..' && last !== '') parts.pop();
    else if (part !== '..' || last !== '') parts.push(part);
  }
  return parts.join('/');
}
