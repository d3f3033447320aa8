import { Buffer } from 'node:buffer'

const DIGITS = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#'

/** ZeroMQ RFC 32: four bytes are five characters. */
export function z85(bytes: Buffer): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 4) {
    let value = bytes.readUInt32BE(at)
    let group = ''
    for (let count = 0; count < 5; count++) {
      group = (DIGITS[value % 85] as string) + group
      value = Math.floor(value / 85)
    }
    text += group
  }
  return text
}

const KEY_CHARACTERS = 40

/** The 32 bytes of a CURVE key; `undefined` for a text that is none. */
export function bytesOfKey(text: string): Buffer | undefined {
  if (text.length !== KEY_CHARACTERS) return undefined
  const bytes = Buffer.alloc((KEY_CHARACTERS / 5) * 4)
  for (let at = 0; at < KEY_CHARACTERS; at += 5) {
    let value = 0
    for (const character of text.slice(at, at + 5)) {
      const digit = DIGITS.indexOf(character)
      if (digit < 0) return undefined
      value = value * 85 + digit
    }
    // Five characters can say more than four bytes hold.
    if (value >= 2 ** 32) return undefined
    bytes.writeUInt32BE(value, (at / 5) * 4)
  }
  return bytes
}
