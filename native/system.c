/* Facts about the machine that Node gives in no usable form. */
#include "conclave.h"

#include <errno.h>
#include <stdlib.h>

#ifdef __APPLE__
#include <sys/mount.h>
#include <sys/param.h>
#include <sys/sysctl.h>
#else
#include <sys/vfs.h>
#endif

/* fileSystemType(path): the name where the system has one (macOS), the magic number where it has that; or -errno. */
static napi_value file_system_type(napi_env env, napi_callback_info info) {
  napi_value argument;
  if (arguments(env, info, 1, &argument) == NULL) return NULL;
  char *path = path_argument(env, argument);
  if (path == NULL) return misuse(env, "fileSystemType: the path must be a string without NUL");
  struct statfs found;
  int failed;
  do {
    failed = statfs(path, &found);
  } while (failed != 0 && errno == EINTR);
  int error = errno;
  free(path);
  if (failed != 0) return integer(env, -error);
#ifdef __APPLE__
  return text(env, found.f_fstypename);
#else
  /* A signed long in some ABIs, and magic numbers use bit 31. */
  return integer(env, (int64_t)((uint64_t)found.f_type & 0xffffffffu));
#endif
}

/* bootId(): macOS only; Linux has a file for it. */
static napi_value boot_id(napi_env env, napi_callback_info info) {
  (void)info;
#ifdef __APPLE__
  char id[64] = "";
  size_t length = sizeof id - 1;
  if (sysctlbyname("kern.bootsessionuuid", id, &length, NULL, 0) == 0 && id[0] != '\0') return text(env, id);
#endif
  return undefined(env);
}

bool system_init(struct state *state, napi_value exports) {
  return define(state, exports, "fileSystemType", file_system_type) && define(state, exports, "bootId", boot_id);
}
