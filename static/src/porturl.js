// portURL is where a port of the session is reached: a host name of its own. "" where the page itself has only an address,
// below which there are no names.
export function portURL(port, session, at = location) {
  const loopback = at.hostname === "127.0.0.1" || at.hostname === "[::1]";
  const host = loopback ? "localhost" + (at.port && ":" + at.port) : at.host;
  if (/^[\d.]+(:\d+)?$|^\[/.test(host)) return "";
  return `${at.protocol === "https:" ? "https:" : "http:"}//${port}-${session}.${host}/`;
}
