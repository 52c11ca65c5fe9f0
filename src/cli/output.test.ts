import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { Output, openOutput } from './output.ts';

afterEach(() => vi.restoreAllMocks());

const failure = (code: string): Error => Object.assign(new Error(code), { code, syscall: 'write' });

/** Takes the place of write(2): each call gets the next answer, a number of bytes or an errno; then all is taken. */
function fakeWrites(answers: (number | string)[]): { text: () => string; calls: () => number } {
  const chunks: Buffer[] = [];
  let calls = 0;
  const write = (_fd: number, bytes: Buffer, offset: number): number => {
    calls++;
    const answer = answers.shift() ?? bytes.length - offset;
    if (typeof answer === 'string') throw failure(answer);
    const taken = Math.min(answer, bytes.length - offset);
    chunks.push(Buffer.from(bytes.subarray(offset, offset + taken)));
    return taken;
  };
  vi.spyOn(fs, 'writeSync').mockImplementation(write as typeof fs.writeSync); // one of its signatures
  return { text: () => Buffer.concat(chunks).toString(), calls: () => calls };
}

test('text gathers until it is flushed, and is written once', () => {
  const fake = fakeWrites([]);
  const out = new Output(1);
  out.line('one');
  out.write('two');
  expect(fake.calls()).toBe(0);
  out.flush();
  out.flush();
  expect([fake.text(), fake.calls()]).toEqual(['one\ntwo', 1]);
});

test('much text is written before it is flushed', () => {
  const fake = fakeWrites([]);
  const out = new Output(1);
  for (let i = 0; i < 1000; i++) out.line('x'.repeat(99));
  expect(fake.text().length).toBeGreaterThan(50_000);
  out.flush();
  expect(fake.text().length).toBe(100_000);
});

test('a write that takes a part is gone on with, between the bytes of a character too', () => {
  const fake = fakeWrites([1, 1, 2, 0, 3]);
  const out = new Output(1);
  out.line('äöü€😀');
  out.flush();
  expect(fake.text()).toBe('äöü€😀\n');
});

test('a full pipe in non-blocking mode (EAGAIN) is waited for', () => {
  const fake = fakeWrites(['EAGAIN', 2, 'EAGAIN', 'EAGAIN']);
  const out = new Output(1);
  out.line('hello');
  out.flush();
  expect([fake.text(), out.broken]).toEqual(['hello\n', false]);
});

test('a reader that has gone (EPIPE) is noticed, and nothing is written any more', () => {
  const fake = fakeWrites([2, 'EPIPE']);
  const out = new Output(1);
  out.line('hello');
  out.flush();
  expect(out.broken).toBe(true);
  const before = fake.calls();
  out.line('more');
  out.flush();
  expect([fake.calls(), fake.text()]).toEqual([before, 'he']);
});

test('any other failure is thrown', () => {
  fakeWrites(['ENOSPC']);
  const out = new Output(1);
  out.line('hello');
  expect(() => out.flush()).toThrow('ENOSPC');
});

test('a real pipe whose reader has gone is broken', () => {
  // The shell makes the pipe: Node's own handles would close with it.
  const script = `import { Output } from ${JSON.stringify(new URL('../../dist/cli/output.js', import.meta.url).href)};
    const out = new Output(1);
    out.line("hello");
    out.flush();
    for (let i = 0; i < 100_000 && !out.broken; i++) { out.line("anybody there"); out.flush(); }
    process.exit(out.broken ? 7 : 8);`;
  const command = `(${process.execPath} --input-type=module -e '${script}'; echo $? >&2) | head -c 1`;
  const done = spawnSync('sh', ['-c', command], { encoding: 'utf8' });
  expect([done.stdout, done.stderr.trim()]).toEqual(['h', '7']);
});

test('a file keeps what is in it until results come', () => {
  inFolder((folder) => {
    const file = path.join(folder, 'out.txt');
    fs.writeFileSync(file, 'something longer that was there\n');
    const { out, begin } = openOutput(file);
    expect(fs.readFileSync(file, 'utf8')).toBe('something longer that was there\n');
    begin();
    out.line('results');
    out.flush();
    expect(fs.readFileSync(file, 'utf8')).toBe('results\n');
  });
});

test('a file is left as it was when nothing comes, and gone if it was not there', () => {
  inFolder((folder) => {
    const old = path.join(folder, 'old.txt');
    fs.writeFileSync(old, 'precious\n');
    openOutput(old).abandon();
    expect(fs.readFileSync(old, 'utf8')).toBe('precious\n');
    openOutput(path.join(folder, 'new.txt')).abandon();
    expect(fs.readdirSync(folder)).toEqual(['old.txt']);
  });
});

test('a file that cannot be written is refused at once', () => {
  inFolder((folder) => {
    expect(() => openOutput(path.join(folder, 'none', 'out.txt'))).toThrow('ENOENT');
    expect(() => openOutput(folder)).toThrow('EISDIR');
  });
});

test('without a file it is standard output', () => {
  const fake = fakeWrites([]);
  const { out, begin } = openOutput(undefined);
  begin();
  out.line('to standard output');
  out.flush();
  expect(fake.text()).toBe('to standard output\n');
});

function inFolder(use: (folder: string) => void): void {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'trapline-output-'));
  try {
    use(folder);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}
