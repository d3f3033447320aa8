/** Why nothing can be written somewhere, by the system's error. */
export const CANNOT_WRITE: Readonly<Record<string, string>> = {
  EROFS: 'the file system is read-only',
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
}

/** What helps, by the system's error. */
export const CURES: Readonly<Record<string, string>> = {
  EMFILE: 'this process has no file descriptor left: close some, or raise `ulimit -n`',
  ENFILE: 'this machine has no file descriptor left: end some programs, or raise fs.file-max',
  ENOMEM: 'this machine has no memory left for it: end some programs',
  EIO: 'the disk reports an error: look at the log of the system',
}
