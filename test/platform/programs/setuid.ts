// Runs with the rights of another user: `setuid.ts <uid>`, started by root.
import { posixPlatform } from '../../../src/platform/index.ts'

process.seteuid?.(Number(process.argv[2]))
try {
  posixPlatform()
  console.log('allowed')
} catch (error) {
  console.log((error as { code: string }).code)
}
