import { decodeUtf8, encodeUtf8 } from '../../base/text.ts';
import type { Declaration } from './declarations.ts';

/**
 * Declarations as a file of the cache holds them: a line of JSON with the version, then one for each, its fields in a
 * fixed order.
 */
export function encodeDeclarations(declarations: readonly Declaration[]): Uint8Array {
  const lines = declarations.map((each) => JSON.stringify(fields.map((field) => each[field] ?? null)));
  return encodeUtf8([header, ...lines].join('\n'));
}

/** `undefined` for what is not the like: another version's, cut or damaged. */
export function decodeDeclarations(bytes: Uint8Array): Declaration[] | undefined {
  const [first, ...lines] = decodeUtf8(bytes).split('\n');
  if (first !== header) return undefined;
  const declarations: Declaration[] = [];
  for (const line of lines) {
    const declaration = decodeOne(line);
    if (declaration === undefined) return undefined;
    declarations.push(declaration);
  }
  return declarations;
}

const header = '["trapline declarations",1]';
const fields = [
  ...(['kind', 'name', 'scopes', 'inFunction', 'offset', 'declaredAt', 'unit', 'external'] as const),
  ...(['linkageName', 'sourceFile'] as const),
] as const;
const kinds = ['variable', 'declared variable', 'type', 'function'] as const;

function decodeOne(line: string): Declaration | undefined {
  let values: unknown;
  try {
    values = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (!Array.isArray(values) || values.length !== fields.length) return undefined;
  const [
    kind,
    name,
    scopes,
    inFunction,
    offset,
    declaredAt,
    unit,
    external,
    linkageName,
    sourceFile,
  ]: unknown[] = values;
  const known = kinds.find((each) => each === kind);
  const offsets = [offset, declaredAt, unit];
  if (known === undefined || typeof name !== 'string' || typeof sourceFile !== 'string') return undefined;
  if (!Array.isArray(scopes) || !scopes.every((scope) => typeof scope === 'string')) return undefined;
  if (typeof inFunction !== 'boolean' || typeof external !== 'boolean') return undefined;
  if (!offsets.every((each) => Number.isSafeInteger(each) && Number(each) >= 0)) return undefined;
  if (linkageName !== null && typeof linkageName !== 'string') return undefined;
  return {
    kind: known,
    name,
    scopes,
    inFunction,
    offset: Number(offset),
    declaredAt: Number(declaredAt),
    unit: Number(unit),
    external,
    linkageName: linkageName ?? undefined,
    sourceFile,
  };
}
