// dRPC against the raw socket, in one run, interleaved: node bench/drpc.ts [--json]. Linux, with cc.
// Ratios count, absolute figures do not: on a busy machine both sides are slow.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ClientConnection } from '../src/dialects/drpc/index.ts'

const ROUNDS = 15
const CALLS = 20_000
const BODY_BYTES = 16
/** Of a packet with such a body, as it travels. */
const PACKET_BYTES = 24 + 8 + BODY_BYTES
const LARGE_BYTES = 8 << 20
const LARGE_CALLS = 40
const SESSIONS = 100
const SESSION_CALLS = 500

const folder = mkdtempSync(join(tmpdir(), 'conclave-bench-'))
const echo = join(folder, 'echo')
execFileSync('cc', ['-O2', '-o', echo, join(import.meta.dirname, 'drpc', 'echo.c')])
const children: ChildProcess[] = []
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

async function serve(command: string, args: readonly string[]): Promise<void> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  await once(child.stdout, 'data')
}

const raw = join(folder, 'raw')
const ours = join(folder, 'ours')
await serve(echo, ['server', raw])
await serve(process.execPath, [join(import.meta.dirname, 'drpc', 'server.ts'), ours])
const client = new ClientConnection(ours)
await client.connect()

/** Microseconds at the median. */
function rawRoundTrip(): number {
  return Number(execFileSync(echo, ['client', raw, String(PACKET_BYTES), String(CALLS)], { encoding: 'utf8' })) / 1000
}

async function callRoundTrip(): Promise<number> {
  const call = { module: 42, method: 1, body: new Uint8Array(BODY_BYTES) }
  const times = new Float64Array(CALLS)
  for (let count = 0; count < CALLS; count++) {
    const begin = performance.now()
    await client.sendMsg(call)
    times[count] = (performance.now() - begin) * 1000
  }
  return median(times)
}

/** MB of bodies a second, one way (`sink`) or there and back (`echo`, each body counted once). */
async function throughput(method: number): Promise<number> {
  const call = { module: 42, method, body: new Uint8Array(LARGE_BYTES) }
  const begin = performance.now()
  for (let count = 0; count < LARGE_CALLS; count++) await client.sendMsg(call)
  return (LARGE_CALLS * LARGE_BYTES) / 1e6 / ((performance.now() - begin) / 1000)
}

async function manySessions(): Promise<{ perSecond: number; lost: number }> {
  const clients = Array.from({ length: SESSIONS }, () => new ClientConnection(ours))
  await Promise.all(clients.map((one) => one.connect()))
  let answered = 0
  const begin = performance.now()
  await Promise.all(
    clients.map(async (one, index) => {
      const body = new Uint8Array(BODY_BYTES).fill(index)
      for (let count = 0; count < SESSION_CALLS; count++) {
        const response = await one.sendMsg({ module: 42, method: 1, body })
        if (response.status === 0 && response.body.every((byte) => byte === index)) answered++
      }
    }),
  )
  const seconds = (performance.now() - begin) / 1000
  await Promise.all(clients.map((one) => one.close()))
  return { perSecond: answered / seconds, lost: SESSIONS * SESSION_CALLS - answered }
}

function median(values: Iterable<number>): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[sorted.length >> 1] ?? Number.NaN
}

await callRoundTrip() // warm
const rounds: { rawUs: number; callUs: number }[] = []
for (let round = 0; round < ROUNDS; round++) rounds.push({ rawUs: rawRoundTrip(), callUs: await callRoundTrip() })
await throughput(1)
const sinks: number[] = []
const echoes: number[] = []
for (let round = 0; round < 5; round++) {
  sinks.push(await throughput(2))
  echoes.push(await throughput(1))
}
const sessions = await manySessions()
await client.close()

const result = {
  rawEchoUs: median(rounds.map(({ rawUs }) => rawUs)),
  callUs: median(rounds.map(({ callUs }) => callUs)),
  callToRaw: median(rounds.map(({ rawUs, callUs }) => callUs / rawUs)),
  oneWayMBs: median(sinks),
  echoMBs: median(echoes),
  sessions: SESSIONS,
  sessionCallsPerSecond: sessions.perSecond,
  lost: sessions.lost,
}
if (process.argv.includes('--json')) console.log(JSON.stringify(result))
else {
  console.log(`raw C echo, ${PACKET_BYTES} bytes          ${result.rawEchoUs.toFixed(1)} us at the median`)
  console.log(
    `call, ${BODY_BYTES} byte body              ${result.callUs.toFixed(1)} us: ${result.callToRaw.toFixed(2)}x (aim: at most 2.5x)`,
  )
  console.log(`8 MiB bodies, one way          ${result.oneWayMBs.toFixed(0)} MB/s (aim: at least 400)`)
  console.log(`8 MiB bodies, there and back   ${result.echoMBs.toFixed(0)} MB/s each way`)
  console.log(
    `${SESSIONS} sessions at once           ${sessions.perSecond.toFixed(0)} calls/s, ${sessions.lost} lost of ${SESSIONS * SESSION_CALLS}`,
  )
}
process.exit(sessions.lost === 0 ? 0 : 1)
