import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ordinaryFacts } from '../api/doctor/doctor.test-support.ts';
import type { DoctorReport } from '../api/doctor/report.ts';
import { doctorCommand, doctorText } from './doctor-command.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

async function run(json: boolean): Promise<{ status: number; text: string }> {
  let text = '';
  const status = await doctorCommand({ json }, (part) => {
    text += part;
  });
  return { status, text };
}

describe('doctorCommand', () => {
  it('prints a table and the verdict as its last line, and exits 0 if watch works here, else 1', async () => {
    const { status, text } = await run(false);
    expect(text).toMatch(/^user write watch +(works|fails|skipped) {2,}\S/);
    const verdict = text.trimEnd().split('\n').at(-1);
    expect(verdict).toMatch(status === 0 ? /^watch works here: / : /^watch does not work here: /);
    expect(text.endsWith(`${verdict}\n`)).toBe(true);
    expect(text).not.toMatch(/^\s+at .*\(/m); // no stack trace
  });

  it('prints the report as JSON, whose watchWorks is the exit status', async () => {
    const { status, text } = await run(true);
    const report: DoctorReport = JSON.parse(text);
    expect(status).toBe(report.watchWorks ? 0 : 1);
    expect(Object.keys(report)).toEqual(
      expect.arrayContaining(['watchWorks', 'verdict', 'checks', 'facts', 'durationMs']),
    );
    for (const check of report.checks) expect(check.outcome).toMatch(/^(works|fails|skipped)$/);
  });
});

describe('doctorText', () => {
  const report: DoctorReport = {
    watchWorks: false,
    verdict: 'watch does not work here: the reason',
    checks: [
      {
        id: 'user-write',
        title: 'short',
        outcome: 'fails',
        detail: 'refused: EPERM',
        why: 'the reason',
        remedy: 'the cure',
      },
      {
        id: 'user-execute',
        title: 'a longer title',
        outcome: 'fails',
        detail: 'refused: EPERM',
        why: 'the reason',
        remedy: 'the cure',
      },
      { id: 'slots', title: 'middle', outcome: 'works', detail: '2 free', why: 'others', remedy: 'end them' },
      { id: 'ptrace', title: 'last', outcome: 'skipped', detail: 'not here' },
    ],
    facts: ordinaryFacts,
    durationMs: 1,
  };

  it('aligns the columns and puts reasons under their line, each once', () => {
    expect(doctorText(report).split('\n\n')[0]).toBe(
      [
        'short           fails    refused: EPERM',
        '    why: the reason',
        '    remedy: the cure',
        'a longer title  fails    refused: EPERM',
        '    why: as for "short"',
        'middle          works    2 free',
        '    why: others',
        '    remedy: end them',
        'last            skipped  not here',
      ].join('\n'),
    );
  });

  it('says in words what is absent', () => {
    const facts = doctorText(report).split('\n\n')[1];
    expect(facts).toMatch(/^capabilities +none that matter$/m);
    expect(facts).toMatch(/^yama ptrace_scope +not built in$/m);
    expect(facts).toMatch(/^CPU +model not told, 2 online$/m);
    expect(facts).toMatch(/^container +no sign$/m);
  });
});

/** What another user needs to run the compiled command, where that user can read it. */
describe('doctorCommand as another user', () => {
  const nobody = 65534;
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'trapline-doctor-'));
  beforeAll(() => {
    fs.chmodSync(folder, 0o755);
    fs.copyFileSync(path.join(root, 'package.json'), path.join(folder, 'package.json'));
    if (!fs.existsSync(path.join(root, 'dist'))) return;
    fs.cpSync(path.join(root, 'dist'), path.join(folder, 'dist'), { recursive: true });
    for (const name of ['koffi', '@koromix']) {
      const from = path.join(root, 'node_modules', name);
      if (fs.existsSync(from)) fs.cpSync(from, path.join(folder, 'node_modules', name), { recursive: true });
    }
  });
  afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

  it('works in user mode at level 2, and names the level for the rest', async (context) => {
    const skip = (reason: string): void => {
      console.info(`skipped: ${reason}`);
      context.skip(reason);
    };
    const compiled = path.join(folder, 'dist/cli/doctor-command.js');
    if (process.geteuid?.() !== 0) return skip('another user can only be taken by root');
    if (!fs.existsSync(compiled)) return skip('not built: npm run build');
    const level = Number(fs.readFileSync('/proc/sys/kernel/perf_event_paranoid', 'utf8'));
    if (level !== 2) return skip(`kernel.perf_event_paranoid is ${level}, not 2`);
    if ((await run(false)).status !== 0) return skip('watch does not work on this machine');
    const script = `
      const { doctorCommand } = await import(${JSON.stringify(compiled)});
      process.exitCode = await doctorCommand({ json: true }, (text) => process.stdout.write(text));
    `;
    const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      uid: nobody,
      gid: nobody,
      cwd: '/',
      encoding: 'utf8',
    });
    expect(child.stderr).toBe('');
    expect(child.status).toBe(0);
    const report: DoctorReport = JSON.parse(child.stdout);
    const outcomes = Object.fromEntries(report.checks.map(({ id, outcome }) => [id, outcome]));
    expect(outcomes).toMatchObject({
      'user-write': 'works',
      'user-read-write': 'works',
      'user-execute': 'works',
      'new-threads': 'works',
      'kernel-mode': 'fails',
      'whole-cpu': 'fails',
      'kernel-address': 'fails',
      slots: 'works',
    });
    expect(report.verdict).toMatch(/user mode only$/);
    const why = Object.fromEntries(report.checks.map((check) => [check.id, check.why]));
    expect(why['kernel-mode']).toContain('kernel.perf_event_paranoid is 2');
    expect(why['whole-cpu']).toContain('kernel.perf_event_paranoid is 2');
    expect(why['kernel-address']).toContain('CAP_SYS_ADMIN');
  });
});
