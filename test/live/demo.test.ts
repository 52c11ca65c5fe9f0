import { expect, test } from 'vitest';
import { describeWith } from './support/machine.ts';
import { cli, run } from './support/process.ts';
import { programs } from './support/programs.ts';

describeWith(['gcc'], 'trapline demo where perf_event_open is forbidden', () => {
  test('says what failed, and shows a race on the model, naming it', async () => {
    const { status, stdout, stderr } = await run(programs.build('deny-perf'), [
      process.execPath,
      cli,
      'demo',
    ]);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^This machine refuses breakpoints: [^\n]*\n/);
    expect(stdout).toMatch(/^user write watch +fails/m);
    expect(stdout).toMatch(/^watch does not work here: /m);
    const shown = stdout.slice(stdout.indexOf('The same pipeline on the model'));
    expect(shown).toMatch(/^# Trapline model x86_64, user and kernel mode$/m);
    expect(shown.match(/^ {6}0\.\d+ /gm)).toHaveLength(7);
    expect(shown).toMatch(/ depositor\/1001 .* user {4}w .* depositor\.access\+0x4 \(model\)$/m);
    expect(shown).toMatch(/ interest\/1001:1002 .* user {4}w /m);
    expect(shown).toMatch(/ kernel {2}w .* x4$/m);
    expect(stdout).toMatch(/\nhits: 10 {2}lost: 0\n$/);
  });
});
