import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { requireProgram } from '../peers/index.ts'
import type { Place } from '../peers/peer.ts'
import type { Core, Processes } from '../support/processes.ts'

/** Where a peer's processes meet: a folder, and a broker for the one that has its own. */
export async function placeFor(processes: Processes, peer: string, core?: Core): Promise<Place> {
  const folder = processes.folder()
  return peer === 'nats' ? natsServer(processes, folder, core) : { folder }
}

/** A nats-server on a port that the system chose. */
async function natsServer(processes: Processes, folder: string, core: Core | undefined): Promise<Place> {
  const server = requireProgram('nats-server')
  const log = join(folder, 'log')
  const words = ['-a', '127.0.0.1', '-p', '-1', '--ports_file_dir', folder, '-l', log]
  const child = await processes.program(server, words, { core })
  for (let tries = 0; tries < 500 && child.exitCode === null; tries++) {
    const file = readdirSync(folder).find((name) => name.endsWith('.ports'))
    const text = file === undefined ? '' : readFileSync(join(folder, file), 'utf8')
    if (text.trimEnd().endsWith('}')) {
      const [url = ''] = (JSON.parse(text) as { readonly nats: readonly string[] }).nats
      return { folder, url, pid: child.pid ?? 0 }
    }
    await sleep(20)
  }
  throw new Error('nats-server did not say its port')
}
