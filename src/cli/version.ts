import { readFile } from 'node:fs/promises'

/** From package.json: beside src/, or beside dist/. */
export async function ownVersion(): Promise<string> {
  for (const path of ['../../package.json', '../../../package.json']) {
    try {
      const { name, version } = JSON.parse(await readFile(new URL(path, import.meta.url), 'utf8')) as {
        readonly name?: unknown
        readonly version?: unknown
      }
      if (name === 'conclave' && typeof version === 'string') return version
    } catch {
      // Not there: the other place.
    }
  }
  return 'unknown'
}
