/*
 * The workspace lock: flock(2) on a regular file of ours. This file alone opens, holds and closes the descriptor: a
 * FileHandle would be closed by garbage collection, a bare number by anybody (rule A10).
 */
#include "conclave.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* How often to start again when the path was replaced between open and lock. */
#define ATTEMPTS 5
/* Linux's table of descriptors begins with 64 places, and grows to a power of two of at least 128. See raise_descriptor. */
#define FIRST_TABLE 64
#define TABLE_STEP 128
/* Places left for the locks of one process: the workspace's, its database's. */
#define LOCKS 8

#define LOCK_MAGIC 0x6c6f636b

struct lock {
  int magic;
  struct state *state;
  struct lock *next;
  /* Freed when it is neither open nor seen by JavaScript. */
  bool open;
  bool seen;
  int fd;
  dev_t dev;
  ino_t ino;
  char *path;
};

static int open_file(const char *path, int extra) {
  int fd;
  do {
    fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | extra, 0600);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

static int lock_now(int fd) {
  int failed;
  do {
    failed = flock(fd, LOCK_EX | LOCK_NB);
  } while (failed != 0 && errno == EINTR);
  return failed;
}

static bool names(const char *path, dev_t dev, ino_t ino) {
  struct stat found;
  return lstat(path, &found) == 0 && found.st_dev == dev && found.st_ino == ino;
}

/*
 * When a process dies, Linux finishes with the descriptor closed last first, and closes them in the order of their
 * numbers. So the lock gets a higher number than every socket that was accepted: the survivors that see a closed one
 * then find the lock free. Measured over 100 SIGKILLs, first flock after EOF: 39 to 91 failures with a low number, none
 * with a high one (rule A9). They are the highest that the table has room for: to grow it takes a process with threads 12 ms.
 */
static int raise_descriptor(int fd, int above) {
  struct rlimit limit;
  int top = above + LOCKS < FIRST_TABLE ? FIRST_TABLE : ((above + LOCKS) | (TABLE_STEP - 1)) + 1;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < (rlim_t)top) top = (int)limit.rlim_cur;
  int minimum = top - LOCKS > above ? top - LOCKS : above + 1;
  int high = fcntl(fd, F_DUPFD_CLOEXEC, minimum);
  if (high < 0 && minimum > above + 1) high = fcntl(fd, F_DUPFD_CLOEXEC, above + 1);
  if (high < 0) return fd; /* Only slower for the survivors. */
  close(fd); /* Both share one open file description: the lock stays. */
  return high;
}

/* "TAKEN", or why not as the word that JavaScript gets ("ERRNO": the number is in *error), or NULL to start again. */
static const char *take(const char *path, int *fd_out, struct stat *file, int *error) {
  int fd = open_file(path, O_CREAT);
  if (fd < 0) {
    *error = errno;
    return errno == ELOOP ? "SYMLINK" : "ERRNO";
  }
  const char *refused = NULL;
  if (fstat(fd, file) != 0) {
    refused = "ERRNO";
  } else if (!S_ISREG(file->st_mode)) {
    refused = "NOT_A_FILE";
  } else if (file->st_uid != geteuid()) {
    refused = "NOT_OURS";
  } else if (file->st_nlink > 1) {
    refused = "HARD_LINKED";
  } else if (lock_now(fd) != 0) {
    refused = errno == EWOULDBLOCK ? "BUSY" : "ERRNO";
  }
  if (refused != NULL) {
    *error = errno;
    close(fd);
    return refused;
  }

  /* Does the path still name what we locked? And where flock lies, a second description gets the lock as well. */
  int second = open_file(path, 0);
  struct stat again;
  bool same = second >= 0 && fstat(second, &again) == 0 && again.st_dev == file->st_dev && again.st_ino == file->st_ino;
  bool both = same && lock_now(second) == 0;
  bool short_of_descriptors = second < 0 && (errno == EMFILE || errno == ENFILE);
  if (second >= 0) close(second);
  if (both || short_of_descriptors) {
    close(fd);
    if (both) return "UNRELIABLE";
    *error = EMFILE;
    return "ERRNO";
  }
  if (!same) {
    close(fd); /* The path was deleted or replaced meanwhile: this lock guards nothing. */
    return NULL;
  }
  *fd_out = raise_descriptor(fd, fd);
  return "TAKEN";
}

static void free_if_unused(struct lock *lock) {
  if (lock->open || lock->seen) return;
  lock->magic = 0;
  free(lock->path);
  free(lock);
}

static void close_lock(struct lock *lock) {
  if (!lock->open) return;
  for (struct lock **link = &lock->state->locks; *link != NULL; link = &(*link)->next) {
    if (*link == lock) {
      *link = lock->next;
      break;
    }
  }
  close(lock->fd);
  lock->fd = -1;
  lock->open = false;
}

void flock_keep_above(struct state *state, int fd) {
  for (struct lock *lock = state->locks; lock != NULL; lock = lock->next) {
    if (lock->open && lock->fd < fd) lock->fd = raise_descriptor(lock->fd, fd);
  }
}

void flock_close_all(struct state *state) {
  while (state->locks != NULL) {
    struct lock *lock = state->locks;
    close_lock(lock);
    free_if_unused(lock);
  }
}

/* Collected without close(): the lock stays held until its environment ends. */
static void on_collected(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  struct lock *lock = data;
  lock->seen = false;
  free_if_unused(lock);
}

/* tryLock(path): { handle, dev, ino }, or a word that says why not, or -errno. */
static napi_value try_lock(napi_env env, napi_callback_info info) {
  napi_value argument;
  struct state *state = arguments(env, info, 1, &argument);
  if (state == NULL) return NULL;
  char *path = path_argument(env, argument);
  if (path == NULL) return misuse(env, "tryLock: the path must be a string without NUL");

  int fd = -1, error = 0;
  struct stat file;
  const char *verdict = NULL;
  for (int attempt = 0; verdict == NULL && attempt < ATTEMPTS; attempt++) verdict = take(path, &fd, &file, &error);
  if (fd < 0) {
    free(path);
    if (verdict == NULL) return text(env, "BUSY"); /* Somebody keeps replacing it: as good as held. */
    return verdict[0] == 'E' ? integer(env, -error) : text(env, verdict);
  }

  struct lock *lock = calloc(1, sizeof *lock);
  if (lock == NULL) {
    close(fd);
    free(path);
    return integer(env, -ENOMEM);
  }
  *lock = (struct lock){LOCK_MAGIC, state, state->locks, true, true, fd, file.st_dev, file.st_ino, path};
  state->locks = lock;

  napi_value result, handle, dev, ino;
  if (napi_create_external(env, lock, on_collected, NULL, &handle) != napi_ok) {
    lock->seen = false;
    close_lock(lock);
    free_if_unused(lock);
    return NULL;
  }
  if (napi_create_object(env, &result) != napi_ok || napi_create_bigint_uint64(env, (uint64_t)file.st_dev, &dev) != napi_ok ||
      napi_create_bigint_uint64(env, (uint64_t)file.st_ino, &ino) != napi_ok ||
      napi_set_named_property(env, result, "handle", handle) != napi_ok ||
      napi_set_named_property(env, result, "dev", dev) != napi_ok ||
      napi_set_named_property(env, result, "ino", ino) != napi_ok) {
    close_lock(lock);
    return NULL;
  }
  return result;
}

static struct lock *lock_argument(napi_env env, napi_callback_info info) {
  napi_value argument;
  void *lock = NULL;
  if (arguments(env, info, 1, &argument) == NULL) return NULL;
  if (napi_get_value_external(env, argument, &lock) == napi_ok && ((struct lock *)lock)->magic == LOCK_MAGIC) return lock;
  misuse(env, "not a lock");
  return NULL;
}

/* lockHolds(handle): does the path still name the file we locked? Its inode can't be reused while we hold it open. */
static napi_value lock_holds(napi_env env, napi_callback_info info) {
  struct lock *lock = lock_argument(env, info);
  if (lock == NULL) return NULL;
  napi_value result = NULL;
  napi_get_boolean(env, lock->open && names(lock->path, lock->dev, lock->ino), &result);
  return result;
}

static napi_value unlock(napi_env env, napi_callback_info info) {
  struct lock *lock = lock_argument(env, info);
  if (lock == NULL) return NULL;
  close_lock(lock);
  return undefined(env);
}

bool flock_init(struct state *state, napi_value exports) {
  return define(state, exports, "tryLock", try_lock) && define(state, exports, "lockHolds", lock_holds) &&
         define(state, exports, "unlock", unlock);
}
