// Addresses: many spellings, one meaning.

const OCTET = "(?:0|[1-9]\\d?|1\\d\\d|2[0-4]\\d|25[0-5])";
const IPV4 = new RegExp(`^${OCTET}(?:\\.${OCTET}){3}$`);
const GROUP = /^[\da-f]{1,4}$/i;
const MAPPED = "0:0:0:0:0:ffff:";

/** An address with all its parts, IPv4 in the form of IPv6 as IPv4: 2001:db8:0:0:0:0:0:1; null where it is none. */
export function spelledOut(text) {
  if (IPV4.test(text)) return text;
  const groups = groupsOf(text);
  if (groups === null) return null;
  const spelled = groups.map((group) => group.toString(16)).join(":");
  return spelled.startsWith(MAPPED) ? groups.slice(6).flatMap((group) => [group >> 8, group & 255]).join(".") : spelled;
}

/** The eight groups of an IPv6 address, as numbers; null where it is none. */
function groupsOf(text) {
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const [left, right = []] = halves.map((half) => (half ? half.split(":").flatMap(pairOf) : []));
  const missing = 8 - left.length - right.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  // Dots stand at the end alone.
  if (text.includes(".") && !IPV4.test(text.slice(text.lastIndexOf(":") + 1))) return null;
  const groups = [...left, ...Array(missing).fill("0"), ...right];
  return groups.every((group) => GROUP.test(group)) ? groups.map((group) => parseInt(group, 16)) : null;
}

/** A part as it is; one with dots as the two groups that it stands for. */
function pairOf(part, place, parts) {
  if (place < parts.length - 1 || !IPV4.test(part)) return [part];
  const octets = part.split(".").map(Number);
  return [0, 2].map((at) => (octets[at] * 256 + octets[at + 1]).toString(16));
}
