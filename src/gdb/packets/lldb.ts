import { PeerError } from '../errors.ts';
import { bytesToHex } from '../hex-bytes.ts';
import { packetBytes, packetText } from '../packet-reader.ts';
import type { GdbTarget } from '../target.ts';
import type { ServerPacket } from './packet.ts';

function hexText(text: string): string {
  return packetText(bytesToHex(packetBytes(text)));
}

/**
 * What lldb wants to know before it takes a watchpoint. Source: lldb's "GDB remote protocol extensions".
 *
 *   "qHostInfo"                  ->  ( KEY ":" VALUE ";" )*
 *   "qProcessInfo"               ->  ( KEY ":" VALUE ";" )*
 *   "qWatchpointSupportInfo" ":" ->  "num:" DECIMAL ";"
 *   "qThreadStopInfo" HEX        ->  STOP-REPLY of the thread, signal 0 if another stopped
 *   "qVAttachOrWaitSupported"    is not known
 */
export function lldbPackets(target: GdbTarget): readonly ServerPacket[] {
  const { triple, pointerBytes } = target.description;
  const host = `triple:${hexText(triple)};endian:little;ptrsize:${pointerBytes};`;
  const packets: ServerPacket[] = [
    // Data watchpoints of x86 are told after the access, those of arm64 before it.
    {
      name: 'qHostInfo',
      answer: () => `${host}watchpoint_exceptions_received:${triple.startsWith('x86') ? 'after' : 'before'};`,
    },
    {
      name: 'qProcessInfo',
      answer: ({ inspected }) => `pid:${inspected.process.toString(16)};${host}`,
    },
    {
      name: 'qThreadStopInfo',
      answer: (session, reader) => {
        const [thread] = session.threadsOf({ process: 'any', thread: reader.number() });
        if (thread === undefined) throw new PeerError('ESRCH', 'there is no such thread');
        const stop = session.lastStop;
        return session.stopReply(
          stop.type === 'signal' && stop.thread.thread !== thread.thread
            ? { type: 'signal', signal: 0, thread }
            : stop,
        );
      },
    },
  ];
  const { watchpointSlots } = target;
  if (watchpointSlots !== undefined)
    packets.push({ name: 'qWatchpointSupportInfo', answer: () => `num:${watchpointSlots};` });
  return packets;
}
