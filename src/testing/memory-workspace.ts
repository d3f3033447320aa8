import { openWorkspace } from '../election/index.ts'
import { OPEN_PLACE, type CustomPlace, type OpenedPlace, type PlaceOptions } from '../member/place.ts'
import { memoryPlatform, type MemoryProcess } from '../platform/index.ts'
import { memoryTransport } from '../transport/index.ts'

interface Joined {
  readonly process: MemoryProcess
  readonly abort: (reason: unknown) => void
}

/**
 * A workspace in this process: no files, no sockets, the same members. Each `join()` is a process of its own as far as
 * locks and links go, so elections, hand-overs and deaths can be tested in milliseconds.
 */
export interface MemoryWorkspace extends CustomPlace, AsyncDisposable {
  /** As SIGKILL: its lock is free, its links are broken, its own promises settle as `ABORTED`. */
  kill(member: { readonly id: string }): void
}

const FOLDER = '/workspace'

/** Disposing it kills whoever is still joined, or joining. */
export function memoryWorkspace(): MemoryWorkspace {
  const machine = memoryPlatform()
  const members = new Map<string, Joined>()
  machine.process().makeDirectory(FOLDER, 0o700)
  const kill = (id: string): void => {
    const joined = members.get(id)
    if (joined === undefined) return
    members.delete(id)
    joined.process.kill()
    joined.abort(new Error('killed by memoryWorkspace().kill'))
  }
  return {
    conclave: 'place',
    [OPEN_PLACE]({ app, create }: PlaceOptions): OpenedPlace {
      const process = machine.process()
      return {
        workspace: openWorkspace(process, FOLDER, { app, create }),
        transport: memoryTransport(process),
        pid: process.pid,
        joining: (memberId, abort) => members.set(memberId, { process, abort }),
      }
    },
    kill: ({ id }) => kill(id),
    [Symbol.asyncDispose]() {
      for (const id of [...members.keys()]) kill(id)
      return Promise.resolve()
    },
  }
}
