/** A file that is not the ELF file it should be: bad input from outside, never a bug of ours. */
export class ElfError extends Error {
  /** The file's name, as given to whoever read it. */
  readonly file: string;
  /** What is wrong with it: "not an ELF file". */
  readonly problem: string;

  constructor(file: string, problem: string) {
    super(`${file}: ${problem}`);
    this.name = 'ElfError';
    this.file = file;
    this.problem = problem;
  }
}
