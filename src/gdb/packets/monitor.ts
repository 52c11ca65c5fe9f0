import { bytesToHex, hexToBytes } from '../hex-bytes.ts';
import { packetBytes, packetText } from '../packet-reader.ts';
import type { MonitorCommands } from '../target.ts';
import { after, type ServerPacket } from './packet.ts';

function help(commands: MonitorCommands): string {
  const names = Object.keys(commands);
  const width = Math.max(...names.map((name) => name.length));
  return names.map((name) => `${name.padEnd(width)}  ${commands[name]?.help ?? ''}\n`).join('');
}

/**
 * A command of the target's own, and the text that it prints, both in hex.
 *
 *   "qRcmd" "," HEX-TEXT  ->  HEX-TEXT | "OK"
 */
export function monitorPacket(commands: MonitorCommands): ServerPacket {
  return {
    name: 'qRcmd',
    answer: (_, reader) => {
      reader.expect(',');
      const [name = '', ...args] = packetText(hexToBytes(reader.rest())).trim().split(/\s+/);
      const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
      const output =
        command === undefined
          ? `${name === 'help' ? '' : `there is no command "${name}"\n`}${help(commands)}`
          : command.run(args);
      return after(output, (text) =>
        text === '' ? 'OK' : bytesToHex(packetBytes(text.replace(/[^\n\x20-\x7e]/g, '?'))),
      );
    },
  };
}
