/**
 * The `id` of a QMP message comes back as it was sent. Clients count with 64-bit integers, and JSON numbers as JavaScript reads
 * them are exact only up to 2^53: an id that would come back as another number is kept as text.
 */

/** A number of so many digits, or with an exponent, can be another one as a double. */
const LONG_NUMBER = /\d{16}|\d[eE]/;
const STRING_OR_SPACE = /("(?:[^"\\]|\\.)*")|\s+/g;
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]/g;

/** The id on one line as it was written; undefined where its value says all. @param json valid JSON of one message */
export function exactId(json: string): string | undefined {
  if (!LONG_NUMBER.test(json)) return undefined;
  const text = memberText(json, 'id');
  return text !== undefined && LONG_NUMBER.test(text) ? text.replace(STRING_OR_SPACE, '$1') : undefined;
}

/** What stands behind a key of the outermost object. */
function memberText(json: string, name: string): string | undefined {
  let depth = 0;
  let last = '';
  let from = -1;
  for (const { 0: token, index } of json.matchAll(TOKEN)) {
    if (token === '{' || token === '[') depth++;
    const ends = token === ',' || token === '}';
    if (from >= 0 && depth === 1 && ends) return json.slice(from, index);
    if (token === '}' || token === ']') depth--;
    if (token === ':' && depth === 1 && from < 0 && JSON.parse(last) === name) from = index + 1;
    if (token[0] === '"') last = token;
  }
  return undefined;
}
