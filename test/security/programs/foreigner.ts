/**
 * Another user, started by root: it loads what it needs, becomes the user and does one thing without our manners.
 * Arguments: uid, verb, what the verb wants. It says what came of it.
 *   join <folder> [options]   as a program of that user would; `{ joined }` or `{ code, message }`
 *   connect <socket> <base64> sends it whatever the other side is; `{ bytes }` it read before the end, or `{ code }`
 *   listen <socket>           stands for a primary, and says `{ bytes }` of whoever sends it something
 *   read <path>               `{ bytes }` of the file, or `{ code }`
 */
import { chmodSync, readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join as joinWorkspace } from 'conclave'
import { native } from '../../../src/platform/native.ts'
import { commands, ready, say } from '../../support/program.ts'

const [uid, verb, path = '', more = '{}'] = process.argv.slice(2)
native()
process.setgroups?.([])
process.setgid?.(Number(uid))
process.setuid?.(Number(uid))

function fault(error: unknown): object {
  const { code, message } = error as NodeJS.ErrnoException
  return { code, message }
}

if (verb === 'join') {
  try {
    const member = await joinWorkspace(path, JSON.parse(more) as object)
    say({ joined: member.role })
    await member.close()
  } catch (error) {
    say(fault(error))
  }
} else if (verb === 'connect') {
  let bytes = 0
  const socket = connect(path, () => socket.write(Buffer.from(more, 'base64')))
  socket.on('data', (chunk) => (bytes += chunk.length))
  socket.on('error', (error) => say({ ...fault(error), bytes }))
  socket.on('close', () => say({ closed: true, bytes }))
} else if (verb === 'listen') {
  const server = createServer((socket) => {
    say({ accepted: true })
    socket.on('data', (chunk) => say({ bytes: chunk.length }))
    socket.on('error', () => {})
    socket.on('close', () => say({ closed: true }))
  })
  server.listen(path, () => {
    chmodSync(path, 0o666)
    ready()
  })
  for await (const _command of commands());
} else {
  try {
    say({ bytes: readFileSync(path).length })
  } catch (error) {
    say(fault(error))
  }
}
