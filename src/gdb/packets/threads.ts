import { PeerError } from '../errors.ts';
import { bytesToHex } from '../hex-bytes.ts';
import { packetBytes } from '../packet-reader.ts';
import { parseThreadId } from '../thread-id.ts';
import type { PacketSession, ServerPacket } from './packet.ts';

/**
 * The thread that is looked at.
 *
 *   "qC"  ->  "QC" THREAD-ID
 */
export const currentThreadPacket: ServerPacket = {
  name: 'qC',
  answer: (session) => `QC${session.threadName(session.inspected)}`,
};

/**
 * All threads; the first packet begins the list, the second goes on with it.
 *
 *   "qfThreadInfo"  ->  "m" THREAD-ID ( "," THREAD-ID )*  |  "l"
 *   "qsThreadInfo"  ->  likewise
 */
export function threadListPackets(): readonly ServerPacket[] {
  let left: string[] = [];
  const next = (session: PacketSession): string => {
    if (left.length === 0) return 'l';
    let reply = 'm';
    while (left[0] !== undefined && reply.length + left[0].length + 1 < session.packetBytesMax)
      reply += `${reply === 'm' ? '' : ','}${left.shift()}`;
    return reply;
  };
  return [
    {
      name: 'qfThreadInfo',
      answer: (session) => {
        left = session.target.threads().map((thread) => session.threadName(thread));
        return next(session);
      },
    },
    { name: 'qsThreadInfo', answer: next },
  ];
}

/**
 * What a thread is called, in hex.
 *
 *   "qThreadExtraInfo" "," THREAD-ID  ->  HEX-TEXT
 */
export const threadExtraInfoPacket: ServerPacket = {
  name: 'qThreadExtraInfo',
  answer: (session, reader) => {
    reader.expect(',');
    const [thread] = session.threadsOf(parseThreadId(reader));
    if (thread === undefined) throw new PeerError('ESRCH', 'there is no such thread');
    return bytesToHex(packetBytes(thread.name.replace(/[^\x20-\x7e]/g, '?')));
  },
};

/**
 * Whether a thread lives.
 *
 *   "T" THREAD-ID  ->  "OK"
 */
export const threadAlivePacket: ServerPacket = {
  name: 'T',
  answer: (session, reader) => {
    if (session.threadsOf(parseThreadId(reader)).length === 0)
      throw new PeerError('ESRCH', 'there is no such thread');
    return 'OK';
  },
};

/**
 * Whether the server was attached to something that ran before, which a debugger lets go at its end.
 *
 *   "qAttached" [ ":" PROCESS ]  ->  "1"
 */
export const attachedPacket: ServerPacket = { name: 'qAttached', answer: () => '1' };
