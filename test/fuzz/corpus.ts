import { readdirSync, readFileSync } from 'node:fs'

const HERE = new URL('./corpus/', import.meta.url)
const VECTORS = new URL('../vectors/', import.meta.url)

/** A recording of a real link, by its file name: each file is one direction, as hex. */
export function recorded(prefix: string): Uint8Array[] {
  return readdirSync(HERE)
    .filter((name) => name.startsWith(prefix))
    .sort()
    .map((name) => new Uint8Array(Buffer.from(readFileSync(new URL(name, HERE), 'utf8').replace(/\s/g, ''), 'hex')))
}

function* stringsOf(value: unknown, field: string): Generator<string> {
  if (typeof value !== 'object' || value === null) return
  for (const [name, of] of Object.entries(value)) {
    if (name === field && typeof of === 'string') yield of
    else yield* stringsOf(of, field)
  }
}

/** All texts under `field` in a file of test/vectors. */
export function vectorTexts(file: string, field: string): string[] {
  return [...stringsOf(JSON.parse(readFileSync(new URL(file, VECTORS), 'utf8')), field)]
}

export function vectorBytes(file: string, field: string = 'hex'): Uint8Array[] {
  return vectorTexts(file, field).map((hex) => new Uint8Array(Buffer.from(hex, 'hex')))
}

export const utf8 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))
