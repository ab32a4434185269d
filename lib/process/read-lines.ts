// Framing of every link between processes that is "a JSON message a line" (docs/interfaces.md): cuts a stream into lines.

import type { Socket } from 'node:net';

const NEWLINE = 0x0a;

/** Calls `onLine` with each line, without its end. A line of more than `maxOctets` ends the connection. */
export function readLines(socket: Socket, maxOctets: number, onLine: (line: string) => void): void {
  let chunks: Buffer[] = [];
  let size = 0;
  socket.on('data', (data: Buffer) => {
    let rest = data;
    for (let end = rest.indexOf(NEWLINE); end >= 0; end = rest.indexOf(NEWLINE)) {
      if (size + end > maxOctets) break;
      const line = Buffer.concat([...chunks, rest.subarray(0, end)]).toString('utf8');
      chunks = [];
      size = 0;
      rest = rest.subarray(end + 1);
      onLine(line);
    }
    if (rest.length > 0) chunks.push(rest);
    size += rest.length;
    if (size <= maxOctets) return;
    chunks = [];
    socket.destroy();
  });
}
