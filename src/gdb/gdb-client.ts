import { PeerError, SessionError } from './errors.ts';
import { ackByte, encodeFrame, type Frame, FrameDecoder, interrupt, nakByte } from './framing.ts';
import { bytesToHex, hexToBytes } from './hex-bytes.ts';
import { PacketReader, packetBytes, packetText } from './packet-reader.ts';
import { formatBreakpoint } from './packets/breakpoints.ts';
import { formatMemoryRead, parseBinaryReply } from './packets/read-memory.ts';
import { parseStopReply, type StopReply } from './packets/stop-reply.ts';
import { formatSupported, parseFeatures } from './packets/supported.ts';
import { parseTargetXml, programCounterName, type RemoteDescription } from './parse-target-xml.ts';
import type { BreakpointKind } from './target.ts';
import { formatThreadId, parseThreadId, type ThreadId } from './thread-id.ts';
import type { Transport } from './transport.ts';

/** Calls `told` after some milliseconds, unless the function that it gives is called before. */
export type Timer = (milliseconds: number, told: () => void) => () => void;

/** What a client takes. */
export interface GdbClientOptions {
  readonly timer: Timer;
  /** How long an answer may take, in milliseconds; 5,000. A target that runs may take as long as it likes. */
  readonly answerMs?: number;
  /** Text that the target prints while it runs. */
  readonly onOutput?: (text: string) => void;
  readonly onPacket?: (direction: 'in' | 'out', data: Uint8Array) => void;
}

const answerMsDefault = 5_000;
/** The longest data of a packet that we take: whatever a stub agrees to. */
const dataBytesMax = 0x100000;
/** What a stub takes that says nothing. */
const packetBytesDefault = 400;
const sendsMost = 3;
/** "xmlRegisters": gdbserver describes the registers of x86 to nobody else. */
const ourFeatures: readonly string[] = [
  'multiprocess+',
  'swbreak+',
  'hwbreak+',
  'vContSupported+',
  'xmlRegisters=i386',
];

interface Pending {
  readonly resolve: (data: Uint8Array) => void;
  readonly reject: (error: Error) => void;
  readonly line: Uint8Array;
  /** A target that runs answers when it stops. */
  readonly running: boolean;
  sends: number;
  /** The peer has taken the question: what came before is no answer to it. */
  taken: boolean;
  cancelTimer: () => void;
}

/**
 * A client of a stub: asks, one question at a time. A refusal is thrown as `PeerError` EIO with the stub's own answer, a
 * line that is gone or is no stub's as `SessionError`.
 */
export class GdbClient {
  readonly #transport: Transport;
  readonly #timer: Timer;
  readonly #answerMs: number;
  readonly #onOutput: GdbClientOptions['onOutput'];
  readonly #onPacket: GdbClientOptions['onPacket'];
  readonly #decoder: FrameDecoder = new FrameDecoder({ dataBytesMax, runs: true });
  #acks = true;
  #pending: Pending | undefined;
  #gone: SessionError | undefined;
  #features: ReadonlyMap<string, string> = new Map();
  #continues: 'vCont' | 'c' = 'c';
  #steps = false;
  #description: RemoteDescription | undefined;
  #knowsRegisterPacket = true;

  private constructor(transport: Transport, options: GdbClientOptions) {
    this.#transport = transport;
    this.#timer = options.timer;
    this.#answerMs = options.answerMs ?? answerMsDefault;
    this.#onOutput = options.onOutput;
    this.#onPacket = options.onPacket;
    transport.onClose((reason) =>
      this.#fail(
        new SessionError(`the stub is gone${reason === undefined || reason === '' ? '' : `: ${reason}`}`),
      ),
    );
    transport.onData((bytes) => this.#decoder.push(bytes, (frame) => this.#take(frame)));
  }

  /**
   * Greets a stub: agrees on what both know, and reads what the target is. The target stands then. Throws
   * {@link SessionError} if no stub answers.
   */
  static async connect(transport: Transport, options: GdbClientOptions): Promise<GdbClient> {
    const client = new GdbClient(transport, options);
    try {
      await client.#greet();
    } catch (error) {
      client.close();
      throw error;
    }
    return client;
  }

  /** The longest data of a packet that the stub takes, in bytes. */
  get packetBytesMax(): number {
    const size = Number.parseInt(this.#features.get('PacketSize') ?? '', 16);
    return Number.isSafeInteger(size) && size >= 32 ? Math.min(size, dataBytesMax) : packetBytesDefault;
  }

  /** What the stub described; `undefined`: nothing. */
  get description(): RemoteDescription | undefined {
    return this.#description;
  }

  /** Whether the stub said that it knows a feature. */
  has(feature: string): boolean {
    const value = this.#features.get(feature);
    return value !== undefined && value !== '-';
  }

  // --- what can be asked -------------------------------------------------------------------------------------------

  /** Why the target stands. */
  async stopReason(): Promise<StopReply> {
    return parseStopReply(await this.#ask('?'));
  }

  async threads(): Promise<readonly ThreadId[]> {
    const threads: ThreadId[] = [];
    for (let word = 'qfThreadInfo'; ; word = 'qsThreadInfo') {
      const reader = new PacketReader(await this.#ask(word));
      if (!reader.skip('m')) return threads;
      do threads.push(parseThreadId(reader));
      while (reader.skip(','));
    }
  }

  /** Up to `lenBytes` bytes of memory; fewer only where the rest cannot be read. */
  async readMemory(address: bigint, lenBytes: number): Promise<Uint8Array> {
    const binary = this.has('binary-upload');
    const room = binary ? (this.packetBytesMax - 1) >> 1 : (this.packetBytesMax - 4) >> 1;
    const pieces: Uint8Array[] = [];
    let got = 0;
    while (got < lenBytes) {
      const want = Math.min(room, lenBytes - got);
      const data = await this.#refusable(
        formatMemoryRead({ address: address + BigInt(got), lenBytes: want }, { binary }),
      );
      const piece = binary ? parseBinaryReply(data) : hexToBytes(data);
      if (got === 0 && piece.length === lenBytes) return piece;
      pieces.push(piece);
      got += piece.length;
      if (piece.length < want) break;
    }
    const bytes = new Uint8Array(got);
    let at = 0;
    for (const piece of pieces) {
      bytes.set(piece, at);
      at += piece.length;
    }
    return bytes;
  }

  /** Value of a register by its number in the description; `undefined`: the stub does not tell. */
  async readRegister(number: number): Promise<Uint8Array | undefined> {
    if (this.#knowsRegisterPacket) {
      const data = await this.#ask(`p${number.toString(16)}`);
      if (data.length > 0 && !isError(data)) return isUnavailable(data) ? undefined : hexToBytes(data);
      this.#knowsRegisterPacket = false;
    }
    return this.#registerOfAll(number);
  }

  /** The program counter of the thread that stopped; `undefined`: not known. */
  async programCounter(stop: StopReply): Promise<bigint | undefined> {
    const name = programCounterName(this.#description?.architecture);
    const register = this.#description?.registers.find((candidate) => candidate.name === name);
    if (register === undefined) return undefined;
    const sent = stop.type === 'signal' ? stop.registers.get(register.number) : undefined;
    const bytes = sent ?? (await this.readRegister(register.number));
    return bytes === undefined ? undefined : littleEndian(bytes);
  }

  /**
   * Arms or removes a breakpoint. Gives "unknown" if the stub has not got the kind at all; throws `PeerError` if it
   * refuses this one.
   */
  async breakpoint(
    operation: 'insert' | 'remove',
    request: { readonly kind: BreakpointKind; readonly address: bigint; readonly lenBytes: number },
  ): Promise<'done' | 'unknown'> {
    const data = await this.#refusable(formatBreakpoint(operation, request));
    return data.length === 0 ? 'unknown' : 'done';
  }

  /** Lets everything run, until it stops. `signal` (GDB's number) is delivered to a thread first; 0: none. */
  async run(
    deliver: { readonly signal: number; readonly thread?: ThreadId | undefined } = { signal: 0 },
  ): Promise<StopReply> {
    const { signal, thread } = deliver;
    if (signal === 0) return this.#resume(this.#continues === 'vCont' ? 'vCont;c' : 'c');
    const digits = signal.toString(16).padStart(2, '0');
    if (this.#continues === 'c' || thread === undefined) return this.#resume(`C${digits}`);
    return this.#resume(`vCont;C${digits}:${this.formatThread(thread)};c`);
  }

  /** One instruction of one thread, the others standing. Throws `PeerError` if the stub has no steps. */
  async step(thread: ThreadId | undefined): Promise<StopReply> {
    if (this.#continues === 'vCont' && this.#steps) {
      return this.#resume(`vCont;s${thread === undefined ? '' : `:${this.formatThread(thread)}`}`);
    }
    return this.#resume('s');
  }

  /** Stops a target that runs: `run` then gives why it stands. */
  interrupt(): void {
    this.#transport.write(Uint8Array.of(interrupt));
  }

  /** A command of the stub's own, and what it prints. */
  async monitor(command: string): Promise<string> {
    const prefix = packetBytes('qRcmd,');
    const digits = bytesToHex(packetBytes(command));
    const data = new Uint8Array(prefix.length + digits.length);
    data.set(prefix);
    data.set(digits, prefix.length);
    const reply = packetText(await this.#refusable(data));
    return reply === 'OK' ? '' : packetText(hexToBytes(packetBytes(reply)));
  }

  /** Any other question, and its answer as it came: empty where the stub does not know the packet. */
  ask(packet: string): Promise<Uint8Array> {
    return this.#ask(packet);
  }

  /** A thread as this stub's packets name it. */
  formatThread(thread: ThreadId): string {
    return formatThreadId(thread, { multiprocess: this.has('multiprocess') });
  }

  /** Lets the target go, so that it runs on, and ends the session. A stub that is gone has been let go. */
  async detach(): Promise<void> {
    if (this.#gone === undefined)
      try {
        const multiprocess = this.has('multiprocess') ? await this.#someProcess() : undefined;
        await this.#ask(multiprocess === undefined ? 'D' : `D;${multiprocess.toString(16)}`);
      } catch (error) {
        if (!(error instanceof SessionError)) throw error;
      }
    this.close();
  }

  /** Ends the session without a word. May be called twice. */
  close(): void {
    this.#fail(new SessionError('the session was closed'));
    this.#transport.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  // --- inside ------------------------------------------------------------------------------------------------------

  async #greet(): Promise<void> {
    this.#transport.write(Uint8Array.of(ackByte));
    const features = packetText(await this.#ask(formatSupported(ourFeatures)));
    this.#features = parseFeatures(features);
    if (this.has('QStartNoAckMode') && packetText(await this.#ask('QStartNoAckMode')) === 'OK')
      this.#acks = false;
    const actions = packetText(await this.#ask('vCont?'));
    if (/^vCont(?:;[cCsStr])*;c(?:;|$)/.test(actions)) this.#continues = 'vCont';
    this.#steps = /;s(?:;|$)/.test(actions);
    const stop = await this.#ask('?');
    if (!isStop(stop)) throw new SessionError('the peer does not say why its target stands');
    if (this.has('qXfer:features:read'))
      this.#description = await parseTargetXml((annex) => this.#file(annex));
  }

  async #someProcess(): Promise<number | undefined> {
    const [first] = await this.threads();
    return first !== undefined && typeof first.process === 'number' ? first.process : undefined;
  }

  async #file(annex: string): Promise<string | undefined> {
    const room = Math.max(16, (this.packetBytesMax - 1) >> 1);
    let text = '';
    while (text.length <= fileBytesMost) {
      const reply = await this.#ask(
        `qXfer:features:read:${annex}:${text.length.toString(16)},${room.toString(16)}`,
      );
      const reader = new PacketReader(reply);
      const mark = reader.take();
      if (mark !== 'm' && mark !== 'l') return undefined;
      const piece = packetText(reader.rest());
      text += piece;
      if (mark === 'l') return text;
      if (piece === '') return undefined;
    }
    return undefined;
  }

  async #registerOfAll(number: number): Promise<Uint8Array | undefined> {
    const registers = this.#description?.registers ?? [];
    const wanted = registers.find((register) => register.number === number);
    if (wanted === undefined) return undefined;
    const at = registers.reduce(
      (sum, register) => (register.number < number ? sum + (register.bits >> 3) : sum),
      0,
    );
    const all = await this.#ask('g');
    const digits = all.subarray(2 * at, 2 * (at + (wanted.bits >> 3)));
    if (isError(all) || digits.length < wanted.bits >> 2 || isUnavailable(digits)) return undefined;
    return hexToBytes(digits);
  }

  async #resume(command: string): Promise<StopReply> {
    const reply = await this.#ask(command, { running: true });
    if (isError(reply))
      throw new PeerError('EIO', `the stub answers ${packetText(reply)} when the target is to run`);
    return parseStopReply(reply);
  }

  /** Asks what may be refused: the refusal is thrown. */
  async #refusable(data: Uint8Array): Promise<Uint8Array> {
    const reply = await this.#ask(data);
    if (isError(reply)) throw new PeerError('EIO', `the stub answers ${packetText(reply)}`);
    return reply;
  }

  #ask(data: Uint8Array | string, options?: { readonly running?: boolean }): Promise<Uint8Array> {
    if (this.#gone !== undefined) return Promise.reject(this.#gone);
    if (this.#pending !== undefined)
      return Promise.reject(new SessionError('a question was asked before the last was answered'));
    const bytes = typeof data === 'string' ? packetBytes(data) : data;
    this.#onPacket?.('out', bytes);
    return new Promise((resolve, reject) => {
      const pending: Pending = {
        resolve,
        reject,
        line: encodeFrame(bytes),
        running: options?.running === true,
        sends: 1,
        taken: !this.#acks,
        cancelTimer: () => undefined,
      };
      if (!pending.running) pending.cancelTimer = this.#timer(this.#answerMs, () => this.#late(pending));
      this.#pending = pending;
      this.#transport.write(pending.line);
    });
  }

  #late(pending: Pending): void {
    if (this.#pending !== pending) return;
    this.#fail(new SessionError(`the peer has not answered for ${this.#answerMs} ms`));
    this.#transport.close();
  }

  #take(frame: Frame): void {
    switch (frame.type) {
      case 'packet':
        if (this.#acks) this.#transport.write(Uint8Array.of(ackByte));
        // QEMU says why the target stands, unasked, to a client that comes while it runs; GDB ignores it likewise.
        if (this.#pending?.taken !== false) this.#answered(frame.data);
        return;
      case 'oversize':
      case 'corrupt':
        if (this.#acks) this.#transport.write(Uint8Array.of(nakByte));
        else this.#fail(new SessionError('what the peer sends is no packet'));
        return;
      case 'nak':
        this.#resend();
        return;
      case 'ack':
        if (this.#pending !== undefined) this.#pending.taken = true;
        return;
      case 'interrupt':
      case 'notification':
        return;
      default:
        frame satisfies never;
    }
  }

  #resend(): void {
    const pending = this.#pending;
    if (pending === undefined || !this.#acks) return;
    if (++pending.sends > sendsMost) this.#fail(new SessionError('the peer does not take our packets'));
    else this.#transport.write(pending.line);
  }

  #answered(data: Uint8Array): void {
    this.#onPacket?.('in', data);
    const pending = this.#pending;
    if (pending === undefined) return; // an answer to what nobody asked
    // Output of a target that runs: "O" and hex. "OK" is none.
    if (pending.running && data[0] === 0x4f && data[1] !== 0x4b) {
      this.#onOutput?.(packetText(hexToBytes(data.subarray(1))));
      return;
    }
    pending.cancelTimer();
    this.#pending = undefined;
    pending.resolve(data.slice());
  }

  #fail(error: SessionError): void {
    this.#gone ??= error;
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.cancelTimer();
    pending?.reject(this.#gone);
  }
}

/** No description is longer, in characters. */
const fileBytesMost = 4 << 20;

/** Whether an answer is a refusal: "E" and two digits, or "E." and text. */
export function isError(data: Uint8Array): boolean {
  return data[0] === 0x45 && (data.length === 3 || data[1] === 0x2e);
}

function isStop(data: Uint8Array): boolean {
  try {
    return parseStopReply(data).type === 'signal';
  } catch (error) {
    if (error instanceof PeerError) return false;
    throw error;
  }
}

function isUnavailable(digits: Uint8Array): boolean {
  return digits[0] === 0x78;
}

function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i] ?? 0);
  return value;
}
