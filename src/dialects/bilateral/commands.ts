import { Buffer } from 'node:buffer'

/** The eight commands. A message is [command][data]. */
export type Command = 'JOIN' | 'STAY' | 'PART' | 'TICK' | 'TOCK' | 'CALL' | 'CAST' | 'BACK'

/** Bytes, or text that travels as UTF-8. */
export type Payload = Uint8Array | string

const COMMANDS = ['JOIN', 'STAY', 'PART', 'TICK', 'TOCK', 'CALL', 'CAST', 'BACK'] as const
const BYTES: ReadonlyMap<Command, Buffer> = new Map(COMMANDS.map((command) => [command, Buffer.from(command)]))
const BY_NUMBER: ReadonlyMap<number, Command> = new Map(
  COMMANDS.map((command) => [numberOf(Buffer.from(command)), command]),
)

/** `undefined`: one that nobody knows. */
export function commandOf(frame: Buffer | undefined): Command | undefined {
  return frame?.length === 4 ? BY_NUMBER.get(numberOf(frame)) : undefined
}

function numberOf(bytes: Buffer): number {
  return (
    ((bytes[0] as number) << 24) | ((bytes[1] as number) << 16) | ((bytes[2] as number) << 8) | (bytes[3] as number)
  )
}

/** Bytes are quicker to send than text. */
export function bytesOf(command: Command): Buffer {
  return BYTES.get(command) as Buffer
}

/** The data of a TICK: a big-endian counter. */
export function tickData(counter: number): Buffer {
  const data = Buffer.alloc(8)
  data.writeBigUInt64BE(BigInt(counter))
  return data
}
