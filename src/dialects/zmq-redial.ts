import type { Dealer, Router, Subscriber } from 'zeromq'

/** What libzmq tells when it goes on by itself. */
const ALIVE = ['connect:retry', 'connect:delay', 'connect', 'handshake'] as const

/**
 * libzmq connects again by itself, but not after a breach of protocol: another program or a socket of another kind is
 * there, the keys do not fit, or a message is too long. It tells `disconnect` then, nothing after it, and has given the
 * address up for good. So it is given the address again.
 * @param onRedial called each time, after the pause
 */
export function redial(
  socket: Dealer | Router | Subscriber,
  endpoint: string,
  pauseMs: number,
  onRedial: () => void = () => {},
): void {
  let timer: NodeJS.Timeout | undefined
  const alive = (): void => {
    clearTimeout(timer)
    timer = undefined
  }
  for (const event of ALIVE) socket.events.on(event, alive)
  socket.events.on('disconnect', () => {
    clearTimeout(timer)
    const mine = setTimeout(() => {
      // A loop that was held up runs timers first: what libzmq told meanwhile is heard before the second check phase (rule B1).
      setImmediate(() => setImmediate(() => again(mine)))
    }, pauseMs).unref()
    timer = mine
  })
  const again = (mine: NodeJS.Timeout): void => {
    if (timer !== mine || socket.closed) return
    timer = undefined
    // Else libzmq takes it for connected there already.
    socket.disconnect(endpoint)
    socket.connect(endpoint)
    onRedial()
  }
}
