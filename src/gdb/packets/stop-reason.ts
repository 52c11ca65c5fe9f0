import type { ServerPacket } from './packet.ts';

/**
 * Why the target stands.
 *
 *   "?"  ->  STOP-REPLY
 */
export const stopReasonPacket: ServerPacket = {
  name: '?',
  answer: (session, reader) => {
    reader.end();
    return session.stopReply(session.lastStop);
  },
};
