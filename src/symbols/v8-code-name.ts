/** How V8 runs a function: Ignition, Sparkplug, Maglev, TurboFan. */
export type JitTier = 'interpreted' | 'baseline' | 'maglev' | 'optimized';

/** What the name of a piece of JIT-compiled code says. */
export interface V8CodeName {
  /** "(anonymous)" for a function without a name. */
  readonly function: string;
  /** Path or URL of the script. */
  readonly file?: string;
  /** Where the function starts, from 1. */
  readonly line?: number;
  readonly column?: number;
  readonly tier?: JitTier;
  /** Whether it is V8's own code. */
  readonly builtin?: boolean;
}

/**
 * Reads a name as V8 writes it into /tmp/perf-PID.map. A name of another kind (another JIT's) is the function's name.
 *
 * ```
 * name     = KIND ":" [TIER] ["'"] FUNCTION [" " SCRIPT [":" LINE [":" COLUMN]]]
 * KIND     = "JS" | "LazyCompile" | "Function" | "Script" | "Eval"        functions of a script
 *          | "Builtin" | "BytecodeHandler" | …                            V8's own, with a name only
 *          | "RegExp"                                                     a pattern: shown as it is
 * TIER     = "~" interpreted | "^" baseline | "+" maglev | "*" optimized   (a "'" behind it: of one context)
 * ```
 * FUNCTION and SCRIPT may have spaces, so where one ends is a guess: SCRIPT starts with a slash or like a URL.
 */
export function parseV8CodeName(name: string): V8CodeName {
  const colon = name.indexOf(':');
  const kind = colon < 0 ? '' : name.slice(0, colon);
  const rest = name.slice(colon + 1);
  if (ownKinds.has(kind)) {
    return { function: kind === 'Builtin' && rest !== '' ? rest : name, builtin: true };
  }
  if (!scriptKinds.has(kind)) return { function: name === '' ? anonymous : name };
  const tier = tiers.get(rest[0] ?? '');
  const text = tier === undefined ? rest : rest.slice(rest[1] === "'" ? 2 : 1);
  return { ...parseScript(text), ...(tier === undefined ? {} : { tier }) };
}

const scriptKinds: ReadonlySet<string> = new Set([
  'JS',
  'LazyCompile',
  'Function',
  'Script',
  'Eval',
  'Callback',
]);
const ownKinds: ReadonlySet<string> = new Set([
  'Builtin',
  'BytecodeHandler',
  'Stub',
  'Handler',
  'LoadIC',
  'StoreIC',
]);
const tiers: ReadonlyMap<string, JitTier> = new Map([
  ['~', 'interpreted'],
  ['^', 'baseline'],
  ['+', 'maglev'],
  ['*', 'optimized'],
]);
const anonymous = '(anonymous)';
const positionPattern = /^(.*?):([0-9]{1,9})(?::([0-9]{1,9}))?$/s;
const scriptStartPattern =
  /(?:^| )(?=\/|[a-z][a-z0-9+.-]*:\/\/|node:|data:|blob:|evalmachine\.|\[eval|<anonymous>)/;

function parseScript(text: string): V8CodeName {
  const position = positionPattern.exec(text);
  // Without a position it is a name, with or without a script.
  const body = position === null ? text : position[1]!;
  const start = scriptStartPattern.exec(body);
  const space = start === null ? body.lastIndexOf(' ') : start.index;
  const hasScript = start !== null || (position !== null && space >= 0);
  const functionName = hasScript ? body.slice(0, space) : body;
  const file = hasScript ? body.slice(body[space] === ' ' ? space + 1 : space) : '';
  return {
    function: functionName === '' ? anonymous : functionName,
    ...(file === '' ? {} : { file }),
    ...(position === null ? {} : { line: Number(position[2]) }),
    ...(position?.[3] === undefined ? {} : { column: Number(position[3]) }),
  };
}
