/**
 * A member reduced to its election: stands, serves a greeting when it wins, links to the winner otherwise, stands again when
 * that one dies. Prints what it is as JSON lines. Arguments: folder, deadline in ms (Infinity allowed), "never" to only look.
 */
import { connect, createServer, type Socket } from 'node:net'
import {
  endpointPath,
  newInstance,
  openWorkspace,
  seek,
  takeSeat,
  type Announcement,
  type Seat,
} from '../../../src/election/index.ts'
import { ConclaveError } from '../../../src/errors/index.ts'
import { posixPlatform } from '../../../src/platform/index.ts'

const [folder = '.', forMs = 'Infinity', mode = 'may'] = process.argv.slice(2)
const instance = newInstance()
const platform = posixPlatform()

function print(line: Record<string, unknown>): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

/** Resolves with the socket once the primary has said its instance. */
function shakeHands(announcement: Announcement, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(endpointPath(announcement.endpoint))
    const fail = (errno: string): void => {
      socket.destroy()
      reject(new ConclaveError('DISCONNECTED', `connect: ${errno}`, { data: { errno } }))
    }
    signal.addEventListener('abort', () => fail('ECANCELED'))
    socket.on('error', (error: NodeJS.ErrnoException) => fail(error.code ?? 'EIO'))
    socket.on('close', () => fail('ECONNRESET'))
    socket.once('data', (greeting) => {
      if (String(greeting) === announcement.instance) resolve(socket)
      else fail('EPROTO')
    })
  })
}

async function serve(seat: Seat): Promise<void> {
  const links = new Set<Socket>()
  const server = createServer((socket) => {
    links.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => links.delete(socket))
    if (seat.check()) socket.write(instance)
    else socket.destroy()
  })
  await new Promise<void>((resolve, reject) => {
    server.on('error', reject).listen({ path: seat.endpointPath, exclusive: true, backlog: 4096 }, resolve)
  })
  // Before anybody is told: who reads the line may send the signal at once.
  const ended = new Promise<void>((resolve) => {
    process.once('SIGTERM', resolve)
    seat.watch({
      onLost: (error) => {
        print({ event: 'lost', code: error.code })
        resolve()
      },
      onEndpointVanished: () => {},
    })
  })
  seat.announce()
  print({ event: 'primary', term: seat.term, instance, pid: process.pid })
  await ended
  seat.closing()
  server.close()
  seat.release({ successorExpected: links.size > 0 })
  for (const link of links) link.destroy()
}

try {
  const stand = mode !== 'never'
  const workspace = openWorkspace(platform, folder, { create: stand })
  let lost: { instance: string; term: number } | undefined
  let identity: string | undefined
  for (;;) {
    const deadline = platform.now() + Number(forMs)
    const sought = await seek(workspace, {
      stand,
      attempt: shakeHands,
      deadline,
      ...(stand ? {} : { waitUntil: platform.now() }),
      lost,
      identity,
    })
    if (sought.type === 'won') {
      await serve(takeSeat(workspace, sought.lock, { instance, name: 'stand', protocol: [1, 1] }))
      break
    }
    const { link, announcement } = sought
    identity = announcement.lock
    lost = { instance: announcement.instance, term: announcement.term }
    print({ event: 'secondary', ...lost, pid: announcement.pid })
    if (!link.closed) await new Promise((resolve) => link.once('close', resolve))
  }
} catch (error) {
  print({ event: 'error', code: ConclaveError.is(error) ? error.code : String(error) })
  process.exitCode = 1
}
