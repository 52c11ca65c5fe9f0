// What writer and reader of recordings agree on; docs/recording-format.md.

/** The columns, in their order. */
export const columnNames = ['timeNs', 'access', 'old', 'new', 'flags'] as const;

/** The key of the schema's metadata that holds the version, and says that the stream is a recording. */
export const versionKey = 'trapline.recording';

/** The bit of column `flags` that says that a hit is a further iteration of the previous one's kernel copy. The others are `valueFlags`. */
export const continuesCopyFlag = 32;
