// Asks for an echo from within a workload's namespace every 2 ms, from before it has an interface until the first answer:
// the time of that is when the first packet got through, without the start of a program in it.

import type { LabHost } from '../../lab/host.ts';

/** Raw ICMP, as root: a namespace without an interface refuses each packet, which is no reason to end. */
const SCRIPT = String.raw`
$| = 1;
my $to = pack('S n C4 x8', 2, 0, split /\./, $ARGV[0]);
my $socket;
socket($socket, 2, 3, 1) or die "no ICMP socket: $!";
my $id = $$ & 0xffff;
my $sum = 0x0800 + $id;
my $echo = pack('C C n n n', 8, 0, ~(($sum & 0xffff) + ($sum >> 16)) & 0xffff, $id, 0);
alarm 60;
print "probing\n";
while (1) {
  send $socket, $echo, 0, $to;
  my $ready = '';
  vec($ready, fileno($socket), 1) = 1;
  next unless select $ready, undef, undef, 0.002;
  recv $socket, my $answer, 1500, 0;
  my ($type, undef, undef, $from) = unpack 'x20 C C n n', $answer;
  last if defined $from && $type == 0 && $from == $id;
}
print "answered\n";
sleep 60;
`;
const READY_MS = 30_000;

export interface EchoProber {
  /** Monotonic milliseconds at which the first answer was there. */
  readonly answered: Promise<number>;
  stop(): Promise<void>;
}

/** Resolves when it is asking. */
export async function startEchoProber(host: LabHost, netns: string, to: string): Promise<EchoProber> {
  const probing = Promise.withResolvers<void>();
  let answeredAt = Number.NaN;
  const service = host.spawn(['ip', 'netns', 'exec', netns, 'perl', '-e', SCRIPT, to], {
    readyWhen: {
      kind: 'line',
      matches: (line) => {
        if (line === 'probing') probing.resolve();
        if (line === 'answered') answeredAt = performance.now();
        return line === 'answered';
      },
    },
    readyTimeoutMs: READY_MS,
  });
  const answered = service.then(() => answeredAt);
  await Promise.race([probing.promise, answered]);
  const stop = async (): Promise<void> => void (await (await service).stop());
  return { answered, stop };
}
