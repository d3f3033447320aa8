import type { FileSystem } from './platform.ts'

type Kind = FileSystem['kind']

/**
 * File systems by what statfs(2) says, a magic number on Linux. The type decides, because the test with a second
 * descriptor passes on network file systems as well (rule C6). FUSE may be anything, a network above all.
 */
const BY_MAGIC: ReadonlyMap<number, readonly [type: string, kind: Kind]> = new Map<number, readonly [string, Kind]>([
  [0xef53, ['ext4', 'local']],
  [0x58465342, ['xfs', 'local']],
  [0x9123683e, ['btrfs', 'local']],
  [0x2fc12fc1, ['zfs', 'local']],
  [0xca451a4e, ['bcachefs', 'local']],
  [0xf2f52010, ['f2fs', 'local']],
  [0x01021994, ['tmpfs', 'local']],
  [0x858458f6, ['ramfs', 'local']],
  [0x794c7630, ['overlay', 'local']],
  [0x3153464a, ['jfs', 'local']],
  [0x52654973, ['reiserfs', 'local']],
  [0x3434, ['nilfs', 'local']],
  [0x4d44, ['vfat', 'local']],
  [0x2011bab0, ['exfat', 'local']],
  [0x7366746e, ['ntfs3', 'local']],
  [0x482b, ['hfsplus', 'local']],
  [0xf15f, ['ecryptfs', 'local']],

  [0x6969, ['nfs', 'network']],
  [0x517b, ['smb', 'network']],
  [0xff534d42, ['cifs', 'network']],
  [0xfe534d42, ['smb2', 'network']],
  [0x01021997, ['9p', 'network']],
  [0x65735546, ['fuse', 'network']],
  [0x6a656a63, ['virtiofs', 'network']],
  [0x00c36400, ['ceph', 'network']],
  [0x5346414f, ['afs', 'network']],
  [0x6b414653, ['kafs', 'network']],
  [0x73757245, ['coda', 'network']],
  [0x564c, ['ncp', 'network']],
  [0x01161970, ['gfs2', 'network']],
  [0x7461636f, ['ocfs2', 'network']],
  [0x0bd00bd0, ['lustre', 'network']],
  [0x47504653, ['gpfs', 'network']],
  [0x19830326, ['fhgfs', 'network']],
  [0x786f4256, ['vboxsf', 'network']],
  [0xbacbacbc, ['vmhgfs', 'network']],
  [0x7c7c6673, ['prl_fs', 'network']],
])

/** The same by name, as macOS tells it. */
const BY_NAME: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ['apfs', 'local'],
  ['hfs', 'local'],
  ['tmpfs', 'local'],
  ['msdos', 'local'],
  ['exfat', 'local'],
  ['nfs', 'network'],
  ['smbfs', 'network'],
  ['afpfs', 'network'],
  ['webdav', 'network'],
  ['ftp', 'network'],
  ['macfuse', 'network'],
  ['osxfuse', 'network'],
  ['virtiofs', 'network'],
  ['AppleVirtIOFS', 'network'],
])

/** @param found what the system says: a name or a magic number */
export function fileSystemOf(found: string | number): FileSystem {
  if (typeof found === 'string') return { type: found, kind: BY_NAME.get(found) ?? 'unknown' }
  const known = BY_MAGIC.get(found)
  return known === undefined ? { type: `0x${found.toString(16)}`, kind: 'unknown' } : { type: known[0], kind: known[1] }
}
