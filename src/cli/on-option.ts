/** What stands between the two words of `--on model SCENARIO` once they are one: no argument holds it. */
const separator = '\0';

/** Makes one argument of the two words behind `--on`, because an option of commander's has one value. */
export function joinOnOption(argv: readonly string[]): string[] {
  const at = argv.indexOf('--on');
  const scenario = argv[at + 2];
  if (at < 0 || scenario === undefined) return [...argv];
  return [...argv.slice(0, at + 1), `${argv[at + 1]}${separator}${scenario}`, ...argv.slice(at + 3)];
}

/** The two words again; the second is absent where it was not given. */
export function splitOnOption(value: string): { readonly kernel: string; readonly file: string | undefined } {
  const [kernel = '', file] = value.split(separator);
  return { kernel, file };
}
