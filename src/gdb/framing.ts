// Framing of the GDB remote protocol (GDB manual, "Remote Protocol", "Overview" and "Packet Acknowledgment"):
//
//   PACKET        ::= "$" DATA "#" HEX HEX
//   NOTIFICATION  ::= "%" DATA "#" HEX HEX
//   ACK           ::= "+"                          NAK ::= "-"
//   INTERRUPT     ::= 0x03
//   DATA          ::= ( BYTE | ESCAPED | RUN )*
//   ESCAPED       ::= "}" ( byte XOR 0x20 )        for "#" "$" "}" "*" as data
//   RUN           ::= "*" COUNT                    replies of a stub only: the byte before, COUNT - 29 times more
//
// The two hex digits are the sum modulo 256 of the bytes of DATA as they stand between the marks.

const dollar = 0x24;
const percent = 0x25;
const hash = 0x23;
const star = 0x2a;
const plus = 0x2b;
const minus = 0x2d;
const brace = 0x7d;
const interruptByte = 0x03;
const escapeBit = 0x20;
/** COUNT of a run is a printable character, this much above the number of repeats. */
const runBias = 29;
const runsMost = 0x7e - runBias;

/** Something that came over the line. */
export type Frame =
  /** The data without escapes and runs; a view that is valid only until the decoder is given more. */
  | { readonly type: 'packet' | 'notification'; readonly data: Uint8Array }
  | { readonly type: 'ack' | 'nak' | 'interrupt' }
  /** A packet whose sum is wrong, or whose data are no data. */
  | { readonly type: 'corrupt'; readonly reason: string }
  /** A packet with a right sum that is longer than was agreed. Its data are not kept. */
  | { readonly type: 'oversize'; readonly lenBytes: number };

/** What a decoder takes. */
export interface FramingOptions {
  /** The longest data of a packet, in bytes as they stand on the line. */
  readonly dataBytesMax: number;
  /** Whether runs are expanded: true for who reads a stub's replies. */
  readonly runs: boolean;
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** Sum modulo 256 of `bytes` from `start` to `end`. */
function checksum(bytes: Uint8Array, start: number, end: number): number {
  let sum = 0;
  for (let i = start; i < end; i++) sum += bytes[i] as number; // i is below the length
  return sum & 0xff;
}

/**
 * Finds the frames of a stream of bytes that arrives in pieces. Between frames anything but their first bytes is noise and
 * is passed over. Memory is bounded by the longest packet agreed.
 */
export class FrameDecoder {
  readonly #dataBytesMax: number;
  readonly #runs: boolean;
  /** Bytes of a frame that has begun. */
  #held: Uint8Array;
  #heldBytes = 0;
  /** Data that are not kept: their number and their sum. */
  #droppedBytes = 0;
  #droppedSum = 0;
  /** What of the frame comes next; for `sum`, the digits that are still to come are 2 - #digits. */
  #state: 'between' | 'data' | 'sum' = 'between';
  #notification = false;
  #digits = 0;
  #sum = 0;

  constructor(options: FramingOptions) {
    this.#dataBytesMax = options.dataBytesMax;
    this.#runs = options.runs;
    this.#held = new Uint8Array(Math.min(options.dataBytesMax, 4096));
  }

  /** Takes the next bytes of the stream and tells each frame that is complete. */
  push(bytes: Uint8Array, onFrame: (frame: Frame) => void): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#state === 'between') at = this.#begin(bytes, at, onFrame);
      else if (this.#state === 'data') at = this.#take(bytes, at, onFrame);
      else at = this.#takeDigit(bytes, at, onFrame);
    }
  }

  #begin(bytes: Uint8Array, at: number, onFrame: (frame: Frame) => void): number {
    const byte = bytes[at];
    if (byte === dollar || byte === percent) this.#start(byte === percent);
    else if (byte === plus) onFrame({ type: 'ack' });
    else if (byte === minus) onFrame({ type: 'nak' });
    else if (byte === interruptByte) onFrame({ type: 'interrupt' });
    return at + 1;
  }

  #start(notification: boolean): void {
    this.#state = 'data';
    this.#notification = notification;
    this.#heldBytes = 0;
    this.#droppedBytes = 0;
    this.#droppedSum = 0;
  }

  #take(bytes: Uint8Array, at: number, onFrame: (frame: Frame) => void): number {
    let end = bytes.indexOf(hash, at);
    const complete = end >= 0;
    if (!complete) end = bytes.length;
    // A packet that begins inside another: the first was cut off.
    const again = bytes.subarray(at, end).indexOf(dollar);
    if (again >= 0) {
      onFrame({ type: 'corrupt', reason: 'a packet begins inside another' });
      this.#start(false);
      return at + again + 1;
    }
    this.#hold(bytes, at, end);
    if (!complete) return end;
    this.#state = 'sum';
    this.#digits = 0;
    this.#sum = 0;
    return end + 1;
  }

  #hold(bytes: Uint8Array, start: number, end: number): void {
    const lenBytes = end - start;
    if (this.#droppedBytes > 0 || this.#heldBytes + lenBytes > this.#dataBytesMax) {
      if (this.#droppedBytes === 0) {
        this.#droppedSum = checksum(this.#held, 0, this.#heldBytes);
        this.#droppedBytes = this.#heldBytes;
      }
      this.#droppedSum += checksum(bytes, start, end);
      this.#droppedBytes += lenBytes;
      return;
    }
    if (this.#heldBytes + lenBytes > this.#held.length) {
      const wider = new Uint8Array(
        Math.min(this.#dataBytesMax, Math.max(this.#heldBytes + lenBytes, this.#held.length * 2)),
      );
      wider.set(this.#held.subarray(0, this.#heldBytes));
      this.#held = wider;
    }
    this.#held.set(bytes.subarray(start, end), this.#heldBytes);
    this.#heldBytes += lenBytes;
  }

  #takeDigit(bytes: Uint8Array, at: number, onFrame: (frame: Frame) => void): number {
    const digit = hexDigit(bytes[at] ?? 0);
    if (digit < 0) {
      this.#state = 'between';
      onFrame({ type: 'corrupt', reason: 'the sum is not two hex digits' });
      return at; // it may begin a frame
    }
    this.#sum = this.#sum * 16 + digit;
    if (++this.#digits === 2) {
      this.#state = 'between';
      onFrame(this.#finish());
    }
    return at + 1;
  }

  #finish(): Frame {
    const dropped = this.#droppedBytes > 0;
    const sum = dropped ? this.#droppedSum & 0xff : checksum(this.#held, 0, this.#heldBytes);
    if (sum !== this.#sum)
      return { type: 'corrupt', reason: `the sum is ${hexByte(sum)}, and ${hexByte(this.#sum)} was sent` };
    if (dropped) return { type: 'oversize', lenBytes: this.#droppedBytes };
    const data = expand(this.#held.subarray(0, this.#heldBytes), {
      runs: this.#runs,
      dataBytesMax: this.#dataBytesMax,
    });
    if (typeof data === 'string') return { type: 'corrupt', reason: data };
    return { type: this.#notification ? 'notification' : 'packet', data };
  }
}

function hexByte(value: number): string {
  return value.toString(16).padStart(2, '0');
}

/** Takes escapes and runs out; the same bytes if there are none. Gives what is wrong where the data are none. */
function expand(line: Uint8Array, options: FramingOptions): Uint8Array | string {
  const { runs, dataBytesMax } = options;
  if (line.indexOf(brace) < 0 && !(runs && line.indexOf(star) >= 0)) return line;
  let lenBytes = 0;
  for (let i = 0; i < line.length; i++) {
    if (line[i] === brace) {
      if (++i === line.length) return 'an escape ends the packet';
      lenBytes++;
    } else if (runs && line[i] === star) {
      const repeats = (line[++i] ?? 0) - runBias;
      if (lenBytes === 0 || repeats < 3 || repeats > runsMost) return 'a run repeats nothing';
      lenBytes += repeats;
    } else lenBytes++;
  }
  // A run is short on the line and long in memory.
  if (lenBytes > dataBytesMax * runsMost) return 'the runs are longer than any packet';
  const data = new Uint8Array(lenBytes);
  let to = 0;
  for (let i = 0; i < line.length; i++) {
    const byte = line[i] as number; // i is below the length
    if (byte === brace)
      data[to++] = (line[++i] as number) ^ escapeBit; // checked above
    else if (runs && byte === star) {
      const repeats = (line[++i] as number) - runBias; // checked above
      data.fill(data[to - 1] as number, to, to + repeats); // a run has a byte before it
      to += repeats;
    } else data[to++] = byte;
  }
  return data;
}

/** A packet, or a notification, with `data`, ready for the line. What would be taken for a mark is escaped. */
export function encodeFrame(data: Uint8Array, options?: { readonly notification?: boolean }): Uint8Array {
  let escapes = 0;
  for (let i = 0; i < data.length; i++) {
    const byte = data[i];
    if (byte === hash || byte === dollar || byte === brace || byte === star) escapes++;
  }
  const line = new Uint8Array(data.length + escapes + 4);
  line[0] = options?.notification === true ? percent : dollar;
  let end = 1;
  if (escapes === 0) {
    line.set(data, 1);
    end += data.length;
  } else
    for (let i = 0; i < data.length; i++) {
      const byte = data[i] as number; // i is below the length
      if (byte === hash || byte === dollar || byte === brace || byte === star) {
        line[end++] = brace;
        line[end++] = byte ^ escapeBit;
      } else line[end++] = byte;
    }
  const sum = checksum(line, 1, end);
  line[end] = hash;
  line[end + 1] = hexCode(sum >> 4);
  line[end + 2] = hexCode(sum & 15);
  return line;
}

function hexCode(digit: number): number {
  return digit < 10 ? 0x30 + digit : 0x57 + digit;
}

/** One acknowledgment, good or bad. */
export const ackByte: number = plus;
export const nakByte: number = minus;
/** What stops a running target. */
export const interrupt: number = interruptByte;
