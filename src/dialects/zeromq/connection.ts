import type { Dealer, Subscriber } from 'zeromq'
import { ConclaveError } from '../../errors/index.ts'
import { redial } from '../zmq-redial.ts'
import { DIAL_ATTEMPTS, DIAL_RETRY_MS } from './limits.ts'

export interface ConnectionHandlers {
  onUp(): void
  /** It was up. It is connected again by itself. */
  onDown(): void
  /** Nobody answers there, several times in a row. */
  onFailed(error: ConclaveError): void
}

/** What libzmq tells of a socket that connects to one endpoint. */
export class ConnectionWatch {
  readonly #endpoint: string
  #up = false
  #failures = 0

  constructor(socket: Dealer | Subscriber, endpoint: string, handlers: ConnectionHandlers) {
    this.#endpoint = endpoint
    socket.events.on('handshake', () => {
      this.#up = true
      this.#failures = 0
      handlers.onUp()
    })
    socket.events.on('disconnect', () => {
      if (!this.#up) return
      this.#up = false
      handlers.onDown()
    })
    const failed = (): void => {
      if (this.#up || ++this.#failures < DIAL_ATTEMPTS) return
      this.#failures = 0
      handlers.onFailed(this.#nobody())
    }
    // Told once for each attempt that came to nothing; where libzmq makes no further one, we do.
    socket.events.on('connect:retry', failed)
    redial(socket, endpoint, DIAL_RETRY_MS, failed)
  }

  get up(): boolean {
    return this.#up
  }

  #nobody(): ConclaveError {
    return new ConclaveError(
      'DISCONNECTED',
      `No bus answers at ${this.#endpoint}: is it running, and are the keys those of that bus?`,
      { outcome: 'not-committed', data: { endpoint: this.#endpoint } },
    )
  }
}
