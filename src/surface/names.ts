/** A place that a kernel knows by name. */
export interface NamedPlace {
  readonly address: bigint;
  /** The process that it belongs to; 0: the kernel. */
  readonly pid: number;
  readonly isCode: boolean;
  /** Whose it is, as the module of a symbol. */
  readonly module: string;
}

/** Names of places, where the kernel itself knows them: no files are read for them. */
export interface Names {
  /** What names there are, for messages: a part of a sentence. */
  readonly hint: string;
  /** The place of a name; `undefined` if there is none. */
  find(name: string): NamedPlace | undefined;
  /** The name at or before an address of a process (0: the kernel), and how far behind it the address is. */
  at(
    pid: number,
    address: bigint,
  ): { readonly name: string; readonly offset: bigint; readonly module: string } | undefined;
}
