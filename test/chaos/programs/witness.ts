/**
 * What a process can prove of its being primary without the product: a line in a file that all append to, at the
 * beginning and at the end, and a claim that only one can make. Linux: it asks /proc who lives.
 */
import {
  appendFileSync,
  linkSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Testimony } from '../checkers/primaries.ts'
import { now } from '../support/clock.ts'

interface Claim {
  readonly pid: number
  readonly term: number
  readonly member: string
}

/** `PF_EXITING` of the kernel's include/linux/sched.h: the process runs no more code of its own. */
const EXITING = 0x4

export class Witness {
  readonly #file: string
  readonly #claim: string

  constructor(directory: string) {
    this.#file = join(directory, 'witness.jsonl')
    this.#claim = join(directory, 'claim')
  }

  begin(member: string, term: number): void {
    const pid = process.pid
    this.#say({ k: 'begin', t: now(), pid, member, term, lock: heldLock() })
    const own = `${this.#claim}-${pid}`
    writeFileSync(own, JSON.stringify({ pid, term, member }), { mode: 0o600 })
    while (!this.#make(own)) {
      const other = this.#read()
      if (other === undefined) continue
      if (lives(other.pid)) {
        this.#say({ k: 'clash', t: now(), pid, term, other: { pid: other.pid, term: other.term } })
        renameSync(own, this.#claim)
        return
      }
      this.#remove(other)
    }
    unlinkSync(own)
  }

  end(member: string, term: number): void {
    const claim = { pid: process.pid, term, member }
    this.#remove(claim)
    this.#say({ k: 'end', t: now(), ...claim })
  }

  /** Whole or not at all, and for one only: link(2) fails where O_EXCL would. */
  #make(own: string): boolean {
    try {
      linkSync(own, this.#claim)
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
      throw error
    }
  }

  #read(): Claim | undefined {
    try {
      return JSON.parse(readFileSync(this.#claim, 'utf8')) as Claim
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  #remove(claim: Claim): void {
    const there = this.#read()
    if (there === undefined || there.pid !== claim.pid || there.term !== claim.term) return
    try {
      unlinkSync(this.#claim)
    } catch {
      // Gone already.
    }
  }

  #say(line: Testimony): void {
    appendFileSync(this.#file, `${JSON.stringify(line)}\n`, { mode: 0o600 })
  }
}

/** Which lock file this process has open, by the kernel's own list: the path may name another one by now. */
function heldLock(): string {
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`)
      // Its directory may have been renamed since.
      if (!target.endsWith('/lock') && !target.endsWith('/lock (deleted)')) continue
      const { dev, ino } = statSync(`/proc/self/fd/${fd}`)
      return `${dev}:${ino}`
    } catch {
      // The descriptor of this very listing.
    }
  }
  return 'none'
}

function lives(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [state = '', flags = '0'] = [fields[0], fields[6]]
    return state !== 'Z' && state !== 'X' && (Number(flags) & EXITING) === 0
  } catch {
    return false
  }
}
