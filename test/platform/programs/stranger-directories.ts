/** Becomes the user <uid> and prints the directory that its sockets would lie in. Removes it if it was made. */
import { rmdirSync, existsSync } from 'node:fs'
import { posixPlatform } from '../../../src/platform/index.ts'
import { native } from '../../../src/platform/native.ts'

native()
const uid = Number(process.argv[2])
process.setgroups?.([])
process.setgid?.(uid)
process.setuid?.(uid)
const made = !existsSync(`/tmp/conclave-${uid}`)
const directory = posixPlatform().runtimeDirectory()
console.log(directory)
if (made) rmdirSync(directory)
