import { ConclaveError } from '../../errors/index.ts'
import { TARGET, type Frame } from '../../wire/frame.ts'
import type { Offer, Port } from './port.ts'

/** Where the router finds ports; the hub owns them. */
export interface Directory {
  primary(): Port
  bySlot(slot: number): Port | undefined
  byId(id: string): Port | undefined
  byName(name: string): readonly Port[]
  members(): Iterable<Port>
  now(): number
  /** True while members of the last term may still be on their way (rule B14). */
  settling(): boolean
}

export type Route = { readonly port: Port; readonly offer: Offer | undefined } | 'wait' | ConclaveError

/** Who offers what, and whom a call is for. */
export class Routes {
  readonly #directory: Directory
  /** Who offers a method, in the order they came. */
  readonly #offers = new Map<string, Port[]>()
  #turn = 0

  constructor(directory: Directory) {
    this.#directory = directory
  }

  add(port: Port, offer: Offer): void {
    port.offers.set(offer.method, offer)
    const ports = this.#offers.get(offer.method)
    if (ports === undefined) this.#offers.set(offer.method, [port])
    else if (!ports.includes(port)) ports.push(port)
  }

  remove(port: Port, method: string): void {
    if (!port.offers.delete(method)) return
    const ports = this.#offers.get(method)?.filter((other) => other !== port) ?? []
    if (ports.length > 0) this.#offers.set(method, ports)
    else this.#offers.delete(method)
  }

  /** Members that offer a method. */
  offering(method: string): readonly Port[] {
    return this.#offers.get(method) ?? []
  }

  /** @param target id or name, by the target mode of the frame */
  find(method: string, target: string, frame: Frame): Route {
    const directory = this.#directory
    switch (frame.c) {
      case TARGET.DEFAULT:
        if (this.offering(method).some((port) => port.offers.get(method)!.to === 'any')) return this.#any(method)
        // Whoever offers it to any may be on the way.
        if (this.offering(method).length === 0 && directory.settling()) return 'wait'
        return this.#to(directory.primary(), method)
      case TARGET.PRIMARY:
        return this.#to(directory.primary(), method)
      case TARGET.ANY:
        return this.#any(method)
      case TARGET.SLOT:
      case TARGET.ID: {
        const port = frame.c === TARGET.SLOT ? directory.bySlot(frame.a) : directory.byId(target)
        if (port?.kind === 'member') return this.#to(port, method)
        if (directory.settling() && frame.c === TARGET.ID) return 'wait'
        const named = frame.c === TARGET.SLOT ? `in slot ${frame.a}` : `with id ${target}`
        return notFound(`No member ${named} is here: it left. \`conclave status\` lists who is.`)
      }
      case TARGET.NAME: {
        const [port, ...others] = directory.byName(target)
        if (others.length > 0) {
          const text = `${others.length + 1} members are called ${target}: call one by its id, or all with gather().`
          return new ConclaveError('AMBIGUOUS_TARGET', text, { outcome: 'not-committed' })
        }
        if (port !== undefined) return this.#to(port, method)
        if (directory.settling()) return 'wait'
        return notFound(`No member called ${target} is here. \`conclave status\` lists who is.`)
      }
      default:
        return new ConclaveError('INVALID_REQUEST', `Target mode ${frame.c} is not known to this version.`, {
          outcome: 'not-committed',
        })
    }
  }

  #to(port: Port, method: string): Route {
    const offer = port.offers.get(method)
    return offer === undefined || offer.running < offer.concurrency ? { port, offer } : 'wait'
  }

  /** The member with the fewest calls in flight among those that offer it, others before the primary. */
  #any(method: string): Route {
    const ports = this.offering(method)
    if (ports.length === 0) {
      if (this.#directory.settling()) return 'wait'
      const text = `No member offers ${method}: start one that does, or check the name with \`conclave status\`.`
      return new ConclaveError('METHOD_NOT_FOUND', text, { outcome: 'not-committed' })
    }
    const primary = this.#directory.primary()
    const start = this.#turn++ % ports.length
    let best: Port | undefined
    for (let i = 0; i < ports.length; i++) {
      const port = ports[(start + i) % ports.length]!
      const offer = port.offers.get(method)!
      if (offer.running >= offer.concurrency) continue
      if (best === undefined || (best === primary) !== (port === primary)) {
        if (best === undefined || best === primary) best = port
      } else if (port.serving.size < best.serving.size) best = port
    }
    return best === undefined ? 'wait' : { port: best, offer: best.offers.get(method) }
  }
}

function notFound(text: string): ConclaveError {
  return new ConclaveError('MEMBER_NOT_FOUND', text, { outcome: 'not-committed' })
}
