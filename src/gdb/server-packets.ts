import { breakpointPackets } from './packets/breakpoints.ts';
import { endPackets } from './packets/end.ts';
import { lldbPackets } from './packets/lldb.ts';
import { monitorPacket } from './packets/monitor.ts';
import { noAckModePacket } from './packets/no-ack-mode.ts';
import type { ServerPacket } from './packets/packet.ts';
import { readBinaryPacket, readMemoryPacket } from './packets/read-memory.ts';
import {
  readRegisterPacket,
  readRegistersPacket,
  writeRegisterPacket,
  writeRegistersPacket,
} from './packets/registers.ts';
import { resumePackets } from './packets/resume.ts';
import { selectThreadPacket } from './packets/select-thread.ts';
import { stopReasonPacket } from './packets/stop-reason.ts';
import { supportedPacket } from './packets/supported.ts';
import {
  attachedPacket,
  currentThreadPacket,
  threadAlivePacket,
  threadExtraInfoPacket,
  threadListPackets,
} from './packets/threads.ts';
import { transferPacket } from './packets/transfer.ts';
import { writeMemoryPackets } from './packets/write-memory.ts';
import type { GdbTarget } from './target.ts';

/** Features that belong to no packet of their own. */
const plainFeatures: readonly string[] = ['multiprocess+'];

/** The packets that a target is capable of: what is not in here is answered as not known. */
export class ServerPackets {
  readonly #packets: ReadonlyMap<string, ServerPacket>;
  readonly features: readonly string[];

  constructor(target: GdbTarget) {
    const { memory, resume, monitor, breakpoints } = target;
    const packets: readonly ServerPacket[] = [
      supportedPacket,
      noAckModePacket,
      stopReasonPacket,
      selectThreadPacket,
      currentThreadPacket,
      ...threadListPackets(),
      threadExtraInfoPacket,
      threadAlivePacket,
      attachedPacket,
      readRegistersPacket,
      readRegisterPacket,
      writeRegistersPacket,
      writeRegisterPacket,
      transferPacket,
      ...(memory === undefined
        ? []
        : [readMemoryPacket(memory), readBinaryPacket(memory), ...writeMemoryPackets(memory)]),
      ...breakpointPackets(target),
      ...(resume === undefined ? [] : resumePackets({ steps: resume.steps })),
      ...(monitor === undefined ? [] : [monitorPacket(monitor)]),
      ...endPackets(target),
      ...lldbPackets(target),
    ];
    this.#packets = new Map(packets.map((packet) => [packet.name, packet]));
    this.features = [
      ...packets.flatMap(({ feature }) => (feature === undefined ? [] : [feature])),
      ...plainFeatures,
      ...(breakpoints?.software === undefined ? [] : ['swbreak+']),
      ...(breakpoints?.hardware === undefined ? [] : ['hwbreak+']),
    ];
  }

  /**
   * The packet that some data are, and how many bytes its name has. Words end at a mark; where none is known by the whole
   * word, digits at its end belong to what follows.
   */
  find(data: Uint8Array): { readonly packet: ServerPacket; readonly nameBytes: number } | undefined {
    const first = String.fromCharCode(data[0] ?? 0);
    if (!'qQvj'.includes(first)) return this.#named(first);
    let word = '';
    for (const byte of data.subarray(0, wordMost)) {
      const character = String.fromCharCode(byte);
      if (':;,'.includes(character)) break;
      word += character;
      if (character === '?') break;
    }
    return this.#named(word) ?? this.#named(word.replace(/[0-9a-f]+$/, ''));
  }

  #named(name: string): { readonly packet: ServerPacket; readonly nameBytes: number } | undefined {
    const packet = this.#packets.get(name);
    return packet === undefined ? undefined : { packet, nameBytes: name.length };
  }
}

/** No name of a packet is longer. */
const wordMost = 40;
