// The program of the `probe` image, in busybox shell: a server that answers over HTTP and TCP, and a client that tries one
// address and prints a JSON line. A Node process per pod would take 40 MB; this takes less than one.

/**
 * `probe serve`: HTTP and TCP echo on the ports that PROBE_HTTP_PORT (80) and PROBE_TCP_PORTS (8080) say.
 * `probe connect tcp|http|ping HOST [PORT] [SECONDS]`: exit code 0 when it was answered, 1 when not. No UDP: Debian's
 * busybox has no program that speaks it.
 */
export const PROBE_SCRIPT = `#!/bin/sh
usage() { echo 'usage: probe serve | probe connect tcp|http|ping HOST [PORT] [SECONDS]' >&2; exit 2; }

serve() {
  hostname > /var/www/index.html
  for each in \${PROBE_TCP_PORTS-8080}; do nc -ll -p "$each" -e /bin/cat & done
  exec httpd -f -p "\${PROBE_HTTP_PORT:-80}" -h /var/www
}

# Answered by an echo of what was said, as an open connection alone may be a middle box.
connect() {
  case "$protocol" in
    tcp) [ "$(echo probe | timeout "$seconds" nc -w "$seconds" "$host" "$port" 2> /dev/null)" = probe ] ;;
    http) timeout "$seconds" wget -q -O /dev/null "http://$host:\${port:-80}/" 2> /dev/null ;;
    ping) ping -c 1 -W "$seconds" "$host" > /dev/null 2>&1 ;;
    *) usage ;;
  esac
}

[ "$1" = serve ] && serve
[ "$1" = connect ] && [ $# -ge 3 ] || usage
protocol=$2 host=$3 port=\${4:-} seconds=\${5:-1}
start=$(cut -d' ' -f1 /proc/uptime)
if connect; then ok=true; else ok=false; fi
end=$(cut -d' ' -f1 /proc/uptime)
ms=$(awk -v a="$start" -v b="$end" 'BEGIN { printf "%d", (b - a) * 1000 }')
printf '{"protocol":"%s","host":"%s","port":%s,"ok":%s,"ms":%s}\\n' "$protocol" "$host" "\${port:-null}" "$ok" "$ms"
[ "$ok" = true ]
`;
