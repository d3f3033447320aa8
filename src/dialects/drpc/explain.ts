import { ConclaveError } from '../../errors/index.ts'
import { Assembler, readHeader, type ChunkHeader } from './chunks.ts'
import { HEADER_BYTES, MAX_MESSAGE_BYTES } from './limits.ts'
import { MessageCodec, type Call, type Response } from './messages.ts'
import { loadProtobuf } from './protobuf.ts'
import { statusName } from './status.ts'

/** What a packet says. A message is there when the packet ends one. */
export interface Explained {
  readonly header: ChunkHeader | undefined
  readonly call?: Call
  readonly response?: Response
  readonly statusName?: string
  /** What is wrong with it, as a server or client of ours would see it. */
  readonly fault?: string
}

/** Explains the packets of one direction of a connection, one after the other. */
export class Explainer {
  readonly #from: 'client' | 'server'
  readonly #codec: MessageCodec
  #assembler = new Assembler(MAX_MESSAGE_BYTES)

  private constructor(from: 'client' | 'server', codec: MessageCodec) {
    this.#from = from
    this.#codec = codec
  }

  /** @param from who sent the packets: clients send calls, servers answers */
  static async make(from: 'client' | 'server'): Promise<Explainer> {
    return new Explainer(from, new MessageCodec(await loadProtobuf()))
  }

  explain(packet: Uint8Array): Explained {
    const header = packet.length < HEADER_BYTES ? undefined : readHeader(packet, 0)
    try {
      const message = this.#assembler.push(packet, 0, packet.length)
      if (message === undefined) return { header }
      if (this.#from === 'client') return { header, call: this.#codec.decodeCall(message) }
      const response = this.#codec.decodeResponse(message)
      return { header, response, statusName: statusName(response.status) }
    } catch (error) {
      if (!ConclaveError.is(error)) throw error
      this.#assembler = new Assembler(MAX_MESSAGE_BYTES)
      return { header, fault: `${error.code}: ${error.message}` }
    }
  }
}

/** One packet that is a whole message. */
export async function explainPacket(packet: Uint8Array, from: 'client' | 'server'): Promise<Explained> {
  return (await Explainer.make(from)).explain(packet)
}
