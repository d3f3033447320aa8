/*
 * Stands before libc (LD_PRELOAD) and lets the n-th system call of a kind on the files of a database fail. What to fail
 * is written into a small file that is mapped here; the path is in CONCLAVE_TEST_FAULT_FILE.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The same order stands in sqlite-faults.ts. */
enum kind { WRITE = 1, SYNC, READ, TRUNCATE, OPEN, LOCK, UNLINK, MAP };

/* error 0: the call does half of what it was asked. last: how many fail, from the n-th on. */
struct plan {
  volatile uint32_t kind, at, error, last, count, hits;
};

static struct plan *plan;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("CONCLAVE_TEST_FAULT_FILE");
  int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void *mapped = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (mapped != MAP_FAILED) plan = mapped;
}

static int is_ours(const char *path) {
  return path != NULL && strstr(path, "/data.db") != NULL && strstr(path, "-lock") == NULL;
}

static int is_ours_by(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return is_ours(path);
}

/* 1: it fails, and errno says with what. 2: it does half. */
static int next(enum kind kind) {
  uint32_t count = ++plan->count;
  if (count < plan->at || count - plan->at >= plan->last) return 0;
  plan->hits++;
  errno = (int)plan->error;
  (void)kind;
  return plan->error == 0 ? 2 : 1;
}

static int fails(enum kind kind, int fd) {
  return plan != NULL && plan->kind == kind && is_ours_by(fd) ? next(kind) : 0;
}

static int fails_at(enum kind kind, const char *path) {
  return plan != NULL && plan->kind == kind && is_ours(path) ? next(kind) : 0;
}

#define REAL(name, ...) \
  static __typeof__(&name) real; \
  if (real == NULL) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define TRANSFER(name, kind, buffer) \
  ssize_t name(int fd, buffer bytes, size_t length, off_t offset) { \
    REAL(name); \
    int fault = fails(kind, fd); \
    if (fault == 1) return -1; \
    return real(fd, bytes, fault == 2 ? (length + 1) / 2 : length, offset); \
  }

TRANSFER(pwrite, WRITE, const void *)
TRANSFER(pwrite64, WRITE, const void *)
TRANSFER(pread, READ, void *)
TRANSFER(pread64, READ, void *)

#define SIMPLE(name, kind, parameters, arguments, fd) \
  int name parameters { \
    REAL(name); \
    return fails(kind, fd) ? -1 : real arguments; \
  }

SIMPLE(fsync, SYNC, (int fd), (fd), fd)
SIMPLE(fdatasync, SYNC, (int fd), (fd), fd)
SIMPLE(ftruncate, TRUNCATE, (int fd, off_t length), (fd, length), fd)
SIMPLE(ftruncate64, TRUNCATE, (int fd, off_t length), (fd, length), fd)

#define OPENING(name) \
  int name(const char *path, int flags, ...) { \
    REAL(name); \
    va_list rest; \
    va_start(rest, flags); \
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0; \
    va_end(rest); \
    return fails_at(OPEN, path) ? -1 : real(path, flags, mode); \
  }

OPENING(open)
OPENING(open64)

#define CONTROL(name) \
  int name(int fd, int command, ...) { \
    REAL(name); \
    va_list rest; \
    va_start(rest, command); \
    void *argument = va_arg(rest, void *); \
    va_end(rest); \
    bool locks = command == F_SETLK && ((struct flock *)argument)->l_type != F_UNLCK; \
    return locks && fails(LOCK, fd) ? -1 : real(fd, command, argument); \
  }

CONTROL(fcntl)
CONTROL(fcntl64)

int unlink(const char *path) {
  REAL(unlink);
  return fails_at(UNLINK, path) ? -1 : real(path);
}

#define MAPPING(name) \
  void *name(void *at, size_t length, int protection, int flags, int fd, off_t offset) { \
    REAL(name); \
    return fd >= 0 && fails(MAP, fd) ? MAP_FAILED : real(at, length, protection, flags, fd, offset); \
  }

MAPPING(mmap)
MAPPING(mmap64)
