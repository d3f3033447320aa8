import { ConclaveError } from '../errors/index.ts'

/** Oldest Node that is supported; package.json's `engines` says the same. */
const MIN_NODE: readonly [major: number, minor: number] = [22, 13]

/** @throws `UNSUPPORTED` in one sentence */
export function checkNode(version: string = process.versions.node): void {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1])) return
  throw new ConclaveError('UNSUPPORTED', `Conclave needs Node ${MIN_NODE.join('.')} or later; this is Node ${version}.`)
}
