import { setTimeout as pause } from 'node:timers/promises'
import type { Router } from 'zeromq'
import type { Switchboard } from './switchboard.ts'

/** After an error that cannot be. */
const PAUSE_MS = 100

/** Until the socket is closed. Neither an error of the socket nor one of `take` ends it. */
export async function receiveAll(
  socket: Router,
  take: (parts: Buffer[]) => void,
  board: Pick<Switchboard, 'failed'>,
): Promise<void> {
  while (!socket.closed) {
    try {
      take(await socket.receive())
    } catch (error) {
      if (socket.closed) return
      board.failed(error, 'A message could not be handled')
      await pause(PAUSE_MS, undefined, { ref: false })
    }
  }
}
