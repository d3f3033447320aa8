export { History, type Loss, type Seen } from './history.ts'
export { childEnv, NODE_FLAGS, ROOT } from './flags.ts'
export { findProgram, haveProgram, requireProgram } from './programs.ts'
export { defer, type Scope } from './scope.ts'
export {
  conclave,
  execute,
  spawnProgram,
  stateOf,
  type ExecuteOptions,
  type Executed,
  type Exit,
  type Message,
  type Program,
  type SpawnOptions,
} from './spawn.ts'
export { LIMIT_MS, until, within, type UntilOptions } from './until.ts'
export { baseDirectory, runtimeDirectory, temporaryDirectory, workspace } from './workspace.ts'
