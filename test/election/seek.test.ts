import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import {
  FIRST_PAUSES_MS,
  endpointPath,
  LOST_GRACE_MS,
  newInstance,
  seek,
  takeSeat,
  UNREACHABLE_AFTER_MS,
  type Announcement,
  type Seat,
  type SeekOptions,
  type Sought,
} from '../../src/election/index.ts'
import { ConclaveError } from '../../src/errors/index.ts'
import type { MemoryMachine, MemoryProcess, Platform } from '../../src/platform/index.ts'
import { code, machine, memoryWorkspace, refused, sit, systemError, VirtualTime, withFaults } from './support.ts'

type Wanted = Partial<SeekOptions<string>> & { readonly forMs?: number; readonly waitMs?: number }

/** A machine whose time the search itself advances. */
class Scene {
  readonly time = new VirtualTime()
  readonly machine: MemoryMachine = machine()
  /** Instances that were connected to, in order. */
  readonly attempts: string[] = []

  process(faults: Partial<Platform> = {}): MemoryProcess {
    return withFaults(this.time.on(this.machine.process()), faults)
  }

  /** Takes the seat in a process of its own. */
  primary(
    state: 'starting' | 'serving' = 'serving',
    process: MemoryProcess = this.process(),
  ): { process: MemoryProcess; seat: Seat } {
    const seat = sit(memoryWorkspace(process))
    if (state === 'serving') this.serve(process, seat)
    return { process, seat }
  }

  serve(process: MemoryProcess, seat: Seat): void {
    process.bind(seat.endpointPath, process)
    seat.announce()
  }

  /** Connects as a socket would: refused when the process that listens is dead. */
  connect(platform: MemoryProcess) {
    return async (announcement: Announcement): Promise<string> => {
      this.attempts.push(announcement.instance)
      const listener = platform.bound(endpointPath(announcement.endpoint)) as MemoryProcess
      if (!listener.alive) throw refused('ECONNREFUSED')
      await turn()
      return announcement.instance
    }
  }

  seek(wanted: Wanted = {}, process: MemoryProcess = this.process()): Promise<Sought<string>> {
    const { forMs = 30_000, waitMs, stand = true, ...rest } = wanted
    const workspace = memoryWorkspace(process, stand)
    return seek(workspace, {
      stand,
      attempt: this.connect(process),
      deadline: this.time.nowMs + forMs,
      ...(waitMs === undefined ? {} : { waitUntil: this.time.nowMs + waitMs }),
      sleep: this.time.sleep,
      random: () => 0.5,
      ...rest,
    })
  }
}

function of(primary: { seat: Seat }): { instance: string; term: number } {
  return { instance: primary.seat.announcement.instance, term: primary.seat.term }
}

/** Never answers, until the search gives up. */
function hang(_: Announcement, signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new ConclaveError('TIMEOUT', 'cut'))))
}

describe('seek', () => {
  it('wins at once where nobody is, and makes the workspace', async () => {
    const scene = new Scene()
    const sought = await scene.seek()
    assert.equal(sought.type, 'won')
    assert(sought.type === 'won' && sought.lock.stillOurs())
    assert.deepEqual(scene.attempts, [])
  })

  it('finds who serves', async () => {
    const scene = new Scene()
    const primary = scene.primary()
    const sought = await scene.seek()
    assert(sought.type === 'found')
    assert.equal(sought.link, of(primary).instance)
    assert.deepEqual(sought.announcement, primary.seat.announcement)
  })

  it('wins over an announcement that a dead process left', async () => {
    const scene = new Scene()
    scene.primary().process.kill()
    assert.equal((await scene.seek()).type, 'won')
    assert.deepEqual(scene.attempts, [])
  })

  it('goes on when the directory vanishes, and when the lock is replaced as it is taken', async () => {
    const scene = new Scene()
    let tries = 0
    const real = scene.machine.process()
    const process = scene.process({
      tryLock: (path) => {
        if (++tries === 1) {
          scene.machine.erase('/project/.conclave')
          throw systemError('ENOENT')
        }
        const lock = real.tryLock(path)
        if (tries === 2) scene.machine.erase(path)
        return lock
      },
    })
    const sought = await scene.seek({}, process)
    assert(sought.type === 'won' && sought.lock.stillOurs())
    assert.equal(tries, 3)
  })

  it('passes on what makes the lock unusable', async () => {
    const scene = new Scene()
    const process = scene.process({
      tryLock: () => {
        throw new ConclaveError('LOCK_UNRELIABLE', 'it lies')
      },
    })
    await assert.rejects(scene.seek({}, process), code('LOCK_UNRELIABLE'))
  })

  it('of many that stand at once exactly one wins, the others find it', async () => {
    const one = machine()
    const all = Array.from({ length: 20 }, async () => {
      const process = one.process()
      const workspace = memoryWorkspace(process)
      const attempt = async (announcement: Announcement): Promise<string> => announcement.instance
      const sought = await seek(workspace, { stand: true, attempt, deadline: Infinity })
      if (sought.type === 'found') return sought.link
      const seat = takeSeat(workspace, sought.lock, { instance: newInstance(), name: 'a', protocol: [1, 1] })
      await turn()
      process.bind(seat.endpointPath, process)
      seat.announce()
      return `won ${seat.announcement.instance}`
    })
    const ends = await Promise.all(all)
    const winners = ends.filter((end) => end.startsWith('won '))
    assert.equal(winners.length, 1)
    assert.equal(new Set(ends.map((end) => end.replace('won ', ''))).size, 1)
  })
})

describe('A9 seek after the primary died', () => {
  it('does not give up on one EWOULDBLOCK, and does not connect to the dead', async () => {
    const scene = new Scene()
    const dead = scene.primary()
    // The kernel closed the socket; the lock outlives it by 4 ms.
    scene.time.at(4, () => dead.process.kill())
    const sought = await scene.seek({ lost: of(dead) })
    assert.equal(sought.type, 'won')
    assert.deepEqual(scene.attempts, [])
  })

  it('connects to whoever took the seat instead', async () => {
    const scene = new Scene()
    const dead = scene.primary()
    const rival = scene.process()
    let successor: ReturnType<Scene['primary']> | undefined
    scene.time.at(0.4, () => {
      dead.process.kill()
      successor = scene.primary('starting', rival)
    })
    scene.time.at(12, () => scene.serve(rival, successor!.seat))
    const sought = await scene.seek({ lost: of(dead) })
    assert(sought.type === 'found' && successor !== undefined)
    assert.deepEqual(scene.attempts, [of(successor).instance])
  })

  it('looks at 0, 0.2, 0.5, 1, 2 ms, every 3 ms up to 50, then every 10 to 50 ms with jitter', async () => {
    const scene = new Scene()
    const dead = scene.primary()
    const pauses: number[] = []
    const abort = new AbortController()
    let random = 0
    const search = scene.seek({
      lost: of(dead),
      stand: true,
      forMs: Infinity,
      attempt: () => Promise.reject(refused('ECONNREFUSED')),
      signal: abort.signal,
      random: () => (random = (random + 0.37) % 1),
      sleep: (ms, signal) => {
        if (ms < 1000) pauses.push(ms)
        if (pauses.length === 80) abort.abort()
        return scene.time.sleep(ms, signal)
      },
    })
    await assert.rejects(search, code('ABORTED'))
    assert.deepEqual(pauses.slice(0, 6), [0.2, 0.3, 0.5, 1, 2, 3])
    const later = pauses.slice(FIRST_PAUSES_MS.length + 1)
    assert(later.filter((ms) => ms < 10).length <= 1, 'one may be cut short where silence is believed')
    assert(later.every((ms) => ms <= 50))
    assert(new Set(later).size > 20, 'jitter')
  })

  it('returns to a primary that only dropped the link, after a grace', async () => {
    const scene = new Scene()
    const alive = scene.primary()
    const start = scene.time.nowMs
    const sought = await scene.seek({ lost: of(alive) })
    assert.equal(sought.type, 'found')
    assert(scene.time.nowMs - start >= LOST_GRACE_MS)
  })

  it('returns at once to the same member in a higher term', async () => {
    const scene = new Scene()
    const alive = scene.primary()
    const start = scene.time.nowMs
    const { instance, term } = of(alive)
    assert.equal((await scene.seek({ lost: { instance, term: term - 1 } })).type, 'found')
    assert.equal(scene.time.nowMs, start)
  })

  it('P1 never goes back to an older term', async () => {
    const scene = new Scene()
    const old = scene.primary()
    for (const lost of [
      { instance: 'AbCdEfGhIjKlMnOpQrSt_-', term: old.seat.term + 1 },
      // As after `rm -rf .conclave`: terms begin anew, and the new lock file may have the old one's inode.
      { instance: 'AbCdEfGhIjKlMnOpQrSt_-', term: old.seat.term },
    ]) {
      await assert.rejects(scene.seek({ lost, forMs: 1000 }), code('WORKSPACE_MOVED', /Join again/))
    }
    const same = { ...of(old), term: old.seat.term + 1 }
    await assert.rejects(scene.seek({ lost: same, forMs: 1000 }), code('PRIMARY_UNRESPONSIVE'))
    assert.deepEqual(scene.attempts, [])
  })
})

describe('B2 seek with a primary that does not answer', () => {
  it('tries again after EAGAIN and ECONNREFUSED', async () => {
    const scene = new Scene()
    scene.primary()
    const answers = ['EAGAIN', 'ECONNREFUSED', 'EAGAIN', 'EAGAIN']
    const attempt = async (): Promise<string> => {
      const errno = answers.shift()
      if (errno !== undefined) throw refused(errno)
      return 'link'
    }
    const sought = await scene.seek({ attempt })
    assert(sought.type === 'found')
    assert.deepEqual([sought.link, answers], ['link', []])
  })

  it('says PRIMARY_UNRESPONSIVE at the deadline, and cuts the attempt', async () => {
    const scene = new Scene()
    const stopped = scene.primary()
    let cut = false
    const attempt = (announcement: Announcement, signal: AbortSignal): Promise<never> => {
      signal.addEventListener('abort', () => (cut = true))
      return hang(announcement, signal)
    }
    const [start, end] = [scene.time.nowMs, scene.time.nowMs + 5000]
    await assert.rejects(scene.seek({ attempt, forMs: 5000 }), (error) => {
      assert(code('PRIMARY_UNRESPONSIVE', /"test", pid \d+, term 1/, /kill -CONT/)(error))
      assert.equal((error as { data: { primary: Announcement } }).data.primary.instance, of(stopped).instance)
      return true
    })
    assert(cut && scene.time.nowMs >= end && start < end)
    assert(stopped.seat.check(), 'nobody took over')
  })

  it('stands as soon as the stopped primary is killed', async () => {
    const scene = new Scene()
    const stopped = scene.primary()
    const attempt = (): Promise<never> =>
      new Promise((_, reject) => {
        scene.time.at(700, () => {
          stopped.process.kill()
          reject(refused('ECONNRESET'))
        })
      })
    assert.equal((await scene.seek({ attempt })).type, 'won')
  })

  it('says so of a lock that is held by something that announces nothing', async () => {
    const scene = new Scene()
    const holder = memoryWorkspace(scene.process())
    assert(holder.platform.tryLock(holder.lockPath) !== undefined)
    await assert.rejects(scene.seek({ forMs: 300 }), code('PRIMARY_UNRESPONSIVE', /no primary has announced/, /lsof/))
    holder.platform.replaceFile(`${holder.directory}/primary.json`, '{"term":')
    await assert.rejects(scene.seek({ forMs: 300 }), code('PRIMARY_UNRESPONSIVE', /damaged/))
  })

  it('looks for a while even when the deadline is over', async () => {
    const scene = new Scene()
    const dead = scene.primary()
    scene.time.at(20, () => dead.process.kill())
    assert.equal((await scene.seek({ lost: of(dead), forMs: 0 })).type, 'won')
  })

  it('B1 takes an answer that had arrived when the deadline fired', async () => {
    const scene = new Scene()
    scene.primary()
    const platform = scene.machine.process()
    const attempt = (): Promise<string> =>
      new Promise((resolve) => {
        setImmediate(() => {
          for (const end = performance.now() + 150; performance.now() < end;);
          setImmediate(() => resolve('link'))
        })
      })
    const sought = await seek(memoryWorkspace(platform), { stand: true, attempt, deadline: platform.now() + 80 })
    assert(sought.type === 'found' && sought.link === 'link')
  })
})

describe('seek and handshakes that fail', () => {
  it('ends at once when trying again cannot help', async () => {
    for (const final of ['VERSION_MISMATCH', 'SUPERSEDED', 'FORBIDDEN', 'PROTOCOL', 'WORKSPACE_MOVED'] as const) {
      const scene = new Scene()
      scene.primary()
      const attempt = (): Promise<never> => Promise.reject(new ConclaveError(final, 'no'))
      const start = scene.time.nowMs
      await assert.rejects(scene.seek({ attempt }), code(final))
      assert.equal(scene.time.nowMs, start)
    }
    const scene = new Scene()
    scene.primary()
    await assert.rejects(scene.seek({ attempt: () => Promise.reject(new TypeError('a bug')) }), TypeError)
  })

  it('C2 waits longer and longer before it asks the same primary again', async () => {
    const scene = new Scene()
    scene.primary()
    const asked: number[] = []
    const attempt = async (): Promise<string> => {
      asked.push(scene.time.nowMs)
      if (asked.length < 6) throw new ConclaveError(asked.length === 2 ? 'STALE_TERM' : 'OVERLOADED', 'later')
      return 'link'
    }
    assert.equal((await scene.seek({ attempt })).type, 'found')
    const pauses = asked.slice(1).map((ms, i) => ms - asked[i]!)
    for (const [i, least] of [50, 100, 200, 400, 800].entries()) assert(pauses[i]! >= least, `${i}: ${pauses[i]}`)
  })

  it('takes the seat meanwhile if it becomes free', async () => {
    const scene = new Scene()
    const primary = scene.primary()
    scene.time.at(300, () => primary.seat.release())
    const attempt = (): Promise<never> => Promise.reject(new ConclaveError('OVERLOADED', 'later'))
    assert.equal((await scene.seek({ attempt })).type, 'won')
  })

  it('"must" gets PRIMARY_EXISTS when its wait is over, and the seat if it becomes free before', async () => {
    const attempt = (): Promise<never> => Promise.reject(new ConclaveError('PRIMARY_EXISTS', 'pid 7 has it'))
    const scene = new Scene()
    const primary = scene.primary()
    await assert.rejects(scene.seek({ attempt, waitMs: 0 }), code('PRIMARY_EXISTS', /pid 7/))
    await assert.rejects(scene.seek({ attempt, waitMs: 900 }), code('PRIMARY_EXISTS'))
    scene.time.at(500, () => primary.process.kill())
    assert.equal((await scene.seek({ attempt, waitMs: 900 })).type, 'won')
  })
})

describe('B6 seek with a primary whose socket is not visible', () => {
  it('says PRIMARY_UNREACHABLE after two seconds, with endpoint, pid and causes', async () => {
    const scene = new Scene()
    const hidden = scene.primary()
    hidden.process.remove(hidden.seat.endpointPath)
    const start = scene.time.nowMs
    const words = [/memory:\/tmp\/conclave-1000\//, /pid \d+/, /container/, /PrivateTmp/, /logout/]
    await assert.rejects(scene.seek({ forMs: Infinity }), code('PRIMARY_UNREACHABLE', ...words))
    assert(scene.time.nowMs - start >= UNREACHABLE_AFTER_MS)
    assert.deepEqual(scene.attempts, [])
    await assert.rejects(
      scene.seek({ forMs: Infinity, attempt: () => Promise.reject(refused('ENOENT')) }),
      code('PRIMARY_UNREACHABLE'),
    )
  })

  it('says REMOTE_PRIMARY when it announced another boot id', async () => {
    for (const state of ['starting', 'serving'] as const) {
      const scene = new Scene()
      const elsewhere = scene.process({ bootId: 'other-kernel', hostName: 'other-host' })
      const remote = scene.primary(state, elsewhere)
      scene.machine.erase(remote.seat.endpointPath)
      await assert.rejects(
        scene.seek({ forMs: Infinity }),
        code('REMOTE_PRIMARY', /other-host/, /folder of this machine/),
      )
    }
  })

  it('waits when the primary binds a fresh name in the same term', async () => {
    const scene = new Scene()
    const { process, seat } = scene.primary()
    process.remove(seat.endpointPath)
    scene.time.at(1500, () => {
      process.bind(seat.renewEndpoint(), process)
      seat.announce()
    })
    assert.equal((await scene.seek()).type, 'found')
  })

  it('counts the two seconds for one primary, not for a row of short-lived ones', async () => {
    const scene = new Scene()
    for (const ms of [0, 1500, 3000, 4500]) {
      scene.time.at(ms, () => {
        const { process, seat } = scene.primary()
        process.remove(seat.endpointPath)
        scene.time.at(1400, () => process.kill())
      })
    }
    const holder = scene.process()
    const workspace = memoryWorkspace(holder)
    let busy = true
    scene.time.at(6200, () => (busy = false))
    // The search itself never gets the lock before: other candidates are quicker.
    const process = scene.process({ tryLock: (path) => (busy ? undefined : holder.tryLock(path)) })
    assert.equal((await scene.seek({ forMs: Infinity }, process)).type, 'won')
    assert(workspace.verify())
  })
})

describe('B7 seek with a primary that is starting', () => {
  it('waits until it serves', async () => {
    const scene = new Scene()
    const { process, seat } = scene.primary('starting')
    scene.time.at(20_000, () => scene.serve(process, seat))
    assert.equal((await scene.seek()).type, 'found')
    assert.equal(scene.attempts.length, 1, 'it did not connect before')
  })

  it('says PRIMARY_STARTING at the deadline', async () => {
    const scene = new Scene()
    scene.primary('starting')
    await assert.rejects(scene.seek({ forMs: 3000 }), code('PRIMARY_STARTING', /migrating/))
  })

  it('stands when it dies before it served', async () => {
    const scene = new Scene()
    const { process } = scene.primary('starting')
    scene.time.at(900, () => process.kill())
    assert.equal((await scene.seek()).type, 'won')
  })

  it('A13 does not connect to one that is closing, and follows it', async () => {
    const scene = new Scene()
    const { seat } = scene.primary()
    seat.closing()
    scene.time.at(900, () => seat.release({ successorExpected: true }))
    assert.equal((await scene.seek()).type, 'won')
    assert.deepEqual(scene.attempts, [])
  })
})

describe('seek by those who never stand', () => {
  /** A process that fails the test if it touches the lock. */
  const onlooker = (scene: Scene): MemoryProcess => scene.process({ tryLock: () => assert.fail('touched the lock') })
  const look = (scene: Scene, wanted: Wanted = {}): Promise<Sought<string>> =>
    scene.seek({ stand: false, waitMs: 0, ...wanted }, onlooker(scene))

  it('B7 get NO_PRIMARY at once where nobody was, and create nothing', async () => {
    const scene = new Scene()
    const sleep = (): Promise<void> => assert.fail('waited')
    await assert.rejects(look(scene, { sleep }), code('NO_PRIMARY', /waitMs/))
    assert.equal(scene.process().stat('/project/.conclave'), undefined)
    scene.primary().seat.release()
    await assert.rejects(look(scene, { sleep }), code('NO_PRIMARY'), 'the last one left in order')
  })

  it('B7 find who serves without touching the lock', async () => {
    const scene = new Scene()
    scene.primary()
    assert.equal((await look(scene)).type, 'found')
  })

  it('take an announcement that nobody answers to for nobody, after a second look', async () => {
    const scene = new Scene()
    const dead = scene.primary()
    dead.process.kill()
    await assert.rejects(look(scene), code('NO_PRIMARY', /The last one was "test"/))
    assert(scene.attempts.length > 1)
    scene.machine.erase(dead.seat.endpointPath)
    await assert.rejects(look(scene), code('NO_PRIMARY'))
  })

  it('see the successor of one that just died', async () => {
    const scene = new Scene()
    const dead = scene.primary()
    dead.process.kill()
    scene.time.at(25, () => void scene.primary())
    assert.equal((await look(scene)).type, 'found')
  })

  it('wait for one as long as they said, also where no .conclave is yet', async () => {
    const scene = new Scene()
    scene.time.at(800, () => void scene.primary())
    assert.equal((await look(scene, { waitMs: 1000 })).type, 'found')
    const other = new Scene()
    other.time.at(1200, () => void other.primary())
    await assert.rejects(look(other, { waitMs: 1000 }), code('NO_PRIMARY'))
  })

  it('B7 tell starting from absent, but not for one of before the reboot', async () => {
    const scene = new Scene()
    scene.primary('starting')
    await assert.rejects(look(scene), code('PRIMARY_STARTING'))
    const rebooted = new Scene()
    rebooted.primary('starting', rebooted.process({ bootId: 'before' })).process.kill()
    await assert.rejects(look(rebooted), code('NO_PRIMARY'))
  })

  it('B2 wait for a handshake longer than for somebody to be there', async () => {
    const scene = new Scene()
    scene.primary()
    await assert.rejects(look(scene, { attempt: hang, forMs: 5000 }), code('PRIMARY_UNRESPONSIVE'))
    const start = scene.time.nowMs
    const slow = (): Promise<string> => new Promise((resolve) => scene.time.at(3000, () => resolve('link')))
    assert.equal((await look(scene, { attempt: slow, forMs: 5000 })).type, 'found')
    assert(scene.time.nowMs - start >= 3000)
  })
})

describe('B3 seek by a member that knows its workspace', () => {
  it('ends with WORKSPACE_MOVED when the lock is another one or none, and takes nothing', async () => {
    for (const stand of [true, false]) {
      const scene = new Scene()
      const primary = scene.primary()
      const identity = primary.seat.identity
      primary.process.kill()
      if (stand) {
        const sought = await scene.seek({ identity })
        assert(sought.type === 'won')
        sought.lock.close()
      }
      scene.machine.erase('/project/.conclave')
      await assert.rejects(scene.seek({ identity, stand, lost: of(primary) }), code('WORKSPACE_MOVED', /Join again/))
      assert.equal(scene.process().stat('/project/.conclave/lock'), undefined)
      const stranger = scene.primary()
      assert.notEqual(stranger.seat.identity, identity)
      await assert.rejects(scene.seek({ identity, stand }), code('WORKSPACE_MOVED'))
      stranger.process.kill()
      await assert.rejects(scene.seek({ identity, stand }), code('WORKSPACE_MOVED'))
      assert.deepEqual(scene.attempts, [])
    }
  })

  it('closes a lock that turned out to be another one', async () => {
    const scene = new Scene()
    const identity = scene.primary().seat.identity
    const real = scene.machine.process()
    const process = scene.process({
      tryLock: (path) => {
        scene.machine.erase(path)
        return real.tryLock(path)
      },
    })
    await assert.rejects(scene.seek({ identity }, process), code('WORKSPACE_MOVED'))
    assert.notEqual(scene.machine.process().tryLock('/project/.conclave/lock'), undefined, 'it is free')
  })
})

describe('seek and its signal', () => {
  it('C4 rejects with ABORTED and the reason: before, in a pause, in an attempt', async () => {
    const reason = new Error('the user went away')
    const aborted = (error: unknown): boolean => {
      assert(code('ABORTED')(error))
      assert.equal((error as Error).cause, reason)
      return true
    }
    const scene = new Scene()
    await assert.rejects(scene.seek({ signal: AbortSignal.abort(reason) }), aborted)
    assert.equal(scene.process().stat('/project/.conclave/lock'), undefined)

    scene.primary('starting')
    const pause = new AbortController()
    scene.time.at(1000, () => pause.abort(reason))
    await assert.rejects(scene.seek({ signal: pause.signal, forMs: Infinity }), aborted)

    const other = new Scene()
    other.primary()
    const attempt = new AbortController()
    other.time.at(1000, () => attempt.abort(reason))
    let cut: unknown
    await assert.rejects(
      other.seek({
        signal: attempt.signal,
        forMs: Infinity,
        attempt: (announcement, signal) => {
          signal.addEventListener('abort', () => (cut = signal.reason))
          return hang(announcement, signal)
        },
      }),
      aborted,
    )
    assert.equal(cut, reason)
  })
})
