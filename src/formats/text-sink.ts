import type { ByteSink } from '../base/byte-source.ts';
import { encodeUtf8 } from '../base/text.ts';

const bufferChars = 1 << 18;

/** Text to bytes, gathered. */
export class TextSink {
  readonly #sink: ByteSink;
  #text: string = '';

  constructor(sink: ByteSink) {
    this.#sink = sink;
  }

  write(text: string): void {
    this.#text += text;
    if (this.#text.length >= bufferChars) this.flush();
  }

  /** Hands over what has gathered; the last call. */
  flush(): void {
    if (this.#text !== '') this.#sink.write(encodeUtf8(this.#text));
    this.#text = '';
  }
}
