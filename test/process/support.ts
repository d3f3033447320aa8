import type { Member, Snapshot } from 'conclave'
import { join } from 'conclave'
import {
  defer,
  spawnProgram,
  type History,
  type Message,
  type Program,
  type Scope,
  type SpawnOptions,
} from '../support/index.ts'
import type { Did } from '../support/history.ts'

/** A `test/programs/member.ts` that has joined. */
export interface Joined extends Program {
  readonly id: string
  readonly role: string
  readonly term: number
}

export async function member(t: Scope, folder: string, options: object = {}, how: SpawnOptions = {}): Promise<Joined> {
  const program = spawnProgram(t, 'member', [folder, JSON.stringify(options)], how)
  const { id, role, term } = await program.ready<{ id: string; role: string; term: number }>()
  return Object.assign(program, { id, role, term })
}

let tags = 0

/** Sends a command and awaits what it says of it. */
export function ask(program: Program, command: object): Promise<Message> {
  const tag = `t${tags++}`
  const answer = program.next((message) => message['tag'] === tag)
  program.send({ ...command, tag })
  return answer
}

export async function inspect(program: Program): Promise<Snapshot> {
  return (await ask(program, { inspect: true }))['snapshot'] as Snapshot
}

/** A member of this process. */
export async function own(t: Scope, folder: string, options: object = {}): Promise<Member> {
  const joined = (await join(folder, { name: 'test', ...options })) as Member
  defer(t, () => joined.abort(new Error('the test is over')))
  return joined
}

/** Everything that programs said, in the history. */
export function record(history: History, programs: readonly Program[]): void {
  for (const { pid, messages } of programs) {
    for (const message of messages)
      if (message['did'] !== undefined) history.record(`p${pid}`, message as unknown as Did)
  }
}

export const status =
  (type: string) =>
  (message: Message): boolean =>
    message['status'] === type
