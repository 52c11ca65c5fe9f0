import type { GdbTarget } from '../target.ts';
import { after, type ServerPacket } from './packet.ts';

/**
 * Lets the target go, or ends it.
 *
 *   "D" [ ";" PROCESS ]        ->  "OK"
 *   "k"                        (no answer is waited for)
 *   "vKill" ";" PROCESS        ->  "OK"
 */
export function endPackets(target: GdbTarget): readonly ServerPacket[] {
  const packets: ServerPacket[] = [
    {
      name: 'D',
      answer: (session) => {
        session.endAfterReply('detached');
        return 'OK';
      },
    },
  ];
  const { kill } = target;
  if (kill === undefined) return packets;
  for (const name of ['k', 'vKill'])
    packets.push({
      name,
      answer: (session) => {
        session.endAfterReply('killed');
        return after(kill.call(target), () => 'OK');
      },
    });
  return packets;
}
