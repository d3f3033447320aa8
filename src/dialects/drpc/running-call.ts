import type { ConclaveError } from '../../errors/index.ts'
import type { PeerCredentials } from '../../transport/index.ts'
import type { Call } from './messages.ts'
import type { CallContext, Session } from './types.ts'

/** A call while its handler runs: what the handler sees of it. */
export class RunningCall implements CallContext {
  readonly session: Session
  readonly module: number
  readonly method: number
  readonly sequence: bigint
  /** Made on first use: most handlers never look. */
  #controller: AbortController | undefined
  #reason: ConclaveError | undefined

  constructor(session: Session, { module, method, sequence }: Call) {
    this.session = session
    this.module = module
    this.method = method
    this.sequence = sequence
  }

  get caller(): PeerCredentials {
    return this.session.peer
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#reason !== undefined) this.#controller.abort(this.#reason)
    }
    return this.#controller.signal
  }

  abort(reason: ConclaveError): void {
    this.#reason = reason
    this.#controller?.abort(reason)
  }
}
