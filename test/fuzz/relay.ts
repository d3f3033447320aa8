import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { endpointOf } from '../engine/local/lines.ts'
import { defer, type Scope } from '../support/index.ts'

export type Direction = 'member' | 'primary'

export interface Relay {
  /** Links that came. */
  readonly links: () => number
}

/** Stands between a folder's primary and members that join from now on; `pass` answers what goes on instead of a chunk. */
export async function relay(
  t: Scope,
  folder: string,
  pass: (from: Direction, bytes: Uint8Array, link: number) => Uint8Array,
): Promise<Relay> {
  const primary = endpointOf(folder)
  const path = join(dirname(primary), `${randomBytes(12).toString('base64url')}.sock`)
  let links = 0
  const sockets = new Set<Socket>()
  const server = createServer((member) => {
    const link = links++
    const upstream = connect(primary)
    const ends = [member, upstream] as const
    for (const [index, from] of ends.entries()) {
      const to = ends[1 - index]!
      sockets.add(from)
      from.on('data', (bytes) => to.write(pass(index === 0 ? 'member' : 'primary', bytes as Uint8Array, link)))
      from.on('error', () => {})
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  defer(t, () => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const file = join(folder, '.conclave', 'primary.json')
  writeFileSync(file, readFileSync(file, 'utf8').replace(primary, path))
  return { links: () => links }
}
