import type { Dealer, Subscriber } from 'zeromq'
import { ConclaveError } from '../../errors/index.ts'
import { DIAL_ATTEMPTS } from './limits.ts'

export interface ConnectionHandlers {
  onUp(): void
  /** It was up. libzmq connects again by itself. */
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
    // Told once for each attempt that came to nothing, whatever the reason.
    socket.events.on('connect:retry', () => {
      if (this.#up || ++this.#failures < DIAL_ATTEMPTS) return
      this.#failures = 0
      handlers.onFailed(this.#nobody())
    })
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
