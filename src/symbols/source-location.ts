import type { CodeLocation, InlinedInto } from './code-location.ts';
import type { CodeFrame } from './dwarf/code-frames.ts';

/** A location with the frames that debug information has for it, names spelled by `demangle`. */
export function withFrames(
  location: CodeLocation,
  frames: readonly CodeFrame[],
  demangle: (name: string) => string,
): CodeLocation {
  const { symbol } = location;
  const symbolText = symbol === undefined ? undefined : demangle(symbol);
  const [innermost, ...outer] = frames.map((frame) => placeOf(frame, { symbol, symbolText, demangle }));
  if (innermost === undefined)
    return symbolText === undefined ? location : { ...location, function: symbolText };
  return { ...location, ...innermost, ...(outer.length === 0 ? {} : { inlinedInto: outer }) };
}

function placeOf(
  frame: CodeFrame,
  names: { symbol: string | undefined; symbolText: string | undefined; demangle: (name: string) => string },
): InlinedInto {
  const { file, line, column } = frame;
  const name = functionText(frame, names);
  return {
    ...(name === undefined ? {} : { function: name }),
    ...(file === undefined ? {} : { file }),
    ...(line === undefined ? {} : { line }),
    ...(column === undefined ? {} : { column }),
  };
}

function functionText(
  frame: CodeFrame,
  names: { symbol: string | undefined; symbolText: string | undefined; demangle: (name: string) => string },
): string | undefined {
  const { symbol, symbolText, demangle } = names;
  if (frame.function === undefined) return frame.inlined ? undefined : symbolText;
  const text = demangle(frame.function);
  // Compilers leave the linker's name out where nothing links to it; the symbol table has it, with namespaces.
  const isPlain = text === frame.function && symbolText !== symbol;
  return isPlain && !frame.inlined ? symbolText : text;
}
