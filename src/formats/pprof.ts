import type { ByteSink, ByteSource } from '../base/byte-source.ts';
import { ProtobufWriter } from './protobuf.ts';
import { changes, framesOf, functionsOf, readHits } from './read-hits.ts';
import type { MappingEntry } from './recording-entries.ts';
import type { ReadResult } from './recording-reader.ts';

/**
 * A pprof profile (not compressed; `pprof` takes both) with the sample types hits/count and changes/count and the labels
 * thread, tid, watch and access. Source: profile.proto of google/pprof.
 */
export function writePprof(source: ByteSource, sink: ByteSink): ReadResult {
  const hits: number[] = [];
  const changed: number[] = [];
  const mappings: MappingEntry[] = [];
  let lastNs = 0n;
  const result = readHits(source, {
    entry(entry) {
      if (entry.type === 'mapping' && entry.inode !== 0n) mappings.push(entry);
    },
    hit({ number, value, timeNs }) {
      hits[number] = (hits[number] ?? 0) + 1;
      if (changes(value)) changed[number] = (changed[number] ?? 0) + 1;
      if (timeNs > lastNs) lastNs = timeNs;
    },
  });
  const { header } = result;
  const profile = new ProtobufWriter();
  const strings = new Numbered<string>((text) => text, 0);
  strings.of('');
  const functions = new Numbered<{ name: string; file: string | undefined }>(
    ({ name, file }) => `${name}\0${file}`,
    1,
  );
  const valueType = (type: string, unit: string): ProtobufWriter =>
    new ProtobufWriter().number(1, strings.of(type)).number(2, strings.of(unit));
  profile.message(1, valueType('hits', 'count')).message(1, valueType('changes', 'count'));
  const locations = new Map<string, number>();
  const locationOf = (pid: number, frame: ReturnType<typeof framesOf>[number]): number => {
    const { location, kernel } = frame;
    const lines = functionsOf(location);
    const key = `${kernel ? 0 : pid},${location.address},${lines.map(({ line }) => line).join()}`;
    const known = locations.get(key);
    if (known !== undefined) return known;
    const id = locations.size + 1;
    locations.set(key, id);
    const mapping = mappings.findIndex(
      ({ pid: owner, start, lengthBytes }) =>
        owner === pid && location.address >= start && location.address < start + lengthBytes,
    );
    const message = new ProtobufWriter()
      .number(1, id)
      .number(2, kernel ? 0 : mapping + 1)
      .number(3, location.address);
    for (const { name, file, line } of lines)
      message.message(4, new ProtobufWriter().number(1, functions.of({ name, file })).number(2, line ?? 0));
    profile.message(4, message);
    return id;
  };
  for (const [number, count] of hits.entries()) {
    const access = result.accesses[number];
    if (access === undefined || count === undefined) continue;
    const { code, watch } = result.sites[access.site]!; // checked by the reader
    const sample = new ProtobufWriter()
      .packed(
        1,
        framesOf(access, result).map((frame) => locationOf(access.pid, frame)),
      )
      .packed(2, [count, changed[number] ?? 0]);
    const label = (key: string, text: string): void => {
      sample.message(3, new ProtobufWriter().number(1, strings.of(key)).number(2, strings.of(text)));
    };
    label('thread', access.comm);
    label('watch', header.watches[watch]?.text ?? '?');
    label('access', code.access);
    sample.message(3, new ProtobufWriter().number(1, strings.of('tid')).number(3, access.tid));
    profile.message(2, sample);
  }
  for (const [i, { start, lengthBytes, offset, path, buildId }] of mappings.entries()) {
    const message = new ProtobufWriter()
      .number(1, i + 1)
      .number(2, start)
      .number(3, start + lengthBytes);
    message
      .number(4, offset)
      .number(5, strings.of(path))
      .number(6, strings.of(buildId ?? ''));
    profile.message(3, message.number(7, 1).number(8, 1).number(9, 1).number(10, 1));
  }
  for (const [id, { name, file }] of functions.all()) {
    const message = new ProtobufWriter()
      .number(1, id)
      .number(2, strings.of(name))
      .number(3, strings.of(name));
    profile.message(5, message.number(4, strings.of(file ?? '')));
  }
  profile.number(9, header.wallClockNs);
  profile.number(10, lastNs > header.sinceNs ? lastNs - header.sinceNs : 0n);
  profile.message(11, valueType('hits', 'count')).number(12, 1);
  for (const [, text] of strings.all()) profile.text(6, text);
  sink.write(profile.take());
  return result;
}

/** Numbers for things, in the order in which they come. */
class Numbered<Thing> {
  readonly #key: (thing: Thing) => string;
  readonly #first: number;
  readonly #numbers = new Map<string, readonly [number, Thing]>();

  constructor(key: (thing: Thing) => string, first: number) {
    this.#key = key;
    this.#first = first;
  }

  of(thing: Thing): number {
    const key = this.#key(thing);
    let known = this.#numbers.get(key);
    if (known === undefined) {
      known = [this.#first + this.#numbers.size, thing];
      this.#numbers.set(key, known);
    }
    return known[0];
  }

  all(): Iterable<readonly [number, Thing]> {
    return this.#numbers.values();
  }
}
