import type { ServerPacket } from './packet.ts';

/**
 * What each side knows. A feature is known ("+"), not known ("-"), of unknown standing ("?") or has a value.
 *
 *   "qSupported" [ ":" FEATURE ( ";" FEATURE )* ]  ->  [ FEATURE ( ";" FEATURE )* ]
 *   FEATURE ::= NAME ( "+" | "-" | "?" | "=" VALUE )
 */
export const supportedPacket: ServerPacket = {
  name: 'qSupported',
  answer: (session, reader) => {
    reader.skip(':');
    for (const [name, value] of parseFeatures(reader.restText()))
      if (value !== '-') session.clientFeatures.add(name);
    const features = [`PacketSize=${session.packetBytesMax.toString(16)}`, ...session.serverFeatures()];
    return features.join(';');
  },
};

/** Reads features: by name "+", "-", "?" or a value. */
export function parseFeatures(text: string): ReadonlyMap<string, string> {
  const features: Map<string, string> = new Map();
  for (const feature of text.split(';')) {
    const assignment = feature.indexOf('=');
    if (assignment > 0) features.set(feature.slice(0, assignment), feature.slice(assignment + 1));
    else if (feature.length > 1) features.set(feature.slice(0, -1), feature.slice(-1));
  }
  return features;
}

/** Asks for the server's features. */
export function formatSupported(clientFeatures: readonly string[]): string {
  return `qSupported:${clientFeatures.join(';')}`;
}
