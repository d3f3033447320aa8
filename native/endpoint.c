/* Making Unix sockets: descriptors and addresses, nothing of Node or libuv. */
#include "conclave.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Close-on-exec and non-blocking, from the first moment where the system can do that. fd or -errno. */
static int prepared(int fd) {
  if (fd < 0) return -errno;
#ifdef __APPLE__
  int on = 1;
  int flags = fcntl(fd, F_GETFL);
  /* Fails for a peer that has left already, whose bytes we still want. Node ignores the signal anyway. */
  (void)setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
    int error = -errno;
    close(fd);
    return error;
  }
#endif
  return fd;
}

static int open_socket(int type) {
#ifdef __APPLE__
  return prepared(socket(AF_UNIX, type, 0));
#else
  return prepared(socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
#endif
}

int endpoint_accept(int listener) {
#ifdef __APPLE__
  return prepared(accept(listener, NULL, NULL));
#else
  return prepared(accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
#endif
}

/* False when the path does not fit. */
static bool make_address(const char *path, struct sockaddr_un *address) {
  size_t length = strlen(path);
  if (length == 0 || length >= sizeof address->sun_path) return false;
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  memcpy(address->sun_path, path, length + 1);
  return true;
}

#ifdef __APPLE__

static int give_mode(const char *path, mode_t mode) { return chmod(path, mode) == 0 ? 0 : -errno; }

#else

/*
 * The umask may have taken bits away. Only for those the file is touched again, and by its inode: the path could name
 * somebody else's file by now, and chmod(2) follows symlinks.
 */
static int give_mode(const char *path, mode_t mode) {
  int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return -errno;
  struct stat file;
  char link[32];
  int error = 0;
  if (fstat(fd, &file) != 0) {
    error = -errno;
  } else if (!S_ISSOCK(file.st_mode)) {
    error = -ESTALE;
  } else if ((file.st_mode & 07777) != mode) {
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (chmod(link, mode) != 0) error = -errno;
  }
  close(fd);
  return error;
}

#endif

int endpoint_listen(const char *path, int type, mode_t mode, int backlog) {
  struct sockaddr_un address;
  if (!make_address(path, &address)) return -ENAMETOOLONG;
  int fd = open_socket(type);
  if (fd < 0) return fd;
  int error = 0;
#ifndef __APPLE__
  /* Linux makes the file with the mode of the socket, less the umask: not for a moment is it open wider. */
  if (fchmod(fd, mode) != 0) error = -errno;
#endif
  if (error == 0 && bind(fd, (struct sockaddr *)&address, sizeof address) != 0) error = -errno;
  if (error != 0) {
    close(fd);
    return error;
  }
  /* Nobody can connect before listen(), so nobody ever finds it open to others. */
  error = give_mode(path, mode);
  if (error == 0 && listen(fd, backlog) != 0) error = -errno;
  if (error != 0) {
    unlink(path);
    close(fd);
    return error;
  }
  return fd;
}

int endpoint_connect(const char *path, int type) {
  struct sockaddr_un address;
  if (!make_address(path, &address)) return -ENAMETOOLONG;
  int fd = open_socket(type);
  if (fd < 0) return fd;
  int failed;
  do {
    failed = connect(fd, (struct sockaddr *)&address, sizeof address);
  } while (failed != 0 && errno == EINTR);
  if (failed == 0) return fd;
  int error = -errno;
  close(fd);
  return error;
}
