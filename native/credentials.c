/* Who is on the other side of a Unix socket, as the kernel recorded it at connect and at listen. */
#include "conclave.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef __APPLE__
#include <sys/un.h>

int peer_credentials(int fd, struct credentials *out) {
  if (getpeereid(fd, &out->uid, &out->gid) != 0) return -errno;
  socklen_t length = sizeof out->pid;
  /* The pid is a label; a peer that has left already has none. */
  if (getsockopt(fd, SOL_LOCAL, LOCAL_PEERPID, &out->pid, &length) != 0) out->pid = 0;
  return 0;
}

#else

int peer_credentials(int fd, struct credentials *out) {
  struct ucred peer;
  socklen_t length = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return -errno;
  out->uid = peer.uid;
  out->gid = peer.gid;
  out->pid = peer.pid;
  return 0;
}

#endif
