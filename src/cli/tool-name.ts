import fs from 'node:fs';

/** This package's version; "?" where its manifest is not there. */
export function toolVersion(): string {
  const manifest: unknown = JSON.parse(
    fs.readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  );
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest
    ? String(manifest.version)
    : '?';
}

/** "trapline 0.1.0". */
export function toolName(): string {
  return `trapline ${toolVersion()}`;
}
