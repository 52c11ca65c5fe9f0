import fs from 'node:fs';
import net from 'node:net';
import { GdbServer } from '../gdb/gdb-server.ts';
import type { Transport } from '../gdb/transport.ts';
import { DebuggedScenario } from '../hosts/model/debugged-scenario.ts';
import { StepError } from '../scenario/values.ts';
import { UsageError } from './errors.ts';
import { socketTransport, stdioTransport } from './gdb-transports.ts';
import { eventLoopTurn, scenarioOf } from './model-session.ts';

/** The options of `trapline gdbserver`, as commander gives them. */
export interface GdbserverFlags {
  readonly on?: string;
  readonly listen?: string;
  readonly unix?: string;
  readonly stdio?: boolean;
}

const defaultListen = '127.0.0.1:1234';
const loopback = /^(?:127\.\d+\.\d+\.\d+|::1|localhost)$/;

interface Address {
  readonly host: string;
  readonly port: number;
}

/** HOST:PORT, :PORT or [V6]:PORT. */
function parseListen(text: string): Address {
  const parts = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text);
  const port = Number(parts?.[3] ?? Number.NaN);
  if (parts === null || !(port <= 65_535))
    throw new UsageError(`--listen ${text}: expected HOST:PORT, as ${defaultListen}`);
  return { host: parts[1] ?? (parts[2] === '' || parts[2] === undefined ? '127.0.0.1' : parts[2]), port };
}

/**
 * `trapline gdbserver`: a simulated machine under the kernel debugger, for GDB and lldb. One client at a time; when it goes,
 * the next may come, until the scenario is done or Ctrl-C. @returns 0; 130 after Ctrl-C.
 */
export async function gdbserverCommand(flags: GdbserverFlags): Promise<number> {
  if (flags.on === undefined) throw new UsageError('gdbserver wants --on model SCENARIO');
  const ways = [flags.listen, flags.unix, flags.stdio].filter((each) => each !== undefined);
  if (ways.length > 1) throw new UsageError('--listen, --unix and --stdio exclude each other');
  const address = parseListen(flags.listen ?? defaultListen);
  const scenario = scenarioOf(flags.on);
  let debugged: DebuggedScenario;
  try {
    debugged = await DebuggedScenario.start(scenario, { turn: eventLoopTurn });
  } catch (error) {
    if (error instanceof StepError) throw new UsageError(error.message);
    throw error;
  }
  try {
    if (flags.stdio === true) {
      await serve(stdioTransport(), debugged);
      return 0;
    }
    return await listen(debugged, flags.unix ?? address);
  } finally {
    debugged.close();
  }
}

function say(text: string): void {
  fs.writeSync(2, `trapline: ${text}\n`);
}

/** One client, until it is gone. */
async function serve(transport: Transport, debugged: DebuggedScenario): Promise<void> {
  const server = new GdbServer(transport, debugged.target);
  try {
    await server.ended;
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    say(error.message);
    server.close();
  }
}

async function listen(debugged: DebuggedScenario, at: Address | string): Promise<number> {
  let busy = false;
  let over: (status: number) => void = () => undefined;
  let failed: (error: unknown) => void = () => undefined;
  const ended = new Promise<number>((resolve, reject) => {
    over = resolve;
    failed = reject;
  });
  const sockets: Set<net.Socket> = new Set();
  const server = net.createServer((socket) => {
    if (busy) {
      say('a second client was turned away: there is one at a time');
      socket.destroy();
      return;
    }
    busy = true;
    sockets.add(socket);
    serve(socketTransport(socket), debugged)
      .then(() => {
        busy = false;
        sockets.delete(socket);
        if (debugged.ended) over(0);
        else say('the client is gone; the machine stands and waits for the next');
      })
      .catch(failed);
  });
  server.once('error', (error: NodeJS.ErrnoException) => {
    const place = typeof at === 'string' ? at : `${at.host}:${at.port}`;
    failed(
      new UsageError(
        error.code === 'EADDRINUSE'
          ? `${place} is in use by another process`
          : `cannot listen on ${place}: ${error.code ?? error.message}`,
      ),
    );
  });
  const interrupted = (): void => over(130);
  process.once('SIGINT', interrupted);
  process.once('SIGTERM', interrupted);
  server.on('listening', () => announce(server, at));
  if (typeof at === 'string') server.listen(at);
  else server.listen(at.port, at.host);
  try {
    return await ended;
  } finally {
    process.off('SIGINT', interrupted);
    process.off('SIGTERM', interrupted);
    server.close();
    for (const socket of sockets) socket.destroy();
  }
}

function announce(server: net.Server, at: Address | string): void {
  if (typeof at === 'string') {
    say(`the machine stands; gdb -ex 'target remote ${at}'`);
    return;
  }
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : at.port;
  const host = at.host.includes(':') ? `[${at.host}]` : at.host;
  say(`the machine stands; gdb -ex 'target remote ${host}:${port}'`);
  if (!loopback.test(at.host))
    say(
      `whoever reaches ${host}:${port} can read, change and run this simulated machine; there is no password`,
    );
}
