import fs from 'node:fs';
import type net from 'node:net';
import type { Transport } from '../gdb/transport.ts';

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
