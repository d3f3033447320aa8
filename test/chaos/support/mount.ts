import { spawnSync } from 'node:child_process'

/** `root` and the product's own directory: a socket would be the third. */
const FULL_INODES = 2
const ROOMY_INODES = 1000

/** A file system without room for one more file. @returns false where this user may not mount (then nothing is changed) */
export function mountFull(path: string): boolean {
  return mount(['-t', 'tmpfs', '-o', `size=1m,nr_inodes=${FULL_INODES},mode=0700`, 'conclave-chaos', path])
}

export function makeRoom(path: string): void {
  mount(['-o', `remount,nr_inodes=${ROOMY_INODES}`, path])
}

export function unmount(path: string): void {
  spawnSync('umount', ['--lazy', path], { stdio: 'ignore' })
}

function mount(words: readonly string[]): boolean {
  return spawnSync('mount', words, { stdio: 'ignore' }).status === 0
}
