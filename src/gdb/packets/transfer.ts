import { PeerError } from '../errors.ts';
import { packetBytes, prefixed } from '../packet-reader.ts';
import { targetXml } from '../target-description.ts';
import type { PacketSession, ServerPacket } from './packet.ts';

/** An object that is read in pieces: its name, and the content of each annex. */
interface TransferObject {
  readonly name: string;
  content(session: PacketSession, annex: string): string | undefined;
}

function escapeXml(text: string): string {
  return text.replace(/[<>&"]/g, (mark) => `&#${mark.charCodeAt(0)};`);
}

const objects: readonly TransferObject[] = [
  {
    name: 'features',
    content: ({ target }, annex) => (annex === 'target.xml' ? targetXml(target.description) : undefined),
  },
  {
    name: 'threads',
    content: (session, annex) => {
      if (annex !== '') return undefined;
      const rows = session.target
        .threads()
        .map((thread) => `<thread id="${session.threadName(thread)}" name="${escapeXml(thread.name)}"/>`);
      return `<?xml version="1.0"?>\n<threads>\n${rows.join('\n')}\n</threads>\n`;
    },
  },
];

/**
 * Reads an object of the target in pieces: "m" before a piece, "l" before the last.
 *
 *   "qXfer" ":" OBJECT ":" "read" ":" ANNEX ":" OFFSET "," LENGTH  ->  ( "m" | "l" ) BYTE*
 *   OBJECT ::= "features" (annex "target.xml") | "threads"
 */
export const transferPacket: ServerPacket = {
  name: 'qXfer',
  feature: objects.map(({ name }) => `qXfer:${name}:read+`).join(';'),
  answer: (session, reader) => {
    reader.expect(':');
    const name = reader.until(':');
    reader.expect(':');
    const operation = reader.until(':');
    const object = objects.find((candidate) => candidate.name === name);
    if (object === undefined || operation !== 'read') return '';
    reader.expect(':');
    const annex = reader.until(':');
    reader.expect(':');
    const offset = reader.number();
    reader.expect(',');
    const lenBytes = reader.number();
    reader.end();
    const content = object.content(session, annex);
    if (content === undefined) throw new PeerError('ENOENT', `${name} has no annex "${annex}"`);
    const bytes = packetBytes(content);
    const end = Math.min(offset + Math.min(lenBytes, (session.packetBytesMax - 1) >> 1), bytes.length);
    return prefixed(end >= bytes.length ? 'l' : 'm', bytes.subarray(offset, end));
  },
};
