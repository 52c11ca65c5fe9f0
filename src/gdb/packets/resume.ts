import { PeerError } from '../errors.ts';
import type { PacketReader } from '../packet-reader.ts';
import type { ResumeAction } from '../target.ts';
import { parseThreadId } from '../thread-id.ts';
import { after, type PacketSession, type ServerPacket } from './packet.ts';

/** Two hex digits. */
function parseSignal(reader: PacketReader): number {
  const digits = `${reader.take()}${reader.take()}`;
  if (!/^[0-9a-fA-F]{2}$/.test(digits)) throw reader.error('a signal of two hex digits');
  return Number.parseInt(digits, 16);
}

function resumePacket(name: 'c' | 's' | 'C' | 'S'): ServerPacket {
  const type = name.toLowerCase() === 'c' ? 'continue' : 'step';
  const hasSignal = name === 'C' || name === 'S';
  return {
    name,
    answer: (session, reader) => {
      const signal = hasSignal ? parseSignal(reader) : 0;
      if (hasSignal ? reader.skip(';') : !reader.done)
        throw new PeerError('EINVAL', 'to go on elsewhere, write the program counter');
      const thread = session.resumed;
      return after(session.resume([{ type, signal, thread }]), (stop) => session.stopReply(stop));
    },
  };
}

function parseActions(session: PacketSession, reader: PacketReader): readonly ResumeAction[] {
  const actions: ResumeAction[] = [];
  while (!reader.done) {
    reader.expect(';');
    const letter = reader.take();
    if (!['c', 'C', 's', 'S'].includes(letter)) throw reader.error('"c", "C", "s" or "S"');
    const signal = letter === 'C' || letter === 'S' ? parseSignal(reader) : 0;
    const type = letter.toLowerCase() === 'c' ? 'continue' : 'step';
    if (!reader.skip(':')) {
      actions.push({ type, signal, thread: undefined });
      continue;
    }
    const id = parseThreadId(reader);
    if (id.thread === 'all' && (id.process === 'all' || id.process === 'any')) {
      actions.push({ type, signal, thread: undefined });
      continue;
    }
    const threads = session.threadsOf(id);
    if (threads.length === 0) throw new PeerError('ESRCH', 'there is no such thread');
    for (const thread of threads) actions.push({ type, signal, thread });
  }
  if (actions.length === 0) throw reader.error('an action');
  return actions;
}

/**
 * Lets the target run. The answer comes when it stops.
 *
 *   "c" | "s" | ( "C" | "S" ) SIGNAL              ->  STOP-REPLY
 *   "vCont" ( ";" ACTION [ ":" THREAD-ID ] )+     ->  STOP-REPLY
 *   "vCont?"                                      ->  "vCont;c;C;s;S"
 *   ACTION ::= "c" | "s" | ( "C" | "S" ) SIGNAL
 *
 * GDB uses "vCont" only if all four actions are there.
 */
export function resumePackets(options: { readonly steps: boolean }): readonly ServerPacket[] {
  const letters = options.steps ? (['c', 'C', 's', 'S'] as const) : (['c', 'C'] as const);
  const single = letters.map(resumePacket);
  if (!options.steps) return single;
  return [
    ...single,
    { name: 'vCont?', feature: 'vContSupported+', answer: () => `vCont;${letters.join(';')}` },
    {
      name: 'vCont',
      answer: (session, reader) =>
        after(session.resume(parseActions(session, reader)), (stop) => session.stopReply(stop)),
    },
  ];
}
