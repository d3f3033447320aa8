import { statSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join as path } from 'node:path'
import { KIND, type Frame } from '../../src/wire/frame.ts'
import { FrameReader } from '../../src/wire/reader.ts'
import { endpointOf } from '../engine/local/lines.ts'
import { defer, until, type Scope } from '../support/index.ts'
import { encode, frameOf } from '../wire/support.ts'

/** A peer of frames, by hand. */
export class FramePeer {
  readonly frames: Frame[] = []
  readonly socket: Socket
  closed = false

  constructor(t: Scope, folder: string) {
    this.socket = connect(endpointOf(folder))
    const reader = new FrameReader((frame) => this.frames.push(frame.clone()))
    this.socket.on('data', (bytes) => reader.push(bytes as Uint8Array, 0, bytes.length))
    this.socket.on('error', () => {})
    this.socket.on('close', () => (this.closed = true))
    defer(t, () => this.socket.destroy())
  }

  send(...frames: readonly Parameters<typeof frameOf>[0][]): void {
    this.socket.write(encode(...frames.map(frameOf)))
  }

  async next(kind: number): Promise<Frame> {
    const at = await until(
      () => this.frames.findIndex((frame) => frame.kind === kind) + 1,
      `a frame of kind ${kind.toString(16)}`,
    )
    return this.frames.splice(at - 1, 1)[0]!
  }

  gone(): Promise<unknown> {
    return until(() => this.closed, 'the link to close')
  }
}

/** What a member of the folder says first. */
export function helloOf(folder: string): Readonly<Record<string, unknown>> {
  const { dev, ino } = statSync(path(folder, '.conclave', 'lock'), { bigint: true })
  return {
    protocol: [1, 1],
    workspace: `${dev}:${ino}`,
    id: 'B'.repeat(22),
    name: 'raw',
    pid: 1,
    term: 0,
    version: 0,
    minVersion: 0,
    stands: false,
  }
}

export function hello(body: object): Parameters<typeof frameOf>[0] {
  return { kind: KIND.HELLO, body: JSON.stringify(body) }
}
