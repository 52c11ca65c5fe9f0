#!/usr/bin/env node
import fs from 'node:fs';
import { Command } from 'commander';
import { workersEnded } from '../linux/living-workers.ts';
import { detailsOf, exitStatusOf, messageOf } from './errors.ts';
import { joinOnOption } from './on-option.ts';
import { oneLine, printable } from './printable.ts';
import { toolVersion } from './tool-name.ts';

const whatHelp = `
WHAT is one of
  NAME  NAME+OFFSET  FILE.so:NAME      a variable or function, by the files' symbol tables
  cfg->limits[2].max  *p  a[3]  a[2:6]  ns::Class::member  func::static_var  file.c:name
  lib.so!name  ((struct foo *)ptr)->x  name@TID
                                       a place by debug information (-g): pointers are followed once,
                                       when arming (--follow: again and again); a[2:6] are the elements 2 to 5; @TID picks the
                                       thread of a thread-local variable
  MODULE+0xOFFSET  0xADDRESS           a place in memory
  mem:ADDRESS[/LEN][:ACCESS][:ukp]     as perf writes it
and then, if wanted, /LEN (bytes; default: the symbol's size, or 4) and :w, :rw or :x
(writes, reads and writes, execution; default: x for a function, rw otherwise).

--on model SCENARIO watches the tasks of a scenario (docs/spec/09-scenario-format.md) on our own kernel: WHAT is then
TASK.data+8/4:w, TASK.code0:x, sym:NAME or an address, and -p and -t take a task's name. The steps that make tasks run
first, then the watches are armed, then the other steps run; what they expect is not judged.

--remote watches what a GDB stub serves (QEMU -s, gdbserver, kgdb, OpenOCD, vgdb): each hit stops it, is shown, and lets
it run on. It runs from the moment that the watches are armed, and when the watch ends. A serial line: '| socat - /dev/ttyS0,raw'.

A command shares standard output with the hits: -o FILE keeps them apart. When a budget is
spent, trapline waits for the command to end, and ends with its exit status.`;

const runHelp = `
Exit status: 0 all held; 1 a step differed, or none was executed; 2 a file is not a scenario.
The format is docs/spec/09-scenario-format.md; scenarios/ has many.`;

const gdbserverHelp = `
The steps that make tasks run first; then the machine stands, as in the kernel debugger, and "continue" executes the other
steps, an access at a time. Breakpoints are the kernel's own debugger's: they fire for kernel code (kernelAccess).
"monitor slots" and "monitor registers" show who holds what.`;

const fuzzHelp = `
What differs is made as small as can be, printed and saved as a scenario, for "trapline run --on both".
Exit status: 0 the kernels agreed, or differed as docs/conformance.md says; 1 they did not, a live task died, or nothing
was executed; 2 bad arguments.`;

/** What stands before and behind the first "--": a command's own options are not ours. */
function splitAtDashes(argv: readonly string[]): { own: string[]; command: string[] | undefined } {
  const dashes = argv.indexOf('--');
  if (dashes < 0) return { own: [...argv], command: undefined };
  return { own: argv.slice(0, dashes), command: argv.slice(dashes + 1) };
}

const helpWidth = 100;

function withTarget(command: Command): Command {
  return command
    .argument('<what...>', 'what to watch')
    .option('-p, --pid <pid>', 'a process: its threads, those that come, and forked children')
    .option('-t, --tid <tid>', 'one thread alone')
    .option('-a, --all-cpus', 'whole CPUs, all of them (root)')
    .option('-C, --cpus <list>', 'whole CPUs, these: 0,2-3 (root)')
    .option('--on <model> <scenario>', 'the tasks of a scenario, on our own kernel')
    .option('--remote <stub>', "behind a stub of the GDB protocol: HOST:PORT, unix:PATH or '| COMMAND'")
    .option('--symbols <file>', 'with --remote: the program or kernel that its target runs, for names')
    .option('--user-only', 'leave accesses in kernel mode out')
    .option('--for <time>', 'end after so long: 500ms, 2s, 1m; the target runs on')
    .option('--json', 'JSON lines')
    .option('-o, --output <file>', 'write there instead of to standard output');
}

/** The options of commands that see every hit. */
function withHits(command: Command): Command {
  return command
    .usage(
      'WHAT... (-p PID | -t TID | -a | -C LIST | --on model SCENARIO | --remote STUB | -- COMMAND ARGS...) [options]',
    )
    .option('-s, --stacks', 'record call stacks')
    .option('--asm', 'show the accessing instruction')
    .option('--raw', 'show values as bytes, in the order of memory')
    .option('--max-hits <n>', 'end after so many hits; the target runs on')
    .option(
      '--when <expr>',
      'only hits of which this holds: new, old, changed, tid, pid, cpu, comm, variables',
    )
    .option('--rate <n/s>', 'so many hits of a watch a second at most')
    .option('--stop', 'stop the process at every hit (SIGSTOP), for a debugger')
    .option('--then <cmd>', 'run a shell command at every hit, told by TRAPLINE_… variables');
}

async function main(): Promise<number> {
  const { own, command } = splitAtDashes(process.argv.slice(2));
  let status = 0;
  const program = new Command('trapline')
    .description('Every access to a variable of a running program, by name, on hardware breakpoints.')
    .version(toolVersion())
    .showSuggestionAfterError(false)
    .configureOutput({
      // Everything that would make commander touch process.stdout or process.stderr: Node would then switch these
      // streams, which a command shares, to non-blocking mode.
      writeOut: (text) => fs.writeSync(1, text),
      writeErr: (text) => fs.writeSync(2, text),
      outputError: (text) =>
        fs.writeSync(2, `trapline: ${oneLine(text.replace(/^error: /, ''))} (trapline --help tells more)\n`),
      getOutHelpWidth: () => helpWidth,
      getErrHelpWidth: () => helpWidth,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .exitOverride();

  withHits(withTarget(program.command('watch').description('show who accesses a variable')))
    .option('--follow', 'move the watch when a pointer on the way changes; takes a register a pointer')
    .option('-q, --quiet', 'print only the totals')
    .addHelpText('after', whatHelp)
    .action(async (what: string[], flags: object) => {
      const { watchCommand } = await import('./watch-command.ts');
      status = await watchCommand(what, flags, command);
    });
  withHits(
    withTarget(
      program
        .command('record')
        .description('write all accesses to a file, with what it takes to read it elsewhere'),
    ),
  )
    .option('--flush <time>', 'how much a sudden end may cost', '500ms')
    .option('-q, --quiet', 'as always with record: the totals alone')
    .addHelpText('after', whatHelp)
    .action(async (what: string[], flags: object) => {
      const { recordCommand } = await import('./record-command.ts');
      status = await recordCommand(what, flags, command);
    });
  program
    .command('report')
    .description('what a recording says: by code, thread, value and stack, and over time')
    .argument('<file>', 'a recording')
    .option('--top <n>', 'lines of a table at the most', '20')
    .option('--json', 'as one object')
    .option('-o, --output <file>', 'write there instead of to standard output')
    .action(async (file: string, flags: object) => {
      const { reportCommand } = await import('./report-command.ts');
      status = reportCommand(file, flags);
    });
  withTarget(program.command('stat').description('count accesses'))
    .usage(
      'WHAT... (-p PID | -t TID | -a | -C LIST | --on model SCENARIO | --remote STUB | -- COMMAND ARGS...) [options]',
    )
    .option('--per-thread', 'by thread')
    .addHelpText('after', whatHelp)
    .action(async (what: string[], flags: object) => {
      const { statCommand } = await import('./stat-command.ts');
      status = await statCommand(what, flags, command);
    });
  program
    .command('resolve')
    .description('say where a variable is and what it is: address, length, type, and how that was found')
    .argument('<expr>', 'as `trapline watch` takes it, without length and access')
    .argument('[file]', 'a program or library that need not run')
    .option('-p, --pid <pid>', 'a process')
    .option('--json', 'as JSON')
    .action(async (expr: string, file: string | undefined, flags: object) => {
      const { resolveCommand } = await import('./resolve-command.ts');
      status = resolveCommand(expr, file, flags);
    });
  program
    .command('script')
    .description('a recording as the text of `perf script`, which many tools take')
    .argument('<file>', 'a recording')
    .option('-o, --output <file>', 'write there instead of to standard output')
    .action(async (file: string, flags: object) => {
      const { exportCommand } = await import('./export-command.ts');
      status = exportCommand(file, { ...flags, as: 'script' });
    });
  program
    .command('export')
    .description('a recording for another tool')
    .argument('<file>', 'a recording')
    .requiredOption('--as <format>', 'perf, firefox, pprof, perfetto, collapsed, csv, jsonl, script')
    .requiredOption('-o, --output <file>', 'where to')
    .action(async (file: string, flags: object) => {
      const { exportCommand } = await import('./export-command.ts');
      status = exportCommand(file, flags);
    });
  program
    .command('diff')
    .description('which code and values of two recordings are new, gone, or more')
    .argument('<before>', 'a recording')
    .argument('<after>', 'another')
    .option('--top <n>', 'lines of a table at the most', '20')
    .option('--json', 'as one object')
    .option('-o, --output <file>', 'write there instead of to standard output')
    .action(async (before: string, after: string, flags: object) => {
      const { diffCommand } = await import('./diff-command.ts');
      status = diffCommand(before, after, flags);
    });
  program
    .command('import <file>')
    .description('a perf.data of `perf record -e mem:ADDRESS` as a recording')
    .requiredOption('-o, --output <file>', 'where to')
    .action(async (file: string, flags: object) => {
      const { importCommand } = await import('./import-command.ts');
      status = importCommand(file, flags);
    });
  program
    .command('run')
    .description('run scenarios: scripts of tasks, breakpoints and accesses with what must come of them')
    .argument('<file...>', 'files of scenarios; of a folder all *.jsonl in it and below')
    .option(
      '--on <kernel>',
      'the kernel that answers: model (our own, simulated), linux (this machine), both',
      'model',
    )
    .option('--against <recording>', 'compare the model with what a kernel answered once')
    .option('--json', 'an object a step, with its result')
    .addHelpText('after', runHelp)
    .action(async (files: string[], flags: object) => {
      const { runCommand } = await import('./run-command.ts');
      status = await runCommand(files, flags);
    });
  program
    .command('fuzz')
    .description("random scenarios on our own kernel and on this machine's, until they disagree")
    .option('--seed <s>', 'the same seed gives the same scenarios', '1')
    .option('--scenarios <n>', 'how many', '500')
    .option('--steps <k>', 'steps of each, about', '24')
    .option('--save <dir>', 'where scenarios that differ are written', '.')
    .option('--on <kernel>', 'both; model: only that the model keeps its own rules', 'both')
    .option('--unreached', 'list the branches of the model that were not reached')
    .option('--json', 'the totals and what was found as one object')
    .addHelpText('after', fuzzHelp)
    .action(async (flags: object) => {
      const { fuzzCommand } = await import('./fuzz-command.ts');
      status = await fuzzCommand(flags);
    });
  program
    .command('gdbserver')
    .description('our own kernel on a simulated machine, for gdb and lldb: CPUs are threads')
    .usage('--on model SCENARIO [--listen HOST:PORT | --unix PATH | --stdio]')
    .option('--on <model> <scenario>', 'the machine, its tasks and what they do')
    .option('--listen <host:port>', 'where clients come; port 0: any (default: 127.0.0.1:1234)')
    .option('--unix <path>', 'a unix socket')
    .option(
      '--stdio',
      'standard input and output, for gdb\'s "target remote | trapline gdbserver --stdio ..."',
    )
    .addHelpText('after', gdbserverHelp)
    .action(async (flags: object) => {
      const { gdbserverCommand } = await import('./gdbserver-command.ts');
      status = await gdbserverCommand(flags);
    });
  program
    .command('conformance')
    .description("hold our own kernel against this machine's, and write a page about it")
    .argument('<file...>', 'files of scenarios; of a folder all *.jsonl in it and below')
    .option('--seeds <list>', 'seeds of random scenarios: 1,2,3', '1')
    .option('--scenarios <n>', 'random scenarios a seed', '2000')
    .option('--steps <k>', 'steps of each, about', '24')
    .option('-o, --output <file>', 'write there instead of to standard output')
    .action(async (files: string[], flags: object) => {
      const { conformanceCommand } = await import('./conformance-command.ts');
      status = await conformanceCommand(files, flags);
    });
  program
    .command('doctor')
    .description('try every way of watching on this machine, and say what does not work and why')
    .option('--json', 'as JSON')
    .action(async (flags: { json?: boolean }) => {
      const { doctorCommand } = await import('./doctor-command.ts');
      status = await doctorCommand({ json: flags.json === true }, (text) => fs.writeSync(1, text));
    });
  program
    .command('demo')
    .description('two JavaScript threads race; see who writes')
    .action(async () => {
      const { demoCommand } = await import('./demo-command.ts');
      status = await demoCommand();
    });

  try {
    await program.parseAsync(
      ['run', 'fuzz', 'conformance'].includes(own[0] ?? '') ? own : joinOnOption(own),
      {
        from: 'user',
      },
    );
  } catch (error) {
    if (
      error instanceof Error &&
      'exitCode' in error &&
      'code' in error &&
      String(error.code).startsWith('commander.')
    ) {
      return error.exitCode === 0 ? 0 : 2; // commander has said what is wrong
    }
    const message = messageOf(error);
    if (message === undefined) throw error;
    fs.writeSync(2, `trapline: ${oneLine(message)}\n`);
    for (const line of detailsOf(error)) fs.writeSync(2, `  ${printable(line)}\n`);
    return exitStatusOf(error);
  }
  return status;
}

/** What a worker may take to end, in milliseconds. */
const workersEndMs = 1000;

main().then(
  async (status) => {
    await workersEnded(workersEndMs);
    process.exit(status);
  },
  (error: unknown) => {
    fs.writeSync(
      2,
      `trapline: this is a bug of trapline's own: ${error instanceof Error ? error.stack : String(error)}\n`,
    );
    process.exit(70);
  },
);
