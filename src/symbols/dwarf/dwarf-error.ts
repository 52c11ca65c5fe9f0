import { ElfError } from '../elf-error.ts';

/** Debug information that is not as it should be, or of a form that is not read: bad input, never a bug of ours. */
export class DwarfError extends ElfError {
  constructor(file: string, problem: string) {
    super(file, `debug information: ${problem}`);
    this.name = 'DwarfError';
  }
}
