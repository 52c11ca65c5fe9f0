import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium } from 'playwright-core';
import { build } from 'vite';
import { afterAll, describe, expect, test } from 'vitest';
import { ModelLabMaker } from '../src/hosts/model/model-lab.ts';
import { reportObjects } from '../src/scenario/report.ts';
import { runScenarioFiles, type ScenarioSource } from '../src/scenario/run.ts';

// The model and the scenarios run in a page: the built entry `trapline/model` is bundled, without anything of Node's, and
// must compute there what it computes here.

const root = fileURLToPath(new URL('..', import.meta.url));
const executable = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((file) =>
  fs.existsSync(file),
);
const reason =
  executable === undefined
    ? 'no Chromium is installed'
    : fs.existsSync(path.join(root, 'dist/hosts/model/index.js'))
      ? undefined
      : 'not built: npm run build';
if (reason !== undefined) console.log(`skipped: in the browser: ${reason}`);

/** All scenarios. */
function sources(): ScenarioSource[] {
  const folder = path.join(root, 'scenarios');
  return fs
    .readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.jsonl'))
    .sort()
    .map((name) => ({ name, text: fs.readFileSync(path.join(folder, name), 'utf8') }));
}

/** `trapline/model` as one script that defines `Trapline`. */
async function bundle(): Promise<string> {
  const result = await build({
    configFile: false,
    logLevel: 'error',
    root,
    build: {
      write: false,
      minify: false,
      lib: {
        entry: path.join(root, 'dist/hosts/model/index.js'),
        formats: ['iife'],
        name: 'Trapline',
        fileName: 'model',
      },
    },
  });
  const outputs = Array.isArray(result) ? result.flatMap(({ output }) => output) : [];
  const [chunk] = outputs;
  if (chunk?.type !== 'chunk' || outputs.length !== 1) throw new Error('expected one script');
  return chunk.code;
}

let browser: Browser | undefined;
afterAll(() => browser?.close());

describe.skipIf(reason !== undefined)('in the browser', () => {
  test('a page computes the same report of every scenario as Node', async () => {
    const code = await bundle();
    expect(code).not.toMatch(/\brequire\(|from ['"]node:/);
    browser = await chromium.launch({
      executablePath: executable ?? '',
      args: [
        ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
        ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
      ],
    });
    const page = await browser.newPage();
    const problems: string[] = [];
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('console', (message) => problems.push(message.text()));
    await page.addScriptTag({ content: code });
    const files = sources();
    const inPage: unknown = await page.evaluate(`(async () => {
      const { ModelLabMaker, reportObjects, runScenarioFiles } = Trapline;
      const report = await runScenarioFiles(${JSON.stringify(files)}, { maker: new ModelLabMaker({ verify: true }) });
      return reportObjects(report).map((object) => JSON.stringify(object)).join('\\n');
    })()`);
    const report = await runScenarioFiles(files, { maker: new ModelLabMaker({ verify: true }) });
    const inNode = reportObjects(report)
      .map((object) => JSON.stringify(object))
      .join('\n');
    expect(problems).toEqual([]);
    expect(inPage).toBe(inNode);
    expect([report.exitCode, report.executedSteps > 500]).toEqual([0, true]);
    console.log(
      `Chromium ${browser.version()}: ${report.scenarios.length} scenarios, ${report.executedSteps} steps, the same report; the script has ${Math.round(code.length / 1024)} KiB`,
    );
  });
});
