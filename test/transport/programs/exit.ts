// Writes until the kernel is full, waits without a turn of the loop until the file `go` is there, and exits.
// `exit.ts <socket> <go>`; prints how many bytes it wrote.
import { existsSync, writeSync } from 'node:fs'
import { unixTransport } from '../../../src/transport/index.ts'

const [path, go] = process.argv.slice(2) as [string, string]
const connection = unixTransport().connect(path)
const piece = new Uint8Array(50_000)
let written = piece.length
while (connection.write(piece, 0, piece.length)) written += piece.length
writeSync(1, `${written} ${connection.bufferedBytes}\n`)
while (!existsSync(go)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
process.exit()
