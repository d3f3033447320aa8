import { encodeLine } from '../../wire/lines.ts'

/** What Go's encoding/json escapes beside what JSON must: the existing peers write these six as \u003c and so on. */
const ESCAPED = /[<>&\u2028\u2029]/g

/**
 * One line with its LF, as the existing peers (Go) write it. Every JSON reader gives the same value back.
 * @throws `INVALID_REQUEST` for a value that JSON cannot hold
 */
export function goLine(value: unknown): string {
  return goEscaped(encodeLine(value))
}

/** The same without the LF. */
export function goJson(value: unknown): string {
  return goLine(value).slice(0, -1)
}

/** JSON text with Go's escapes: these signs stand in its strings only. */
export function goEscaped(json: string): string {
  return json.replace(ESCAPED, escape)
}

function escape(sign: string): string {
  return `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`
}
