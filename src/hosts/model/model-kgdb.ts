import { encodeFrame, FrameDecoder } from '../../gdb/framing.ts';
import { GdbServer } from '../../gdb/gdb-server.ts';
import { packetBytes, packetText } from '../../gdb/packet-reader.ts';
import { ModelGdbTarget } from './model-gdb-target.ts';
import type { ModelHost } from './model-host.ts';

const packetBytesMax = 0x10000;

/**
 * The kernel debugger of a model, one packet at a time: what a scenario's `kgdb` steps say. The first packet stops the
 * machine; it goes on with "c" or "D", or when the debugger is closed.
 */
export class ModelKgdb {
  readonly target: ModelGdbTarget;
  readonly ready: boolean;
  readonly #server: GdbServer;
  #take: (bytes: Uint8Array) => void = () => undefined;
  #replies: string[] = [];

  constructor(host: ModelHost) {
    this.target = new ModelGdbTarget(host);
    this.ready = this.target.kgdb.init();
    const decoder = new FrameDecoder({ dataBytesMax: packetBytesMax, runs: true });
    this.#server = new GdbServer(
      {
        write: (bytes) =>
          decoder.push(bytes, (frame) => {
            if (frame.type === 'packet') this.#replies.push(packetText(frame.data));
          }),
        onData: (take) => {
          this.#take = take;
        },
        onClose: () => undefined,
        close: () => undefined,
      },
      this.target,
      { packetBytesMax },
    );
  }

  /** Whether the machine stands in the debugger. */
  get inside(): boolean {
    return this.target.kgdb.inside;
  }

  /** One packet, and its reply; `null`: there is none yet, or there is no debugger. */
  packet(text: string): string | null {
    if (!this.ready) return null;
    this.target.enter();
    // Its reply is the next stop, whenever that is; a scenario asks for it with "?".
    if (text === 'c') {
      this.leave();
      return null;
    }
    this.#replies = [];
    this.#take(encodeFrame(packetBytes(text)));
    return this.#replies[0] ?? null;
  }

  /** Lets the machine go on if it stands. */
  leave(): void {
    if (this.inside) this.target.kgdb.leave();
  }

  close(): void {
    this.#server.close();
    this.target.close();
  }
}
