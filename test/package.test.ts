import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

// The published package: packed, installed in an empty folder, and used there.

const root = new URL('..', import.meta.url).pathname;
let folder = '';
let packed: { readonly filename: string; readonly files: readonly { readonly path: string }[] };
let installError: string | undefined;

beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'trapline-package-'));
  const json = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const result: unknown = JSON.parse(json);
  // npm 10 prints an array, npm 11 and later an object by package name.
  packed = (Array.isArray(result) ? result[0] : Object.values(result as object)[0]) as typeof packed;
  fs.writeFileSync(path.join(folder, 'package.json'), '{"name":"empty","private":true,"type":"module"}');
  const install = spawnSync(
    'npm',
    ['install', '--no-audit', '--no-fund', '--prefer-offline', `./${packed.filename}`],
    { cwd: folder, encoding: 'utf8' },
  );
  if (install.status !== 0) installError = install.stderr.trim();
}, 120_000);

afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

describe('the packed tarball', () => {
  it('holds the compiled code, types and the schema, and nothing else', () => {
    const names = packed.files.map((file) => file.path);
    for (const wanted of [
      'package.json',
      'LICENSE',
      'README.md',
      'CHANGELOG.md',
      'docs/hit.schema.json',
      'dist/api/index.js',
      'dist/api/index.d.ts',
      'dist/uapi/index.d.ts',
      'dist/cli/main.js',
      'dist/linux/drain-worker.js',
    ]) {
      expect(names).toContain(wanted);
    }
    expect(
      names.filter((name) => /\.test\.|tsbuildinfo|test-support|^src\/|^test\/|^bench\//.test(name)),
    ).toEqual([]);
  });

  it('installs in an empty folder, and npx trapline doctor runs there', (ctx) => {
    if (installError !== undefined) {
      console.log(`skipped: npm install of the tarball failed (no registry?): ${installError.slice(0, 300)}`);
      ctx.skip('npm install failed');
    }
    const run = spawnSync('npx', ['--no-install', 'trapline', 'doctor', '--json'], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect(run.stderr.replace(/^npm warn.*\n/gm, '')).toBe('');
    const report = JSON.parse(run.stdout) as { watchWorks: boolean };
    expect(run.status).toBe(report.watchWorks ? 0 : 1);
    const version = spawnSync('npx', ['--no-install', 'trapline', '--version'], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect(version.stdout.trim()).toBe(
      JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8')).version,
    );
  });

  it('gives the API and the uapi entry to an importer', (ctx) => {
    if (installError !== undefined) ctx.skip('npm install failed');
    const script = `
      import { watch, WatchError, parseWatchRequest } from 'trapline';
      import { encodePerfEventAttr, PERF_TYPE_BREAKPOINT } from 'trapline/uapi';
      const bytes = encodePerfEventAttr({ type: PERF_TYPE_BREAKPOINT, bpAddr: 0x404028n });
      const refused = await watch({ pid: 2 ** 30, what: 'x' }).armed.catch((error) => error);
      console.log(bytes.length, typeof watch, refused instanceof WatchError, parseWatchRequest('a:w').access);`;
    const run = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect(run.stderr).toBe('');
    expect(run.stdout.trim()).toBe('128 function true w');
  });
});
