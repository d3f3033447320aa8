import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileSystemOf } from '../../src/platform/filesystems.ts'

test('C6 the type decides: known local ones, known network ones, and what nobody knows', () => {
  assert.deepEqual(fileSystemOf(0xef53), { type: 'ext4', kind: 'local' })
  assert.deepEqual(fileSystemOf(0x9123683e), { type: 'btrfs', kind: 'local' })
  assert.deepEqual(fileSystemOf(0x6969), { type: 'nfs', kind: 'network' })
  assert.deepEqual(fileSystemOf(0xff534d42), { type: 'cifs', kind: 'network' })
  assert.deepEqual(fileSystemOf(0x65735546), { type: 'fuse', kind: 'network' })
  assert.deepEqual(fileSystemOf(0x12345678), { type: '0x12345678', kind: 'unknown' })
  assert.deepEqual(fileSystemOf('apfs'), { type: 'apfs', kind: 'local' })
  assert.deepEqual(fileSystemOf('smbfs'), { type: 'smbfs', kind: 'network' })
  assert.deepEqual(fileSystemOf('newfs'), { type: 'newfs', kind: 'unknown' })
})
