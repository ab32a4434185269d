// The CNI plugin as a runtime calls it, in Perl: Node needs 100 ms of processor time to start, half an ADD, and Perl 10. It
// does what main.ts does and knows as little: environment and configuration go to the agent as they came, the answer comes
// back as it is. The agent writes it into its state directory; where there is no Perl, main.ts is called instead.

import { existsSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import {
  CNI_PROTOCOL_VERSION,
  CNI_SPEC_VERSIONS,
  CNI_TIMEOUT_MS,
  CniErrorCode,
} from '../../lib/protocol/cni.ts';

/** Every Debian has it (package perl-base); no module of its library is loaded. */
export const PERL = '/usr/bin/perl';

const SCRIPT = String.raw`#!${PERL}
# The CNI plugin of calico-ts, written by its agent: relays a CNI command to the agent's socket.
local $/;
my $config = <STDIN>;
my $version = $config =~ /"cniVersion"\s*:\s*"([0-9.]+)"/ ? $1 : '1.0.0';
sub quoted {
  my $text = defined $_[0] ? $_[0] : '';
  $text =~ s/([\x00-\x1f\x7f"\\])/sprintf('\u%04x', ord $1)/ge;
  return '"' . $text . '"';
}
sub fail {
  my $why = quoted("the calico-node agent $_[0]; is it running on this node?");
  print qq({"cniVersion":"$version","code":<TRY_AGAIN_LATER>,"msg":$why}\n);
  exit 1;
}
if (defined $ENV{CNI_COMMAND} && $ENV{CNI_COMMAND} eq 'VERSION') {
  print qq({"cniVersion":"$version","supportedVersions":<SPEC_VERSIONS>}\n);
  exit 0;
}
my $path = '<SOCKET>';
$path = $1 if $config =~ /"agent_socket"\s*:\s*"([^"\\]+)"/;
$path = $ENV{CALICO_CNI_SOCKET} if defined $ENV{CALICO_CNI_SOCKET};
$SIG{ALRM} = sub { fail("at $path did not answer within <TIMEOUT_SECONDS> s") };
$SIG{PIPE} = 'IGNORE';
alarm <TIMEOUT_SECONDS>;
my $agent;
# AF_UNIX, SOCK_STREAM; struct sockaddr_un.
socket($agent, 1, 1, 0) && connect($agent, pack('S a108', 1, $path)) or fail("at $path is not there ($!)");
my $line = '{"version":<PROTOCOL_VERSION>,"command":' . quoted($ENV{CNI_COMMAND})
  . ',"containerId":' . quoted($ENV{CNI_CONTAINERID}) . ',"netns":' . quoted($ENV{CNI_NETNS})
  . ',"ifName":' . quoted($ENV{CNI_IFNAME}) . ',"args":' . quoted($ENV{CNI_ARGS})
  . ',"config":' . quoted($config) . "}\n";
while (length $line) {
  my $sent = syswrite $agent, $line;
  last if !defined $sent;
  substr $line, 0, $sent, '';
}
my $answer = <$agent>;
$answer = '' if !defined $answer;
exit 0 if $answer eq qq({"version":<PROTOCOL_VERSION>}\n);
fail("at $path ended before it answered")
  if $answer !~ /^\{"version":<PROTOCOL_VERSION>,"(result|error)":(\{.*\})\}\n$/s;
print "$2\n";
exit($1 eq 'error' ? 1 : 0);
`;

/** The script with this host's socket in it. */
export function relayScript(socketPath: string): string {
  if (!/^[\w./:+-]+$/.test(socketPath))
    throw new Error(`a path that cannot stand in a script: ${socketPath}`);
  return SCRIPT.replaceAll('<TRY_AGAIN_LATER>', String(CniErrorCode.tryAgainLater))
    .replaceAll('<SPEC_VERSIONS>', JSON.stringify(CNI_SPEC_VERSIONS))
    .replaceAll('<PROTOCOL_VERSION>', String(CNI_PROTOCOL_VERSION))
    .replaceAll('<TIMEOUT_SECONDS>', String(CNI_TIMEOUT_MS / 1000))
    .replaceAll('<SOCKET>', socketPath);
}

/** Puts the plugin where runtimes find it. False where there is no Perl: then nothing is there. */
export async function installRelay(path: string, socketPath: string): Promise<boolean> {
  if (!existsSync(PERL)) {
    await rm(path, { force: true });
    return false;
  }
  // A runtime may be calling the one of an earlier agent: it is replaced whole.
  const fresh = `${path}.new`;
  await writeFile(fresh, relayScript(socketPath), { mode: 0o755 });
  await rename(fresh, path);
  return true;
}
