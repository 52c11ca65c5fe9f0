import {
  BPF_FUNC_get_current_pid_tgid,
  BPF_FUNC_probe_read_user,
  BPF_FUNC_send_signal,
  BPF_PROG_TYPE_PERF_EVENT,
  BPF_PROG_TYPE_SOCKET_FILTER,
  x86PerfEventContext,
} from '../uapi/bpf.ts';
import { Assembler } from './assembler.ts';

/** A program as it is given to a kernel. */
export interface NamedProgram {
  readonly type: number;
  readonly bytes: Uint8Array;
}

/**
 * The small programs that scenarios use, by their names (docs/spec/09 "Steps", `bpf`): "drop", "keep", "every=N" (by
 * the period), "new>=N" (of the 8 bytes at the breakpoint's address), "user" (drops hits in kernel mode), "leader"
 * (keeps hits of the first thread of a process), "signal=N", "refused" (which no kernel takes), "other" (of another
 * type). `undefined`: there is none of that name.
 */
export function namedProgram(name: string): NamedProgram | undefined {
  const [word = '', argument] = name.split(/>?=/);
  const number = argument === undefined ? undefined : Number(argument);
  if (number !== undefined && !(Number.isInteger(number) && number >= 0 && number <= 0x7fff_ffff))
    return undefined;
  const asm = new Assembler();
  const drop = asm.label('drop');
  const end = (): NamedProgram => ({
    type: BPF_PROG_TYPE_PERF_EVENT,
    bytes: asm.mov(0, 1).exit().at(drop).mov(0, 0).exit().assemble().bytes,
  });
  const plain = (result: number, type: number = BPF_PROG_TYPE_PERF_EVENT): NamedProgram => ({
    type,
    bytes: new Assembler().mov(0, result).exit().assemble().bytes,
  });
  if ((number === undefined) !== (name === word)) return undefined;
  switch (`${word}${name.slice(word.length).replace(/\d+$/, 'N')}`) {
    case 'drop':
      return plain(0);
    case 'keep':
      return plain(1);
    case 'other':
      return plain(0, BPF_PROG_TYPE_SOCKET_FILTER);
    case 'refused':
      return { type: BPF_PROG_TYPE_PERF_EVENT, bytes: new Assembler().exit().assemble().bytes };
    case 'every=N':
      asm.load(8, 2, 1, x86PerfEventContext.samplePeriod).jumpIf('ne', 2, number ?? 0, drop);
      return end();
    case 'new>=N':
      asm.load(8, 3, 1, x86PerfEventContext.addr).mov(1, { reg: 10 }).alu('add', 1, -8).mov(2, 8);
      asm.call(BPF_FUNC_probe_read_user).jumpIf('ne', 0, 0, drop).load(8, 2, 10, -8);
      asm.jumpIf('lt', 2, number ?? 0, drop);
      return end();
    case 'user':
      asm.load(8, 2, 1, x86PerfEventContext.cs).alu('and', 2, 3).jumpIf('eq', 2, 0, drop);
      return end();
    case 'leader':
      asm.call(BPF_FUNC_get_current_pid_tgid).mov(1, { reg: 0 }).alu('rsh', 1, 32);
      asm.jumpIf32('ne', 0, { reg: 1 }, drop);
      return end();
    case 'signal=N':
      asm
        .mov(1, number ?? 0)
        .call(BPF_FUNC_send_signal)
        .jumpIf('ne', 0, 0, drop);
      return end();
    default:
      return undefined;
  }
}
