/** A file that is no recording, or one that cannot be read further: bad input from outside. */
export class RecordingError extends Error {
  override readonly name: string = 'RecordingError';
}
