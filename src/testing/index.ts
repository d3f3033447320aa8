export { memoryWorkspace, type MemoryWorkspace } from './memory-workspace.ts'
