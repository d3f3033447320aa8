import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { packageRoot } from '../platform/package.ts'

/** From package.json. */
export async function ownVersion(): Promise<string> {
  try {
    const text = await readFile(join(packageRoot(), 'package.json'), 'utf8')
    const { name, version } = JSON.parse(text) as { readonly name?: unknown; readonly version?: unknown }
    return name === 'conclave' && typeof version === 'string' ? version : 'unknown'
  } catch {
    return 'unknown'
  }
}
