import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import type { Transport } from '../gdb/transport.ts';
import { refusalError } from '../watch/errors.ts';
import { UsageError } from './errors.ts';

/** A socket as a line to a peer. Small packets are sent at once. */
export function socketTransport(socket: net.Socket): Transport {
  let reason: string | undefined;
  socket.setNoDelay(true);
  socket.on('error', (error) => {
    reason = error.message;
  });
  return {
    write: (bytes) => {
      if (!socket.destroyed) socket.write(bytes);
    },
    onData: (take) => {
      socket.on('data', take);
    },
    onClose: (told) => {
      socket.once('close', () => told(reason));
    },
    close: () => {
      // What was written is still sent.
      socket.end();
      socket.once('end', () => socket.destroy());
      socket.resume();
    },
  };
}

const stdin = 0;
const stdout = 1;

/** Standard input and output as a line to a peer: for `target remote | trapline gdbserver --stdio ...`. */
export function stdioTransport(): Transport {
  const input = fs.createReadStream('', { fd: stdin, autoClose: false });
  return {
    write: (bytes) => {
      try {
        for (let at = 0; at < bytes.length; ) at += fs.writeSync(stdout, bytes, at);
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'EPIPE')) throw error;
      }
    },
    onData: (take) => {
      input.on('data', (piece) => take(typeof piece === 'string' ? Buffer.from(piece) : piece));
    },
    onClose: (told) => {
      input.once('error', (error) => told(error.message));
      input.once('end', () => told(undefined));
    },
    close: () => {
      input.destroy();
    },
  };
}

/** Nobody waits longer for a peer to take a connection, in milliseconds. */
const connectMs = 10_000;

/**
 * A line to the stub that `--remote` names: HOST:PORT, [V6]:PORT, unix:PATH, or "| COMMAND" for a command's standard input
 * and output. Throws `UsageError` of what is none of these, `WatchError` where nobody answers.
 */
export async function connectRemote(remote: string): Promise<Transport> {
  if (remote.startsWith('|')) return commandTransport(remote.slice(1).trim());
  const at = remotePlace(remote);
  const socket = 'path' in at ? net.connect(at.path) : net.connect(at.port, at.host);
  const tooLate = setTimeout(() => socket.destroy(new Error('no answer')), connectMs);
  try {
    await once(socket, 'connect');
  } catch (error) {
    throw refusalError(`no stub at ${remote}: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    clearTimeout(tooLate);
  }
  return socketTransport(socket);
}

function remotePlace(
  remote: string,
): { readonly path: string } | { readonly host: string; readonly port: number } {
  if (remote.startsWith('unix:') && remote.length > 5) return { path: remote.slice(5) };
  const parts = /^(?:tcp:)?(?:\[([^\]]+)\]|([^:|]*)):(\d{1,5})$/.exec(remote);
  const port = Number(parts?.[3] ?? Number.NaN);
  if (parts === null || !(port <= 65_535))
    throw new UsageError(`--remote ${remote}: expected HOST:PORT, unix:PATH or '| COMMAND'`);
  return { host: parts[1] ?? (parts[2] === '' || parts[2] === undefined ? '127.0.0.1' : parts[2]), port };
}

/** A shell command as a peer. It is in a session of its own: the terminal's Ctrl-C is for us. */
function commandTransport(command: string): Transport {
  if (command === '') throw new UsageError("--remote '|' wants a command behind it");
  const child = spawn('/bin/sh', ['-c', command], { stdio: ['pipe', 'pipe', 'inherit'], detached: true });
  child.stdin.on('error', () => undefined); // its end is told by the exit
  return {
    write: (bytes) => {
      if (child.stdin.writable) child.stdin.write(bytes);
    },
    onData: (take) => {
      child.stdout.on('data', take);
    },
    onClose: (told) => {
      child.once('error', (error) => told(error.message));
      child.once('close', (status, signal) => told(`the command ended (${signal ?? status ?? '?'})`));
    },
    close: () => {
      child.stdin.end();
      child.stdout.resume();
      child.unref();
    },
  };
}
