#include "conclave.h"

#include <stdlib.h>
#include <string.h>

bool define(struct state *state, napi_value exports, const char *name, napi_callback function) {
  napi_value value;
  return napi_create_function(state->env, name, NAPI_AUTO_LENGTH, function, state, &value) == napi_ok &&
         napi_set_named_property(state->env, exports, name, value) == napi_ok;
}

napi_value misuse(napi_env env, const char *message) {
  napi_throw_type_error(env, NULL, message);
  return NULL;
}

struct state *arguments(napi_env env, napi_callback_info info, size_t count, napi_value *values) {
  size_t given = count;
  void *data = NULL;
  if (napi_get_cb_info(env, info, &given, values, NULL, &data) != napi_ok || given < count) {
    misuse(env, "too few arguments");
    return NULL;
  }
  return data;
}

char *path_argument(napi_env env, napi_value value) {
  size_t length;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) return NULL;
  char *path = malloc(length + 1);
  if (path == NULL) return NULL;
  if (napi_get_value_string_utf8(env, value, path, length + 1, &length) != napi_ok || strlen(path) != length) {
    free(path);
    return NULL;
  }
  return path;
}

napi_value integer(napi_env env, int64_t value) {
  napi_value result = NULL;
  napi_create_int64(env, value, &result);
  return result;
}

napi_value text(napi_env env, const char *value) {
  napi_value result = NULL;
  napi_create_string_utf8(env, value, NAPI_AUTO_LENGTH, &result);
  return result;
}

napi_value undefined(napi_env env) {
  napi_value result = NULL;
  napi_get_undefined(env, &result);
  return result;
}

void state_sockets_closed(struct state *state) {
  if (!state->ending || state->cleanup == NULL) return;
  napi_async_cleanup_hook_handle cleanup = state->cleanup;
  state->cleanup = NULL;
  napi_remove_async_cleanup_hook(cleanup);
}

/*
 * A Worker that ends, or is terminated, must let go of its lock and sockets although its process lives on. The lock
 * first, as everywhere: whoever sees a closed socket should find the lock free (rules A9 and A10).
 */
static void on_environment_end(napi_async_cleanup_hook_handle cleanup, void *data) {
  struct state *state = data;
  state->cleanup = cleanup;
  state->ending = true;
  flock_close_all(state);
  seqpacket_end(state);
  socket_close_all(state);
}

static void free_state(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  free(data);
}

NAPI_MODULE_INIT() {
  struct state *state = calloc(1, sizeof *state);
  if (state == NULL) {
    napi_throw_error(env, NULL, "out of memory");
    return NULL;
  }
  state->env = env;
  /* From here on the environment frees the state, after the cleanup hook. */
  if (napi_set_instance_data(env, state, free_state, NULL) != napi_ok) {
    free(state);
    return NULL;
  }
  if (napi_get_uv_event_loop(env, &state->loop) != napi_ok ||
      napi_add_async_cleanup_hook(env, on_environment_end, state, &state->cleanup) != napi_ok ||
      !flock_init(state, exports) || !socket_init(state, exports) ||
      !seqpacket_init(state, exports) || !system_init(state, exports)) {
    return NULL;
  }
  return exports;
}
