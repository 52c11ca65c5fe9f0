import { PeerError } from '../errors.ts';
import { parseThreadId } from '../thread-id.ts';
import type { ServerPacket } from './packet.ts';

/**
 * Which thread the packets that follow are about: "g" for registers and memory, "c" for "c" and "s".
 *
 *   "H" ( "g" | "c" ) THREAD-ID  ->  "OK"
 */
export const selectThreadPacket: ServerPacket = {
  name: 'H',
  answer: (session, reader) => {
    const operation = reader.take();
    if (operation !== 'g' && operation !== 'c') throw new PeerError('EINVAL', 'H is about "g" or "c"');
    const id = parseThreadId(reader);
    reader.end();
    session.select(operation === 'g' ? 'inspect' : 'resume', id);
    return 'OK';
  },
};
