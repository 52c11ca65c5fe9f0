import { PeerError } from './errors.ts';

const digitsMost = 16;

/** Reads the data of a packet from left to right. What does not fit throws {@link PeerError} EINVAL. */
export class PacketReader {
  readonly #data: Uint8Array;
  #at = 0;

  constructor(data: Uint8Array) {
    this.#data = data;
  }

  get done(): boolean {
    return this.#at >= this.#data.length;
  }

  /** The next character; '' at the end. It stays. */
  peek(): string {
    const byte = this.#data[this.#at];
    return byte === undefined ? '' : String.fromCharCode(byte);
  }

  /** The next character; '' at the end. */
  take(): string {
    const character = this.peek();
    if (character !== '') this.#at++;
    return character;
  }

  /** Passes over `character` if it is next. */
  skip(character: string): boolean {
    if (this.peek() !== character) return false;
    this.#at++;
    return true;
  }

  expect(character: string): void {
    if (!this.skip(character)) throw this.error(`"${character}"`);
  }

  /** Nothing may come any more. */
  end(): void {
    if (!this.done) throw this.error('the end');
  }

  /** A number of one to sixteen hex digits. */
  hex(): bigint {
    let digits = '';
    while (/^[0-9a-fA-F]$/.test(this.peek())) digits += this.take();
    if (digits === '' || digits.length > digitsMost) throw this.error('a hex number');
    return BigInt(`0x${digits}`);
  }

  /** A hex number that a double holds exactly. */
  number(): number {
    const value = this.hex();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.error('a smaller number');
    return Number(value);
  }

  /** Text up to one of `marks`, which stays, or to the end. */
  until(marks: string): string {
    let text = '';
    while (!this.done && !marks.includes(this.peek())) text += this.take();
    return text;
  }

  /** All the rest, as it stands. */
  rest(): Uint8Array {
    const rest = this.#data.subarray(this.#at);
    this.#at = this.#data.length;
    return rest;
  }

  /** All the rest as text. */
  restText(): string {
    return this.until('');
  }

  error(wanted: string): PeerError {
    return new PeerError('EINVAL', `${wanted} is expected at byte ${this.#at} of a packet`);
  }
}

/** Text of characters below 0x100 as bytes. */
export function packetBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

const chunkCharacters = 8192;

/** Bytes as text, a character each. */
export function packetText(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += chunkCharacters)
    text += String.fromCharCode(...bytes.subarray(i, i + chunkCharacters));
  return text;
}

/** Bytes in front of others. */
export function prefixed(prefix: string, bytes: Uint8Array): Uint8Array {
  const all = new Uint8Array(prefix.length + bytes.length);
  all.set(packetBytes(prefix));
  all.set(bytes, prefix.length);
  return all;
}
