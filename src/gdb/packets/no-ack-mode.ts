import type { ServerPacket } from './packet.ts';

/**
 * No acknowledgments from the next packet on; that of this packet is still sent.
 *
 *   "QStartNoAckMode"  ->  "OK"
 */
export const noAckModePacket: ServerPacket = {
  name: 'QStartNoAckMode',
  feature: 'QStartNoAckMode+',
  answer: (session) => {
    session.noAcks();
    return 'OK';
  },
};
