import { createHash } from 'node:crypto'
import { goJson } from '../shared/go-json.ts'

/**
 * The key itself, or with parameters that belong to the subscription the key, ":" and base64url of the first 12 bytes of
 * SHA-256 over the JSON array of { name, value } sorted by name.
 */
export function subscriptionId(eventKey: string, params: Readonly<Record<string, string>> = {}): string {
  const list = Object.entries(params)
    .map(([name, value]) => ({ name, value }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  if (list.length === 0) return eventKey
  return `${eventKey}:${createHash('sha256').update(goJson(list)).digest().subarray(0, 12).toString('base64url')}`
}
