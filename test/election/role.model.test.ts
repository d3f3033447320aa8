import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  JOINING,
  newInstance,
  readPrimary,
  takeSeat,
  transition,
  type Role,
  type RoleEvent,
  type Seat,
  type Workspace,
} from '../../src/election/index.ts'
import { ConclaveError } from '../../src/errors/index.ts'
import type { MemoryMachine, MemoryProcess } from '../../src/platform/index.ts'
import { machine, memoryWorkspace } from './support.ts'

/*
 * Several members of one folder that stand, find each other, step down, close, crash, come back, and lose their
 * `.conclave`, in any order: roles by the state machine, locks, terms and announcements as they are. The model knows
 * who holds the lock and which term is the highest; the rest must follow.
 */

const MEMBERS = 4

interface Model {
  holder: number | undefined
  term: number
}

/** One process: what it is until it dies. */
interface Life {
  readonly process: MemoryProcess
  readonly workspace: Workspace
  readonly instance: string
  role: Role
  seat: Seat | undefined
  alive: boolean
}

class World {
  readonly #machine: MemoryMachine = machine()
  readonly lives: Life[] = []
  /** Of this `.conclave`: who served, by term. */
  readonly reigns = new Map<number, string>()

  constructor() {
    for (let i = 0; i < MEMBERS; i++) this.lives.push(this.#born())
  }

  rebirth(i: number): void {
    this.lives[i] = this.#born()
  }

  erase(): void {
    this.#machine.erase('/project/.conclave')
    this.reigns.clear()
  }

  /** Applies an event; a term must never fall. */
  become(life: Life, event: RoleEvent): void {
    const before = life.role.term
    life.role = transition(life.role, event)
    assert.ok(life.role.term >= before)
  }

  /** Every secondary's link to a primary that is gone ends. */
  unlink(primary: Life, cause: 'gone' | 'handover'): void {
    for (const life of this.lives) {
      if (life.alive && life.role.name === 'secondary' && life.role.primary === primary.instance) {
        this.become(life, { type: 'lost', cause })
      }
    }
  }

  stand(life: Life): void {
    const { workspace, process, instance } = life
    if (!workspace.verify()) workspace.prepare()
    const lock = process.tryLock(workspace.lockPath)
    if (lock === undefined) return
    const records = [life.role.term]
    const seat = takeSeat(workspace, lock, { instance, name: 'x', protocol: [1, 1], records, pid: () => process.pid })
    assert.ok(!this.reigns.has(seat.term), `term ${seat.term} a second time`)
    this.reigns.set(seat.term, instance)
    process.bind(seat.endpointPath, {})
    seat.announce()
    this.become(life, { type: 'won', term: seat.term, instance })
    life.seat = seat
  }

  find(life: Life): void {
    const sight = readPrimary(life.workspace)
    assert.ok(sight.state === 'serving' && sight.endpoint === 'present', 'the holder is to be seen')
    const { term, instance } = sight.announcement
    this.become(life, { type: 'found', term, instance })
  }

  #born(): Life {
    const process = this.#machine.process()
    return {
      process,
      workspace: memoryWorkspace(process, false),
      instance: newInstance(),
      role: JOINING,
      seat: undefined,
      alive: true,
    }
  }
}

type Command = fc.Command<Model, World>

function agree(model: Model, world: World): void {
  const serving = world.lives.filter(({ alive, role, seat }) => alive && role.name === 'primary' && seat!.check())
  assert.equal(serving.length, model.holder === undefined ? 0 : 1, 'one primary')
  const holder = model.holder === undefined ? undefined : world.lives[model.holder]!
  assert.equal(serving[0], holder)
  for (const life of world.lives) {
    const { role, alive } = life
    if (!alive) continue
    if (role.name === 'secondary') assert.deepEqual([role.term, role.primary], [model.term, holder?.instance])
    if (role.name === 'primary') assert.deepEqual([role.term, life], [model.term, holder])
  }
}

function command(
  name: string,
  i: number,
  may: (life: Life) => boolean,
  act: (model: Model, world: World, life: Life) => void,
): Command {
  return {
    check: () => true,
    run: (model, world) => {
      const life = world.lives[i]!
      if (!may(life)) return
      act(model, world, life)
      agree(model, world)
    },
    toString: () => `${name} ${i}`,
  }
}

const searching = ({ alive, role }: Life): boolean => alive && (role.name === 'joining' || role.name === 'seeking')

const seek = (i: number): Command =>
  command('seek', i, searching, (model, world, life) => {
    const before = model.term
    world.stand(life)
    if (model.holder === undefined) {
      assert.equal(life.role.name, 'primary', 'a free lock is taken')
      assert.ok(life.role.term > before)
      model.holder = i
      model.term = life.role.term
    } else world.find(life)
  })

const crash = (i: number): Command =>
  command(
    'crash',
    i,
    ({ alive }) => alive,
    (model, world, life) => {
      life.alive = false
      life.process.kill()
      world.unlink(life, 'gone')
      if (model.holder === i) model.holder = undefined
    },
  )

const restart = (i: number): Command =>
  command(
    'restart',
    i,
    ({ alive, role }) => !alive || role.name === 'closed',
    (_model, world) => world.rebirth(i),
  )

/** The primary goes in order: those linked to it are told. */
function leave(model: Model, world: World, life: Life, linked: boolean): void {
  life.seat!.closing()
  life.seat!.release({ successorExpected: linked })
  life.seat = undefined
  world.unlink(life, 'handover')
  model.holder = undefined
}

const stepDown = (i: number): Command =>
  command(
    'step down',
    i,
    ({ alive, role }) => alive && role.name === 'primary',
    (model, world, life) => {
      world.become(life, { type: 'step-down' })
      leave(model, world, life, true)
      world.become(life, { type: 'handed-over' })
    },
  )

const close = (i: number): Command =>
  command(
    'close',
    i,
    ({ alive, role }) => alive && role.name !== 'closed',
    (model, world, life) => {
      const wasPrimary = life.role.name === 'primary'
      world.become(life, { type: 'close' })
      if (wasPrimary) leave(model, world, life, false)
      // What was on its way changes nothing any more.
      for (const type of ['lock-lost', 'handed-over', 'close'] as const) {
        const { role } = life
        world.become(life, { type })
        assert.equal(life.role, role)
      }
      world.become(life, { type: 'drained' })
      assert.deepEqual(life.role.closed, { type: 'closed' })
    },
  )

/** git clean -fdx: whoever was placed closes, the next who come begin anew. */
const erase = (i: number): Command =>
  command(
    'erase',
    i,
    () => true,
    (model, world) => {
      world.erase()
      for (const life of world.lives) {
        if (!life.alive || life.role.term === 0 || life.role.name === 'closed') continue
        if (life.seat !== undefined) {
          assert.equal(life.seat.check(), false)
          world.become(life, { type: 'lock-lost' })
          life.seat.release()
          life.seat = undefined
          world.unlink(life, 'gone')
          world.become(life, { type: 'handed-over' })
        }
      }
      for (const life of world.lives) {
        if (!life.alive || life.role.term === 0 || life.role.name === 'closed') continue
        world.become(life, { type: 'failed', error: new ConclaveError('WORKSPACE_MOVED', 'erased') })
      }
      model.holder = undefined
      model.term = 0
    },
  )

/** Events that the state excludes are refused, and change nothing. */
const impossible = (i: number): Command =>
  command(
    'impossible',
    i,
    ({ alive, role }) => alive && (role.name === 'secondary' || role.name === 'primary'),
    (_model, world, life) => {
      const { role } = life
      const excluded: RoleEvent[] = [
        { type: 'won', term: role.term + 1, instance: life.instance },
        { type: 'found', term: role.term, instance: 'x' },
        { type: 'handed-over' },
        { type: 'drained' },
        role.name === 'primary' ? { type: 'lost', cause: 'gone' } : { type: 'step-down' },
      ]
      for (const event of excluded) {
        assert.throws(
          () => world.become(life, event),
          (error) => ConclaveError.is(error, 'INTERNAL'),
        )
      }
      assert.equal(life.role, role)
    },
  )

const who = fc.nat(MEMBERS - 1)
const commands = fc.commands(
  [
    who.map(seek),
    who.map(seek),
    who.map(seek),
    who.map(crash),
    who.map(restart),
    who.map(stepDown),
    who.map(close),
    who.map(erase),
    who.map(impossible),
  ],
  { maxCommands: 80, size: 'max' },
)

test('P1: whatever happens to whom, one is primary, and terms rise', () => {
  let wins = 0
  fc.assert(
    fc.property(commands, (list) => {
      fc.modelRun(() => {
        const real = new World()
        return { model: { holder: undefined, term: 0 } as Model, real }
      }, list)
      wins += [...list].length
    }),
    { numRuns: 300 },
  )
  assert.ok(wins > 0)
})
