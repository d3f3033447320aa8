/**
 * UTF-8 in and out of byte arrays. Node's Buffer methods work on any Uint8Array and are several times faster than
 * TextEncoder and TextDecoder for short texts (rule F10); where there is no Buffer the standard ones serve.
 */
interface NodeBufferPrototype {
  readonly utf8Write: (this: Uint8Array, text: string, offset: number, length: number) => number
  readonly utf8Slice: (this: Uint8Array, start: number, end: number) => string
  readonly copy: (this: Uint8Array, target: Uint8Array, targetStart: number, start: number, end: number) => number
}
interface NodeBufferConstructor {
  readonly prototype: NodeBufferPrototype
  allocUnsafeSlow(bytes: number): Uint8Array<ArrayBuffer>
  byteLength(text: string): number
}
declare const TextEncoder: new () => {
  encode(text: string): Uint8Array<ArrayBuffer>
  encodeInto(text: string, target: Uint8Array): { written: number }
}
declare const TextDecoder: new (
  encoding: string,
  options: { readonly ignoreBOM: boolean },
) => { decode(bytes: Uint8Array): string }

const NodeBuffer = (globalThis as { readonly Buffer?: NodeBufferConstructor }).Buffer
const utf8Write = NodeBuffer?.prototype.utf8Write
const utf8Slice = NodeBuffer?.prototype.utf8Slice
const nodeCopy = NodeBuffer?.prototype.copy
const encoder = new TextEncoder()
// A byte order mark is part of the text, as it is for Buffer.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** Writes all of `text`; the caller made room. @returns bytes written */
export function writeText(target: Uint8Array, text: string, offset: number): number {
  return utf8Write === undefined
    ? encoder.encodeInto(text, target.subarray(offset)).written
    : utf8Write.call(target, text, offset, target.length - offset)
}

/** Invalid sequences become U+FFFD. */
export function readText(bytes: Uint8Array, start: number, end: number): string {
  return utf8Slice === undefined ? decoder.decode(bytes.subarray(start, end)) : utf8Slice.call(bytes, start, end)
}

export function textBytes(text: string): number {
  return NodeBuffer === undefined ? encoder.encode(text).length : NodeBuffer.byteLength(text)
}

export function encodeText(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text)
}

export function copyBytes(from: Uint8Array, start: number, end: number, to: Uint8Array, offset: number): void {
  if (nodeCopy === undefined) to.set(from.subarray(start, end), offset)
  else nodeCopy.call(from, to, offset, start, end)
}

/** An array of its own whose bytes may be anything: the caller writes all of them. */
export function bareBytes(bytes: number): Uint8Array<ArrayBuffer> {
  return NodeBuffer === undefined ? new Uint8Array(bytes) : new Uint8Array(NodeBuffer.allocUnsafeSlow(bytes).buffer)
}
