/*
 * Unix stream sockets on uv_poll. One callback a socket, `callback(event, value)`; the numbers of the events are in
 * src/platform/native.ts too. Errors are -errno, never exceptions: an exception here is a mistake of our own.
 */
#include "socket.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BUFFER_BYTES (64 * 1024)
/* Turns of one socket before the others have theirs: 256 KiB a poll event. */
#define READS_PER_EVENT 4
#define ACCEPTS_PER_EVENT 32

#define SOCKET_MAGIC 0x736f636b

static void free_if_unused(struct socket *socket) {
  if (socket->with_libuv || socket->seen) return;
  socket->magic = 0;
  free(socket);
}

static void on_handle_closed(uv_handle_t *handle) {
  struct socket *socket = handle->data;
  struct state *state = socket->state;
  *socket->link = socket->next;
  if (socket->next != NULL) socket->next->link = socket->link;
  socket->with_libuv = false;
  free_if_unused(socket);
  if (state->sockets == NULL) state_sockets_closed(state);
}

/* Safe inside the socket's own callback: its memory stays until libuv has closed the handle, a turn later. */
static void close_socket(struct socket *socket) {
  if (socket->fd < 0) return;
  uv_close((uv_handle_t *)&socket->poll, on_handle_closed);
  close(socket->fd);
  socket->fd = -1;
  if (socket->callback != NULL) napi_delete_reference(socket->state->env, socket->callback);
  socket->callback = NULL;
}

void socket_close_all(struct state *state) {
  for (struct socket *socket = state->sockets; socket != NULL; socket = socket->next) close_socket(socket);
  if (state->read_buffer_reference != NULL) napi_delete_reference(state->env, state->read_buffer_reference);
  state->read_buffer_reference = NULL;
  if (state->sockets == NULL) state_sockets_closed(state);
}

/* Collected while open: it never got a callback (the callback's closure would have kept it). */
static void on_collected(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  struct socket *socket = data;
  close_socket(socket);
  socket->seen = false;
  free_if_unused(socket);
}

/* Calls into JavaScript; ticks and microtasks run before it returns. */
static void call(struct socket *socket, enum event event, napi_value value) {
  napi_env env = socket->state->env;
  napi_value callback, receiver, values[2];
  if (socket->callback == NULL) return;
  if (napi_get_reference_value(env, socket->callback, &callback) != napi_ok) return;
  if (napi_get_global(env, &receiver) != napi_ok || napi_create_int32(env, event, &values[0]) != napi_ok) return;
  values[1] = value;
  if (napi_make_callback(env, NULL, receiver, callback, 2, values, NULL) == napi_ok) return;
  /* It threw: that is an uncaught exception, as from any event handler. A terminated Worker has nothing to report. */
  bool pending = false;
  napi_value error;
  if (napi_is_exception_pending(env, &pending) == napi_ok && pending &&
      napi_get_and_clear_last_exception(env, &error) == napi_ok) {
    napi_fatal_exception(env, error);
  }
}

void call_with_integer(struct socket *socket, enum event event, int64_t value) {
  napi_handle_scope scope;
  if (napi_open_handle_scope(socket->state->env, &scope) != napi_ok) return;
  call(socket, event, integer(socket->state->env, value));
  napi_close_handle_scope(socket->state->env, scope);
}

static void read_some(struct socket *socket) {
  for (int turn = 0; turn < READS_PER_EVENT; turn++) {
    /* JavaScript may have paused or closed it in the callback. */
    if (socket->fd < 0 || (socket->interest & UV_READABLE) == 0) return;
    ssize_t received;
    do {
      received = recv(socket->fd, socket->state->read_buffer, READ_BUFFER_BYTES, 0);
    } while (received < 0 && errno == EINTR);
    if (received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (received <= 0) {
      int error = errno;
      socket->interest &= ~UV_READABLE;
      watch(socket);
      call_with_integer(socket, EVENT_READ, received == 0 ? 0 : -error);
      return;
    }
    call_with_integer(socket, EVENT_READ, received);
    /* Less than asked for: most likely all there was. If not, libuv calls again. */
    if (received < READ_BUFFER_BYTES) return;
  }
}

static void accept_some(struct socket *socket);

static void on_poll(uv_poll_t *handle, int status, int events) {
  struct socket *socket = handle->data;
  /* libuv stops polling at POLLERR. What was sent before the error is still there: go on reading (rule F6). */
  if (status < 0) events = socket->interest;
  if (socket->listening) {
    accept_some(socket);
  } else {
    /* Reads first: a write that fails must find everything read that was there (rule A8). */
    if (events & UV_READABLE) socket->receive(socket);
    if (socket->fd >= 0 && (events & socket->interest & UV_WRITABLE)) call_with_integer(socket, EVENT_WRITABLE, 0);
  }
  if (status < 0 && socket->fd >= 0) watch(socket);
}

void watch(struct socket *socket) {
  if (socket->interest == 0) {
    uv_poll_stop(&socket->poll);
  } else {
    uv_poll_start(&socket->poll, socket->interest, on_poll);
  }
}

struct socket *new_socket(struct state *state, int fd, int *error) {
  struct socket *socket = calloc(1, sizeof *socket);
  *error = socket == NULL ? -ENOMEM : uv_poll_init(state->loop, &socket->poll, fd);
  if (*error != 0) {
    close(fd);
    free(socket);
    return NULL;
  }
  socket->poll.data = socket;
  socket->magic = SOCKET_MAGIC;
  socket->state = state;
  socket->fd = fd;
  socket->receive = read_some;
  socket->with_libuv = true;
  socket->next = state->sockets;
  socket->link = &state->sockets;
  if (socket->next != NULL) socket->next->link = &socket->next;
  state->sockets = socket;
  return socket;
}

napi_value wrap(struct socket *socket) {
  napi_value handle;
  socket->seen = true;
  if (napi_create_external(socket->state->env, socket, on_collected, NULL, &handle) == napi_ok) return handle;
  socket->seen = false;
  close_socket(socket);
  return integer(socket->state->env, -ENOMEM);
}

static void accept_some(struct socket *socket) {
  napi_env env = socket->state->env;
  for (int turn = 0; turn < ACCEPTS_PER_EVENT; turn++) {
    if (socket->fd < 0 || (socket->interest & UV_READABLE) == 0) return;
    int fd = endpoint_accept(socket->fd);
    if (fd == -EAGAIN || fd == -EWOULDBLOCK) return;
    if (fd == -EINTR || fd == -ECONNABORTED) continue;
    int error = fd;
    struct socket *accepted = fd < 0 ? NULL : new_socket(socket->state, fd, &error);
    if (accepted == NULL) {
      /* Out of descriptors, most likely. The connection stays in the backlog and would wake us at once: pause. */
      socket->interest = 0;
      watch(socket);
      call_with_integer(socket, EVENT_ACCEPT, error);
      return;
    }
    flock_keep_above(socket->state, fd);
    if (socket->receive == seqpacket_receive) seqpacket_adopt(accepted);
    napi_handle_scope scope;
    if (napi_open_handle_scope(env, &scope) != napi_ok) return;
    call(socket, EVENT_ACCEPT, wrap(accepted));
    napi_close_handle_scope(env, scope);
  }
}

/* listen(path, backlog): a handle or -errno. */
static napi_value js_listen(napi_env env, napi_callback_info info) {
  napi_value values[2];
  int32_t backlog;
  struct state *state = arguments(env, info, 2, values);
  if (state == NULL) return NULL;
  char *path = path_argument(env, values[0]);
  if (path == NULL || napi_get_value_int32(env, values[1], &backlog) != napi_ok) {
    free(path);
    return misuse(env, "listen(path, backlog)");
  }
  int error = 0;
  int fd = endpoint_listen(path, SOCK_STREAM, 0600, backlog);
  struct socket *socket = fd < 0 ? NULL : new_socket(state, fd, &error);
  if (fd >= 0 && socket == NULL) unlink(path);
  free(path);
  if (socket == NULL) return integer(env, fd < 0 ? fd : error);
  socket->listening = true;
  return wrap(socket);
}

/* connect(path): a handle or -errno. */
static napi_value js_connect(napi_env env, napi_callback_info info) {
  napi_value argument;
  struct state *state = arguments(env, info, 1, &argument);
  if (state == NULL) return NULL;
  char *path = path_argument(env, argument);
  if (path == NULL) return misuse(env, "connect(path)");
  int error = 0;
  int fd = endpoint_connect(path, SOCK_STREAM);
  free(path);
  struct socket *socket = fd < 0 ? NULL : new_socket(state, fd, &error);
  return socket == NULL ? integer(env, fd < 0 ? fd : error) : wrap(socket);
}

struct socket *socket_argument(napi_env env, napi_value value) {
  void *socket = NULL;
  if (napi_get_value_external(env, value, &socket) == napi_ok && ((struct socket *)socket)->magic == SOCKET_MAGIC) {
    return socket;
  }
  misuse(env, "not a socket");
  return NULL;
}

/* start(handle, callback): from now on events are told. Nothing is watched before `watch`. */
static napi_value js_start(napi_env env, napi_callback_info info) {
  napi_value values[2];
  if (arguments(env, info, 2, values) == NULL) return NULL;
  struct socket *socket = socket_argument(env, values[0]);
  if (socket == NULL) return NULL;
  if (socket->fd < 0 || socket->callback != NULL) return misuse(env, "closed or started already");
  if (napi_create_reference(env, values[1], 1, &socket->callback) != napi_ok) return NULL;
  return undefined(env);
}

/* watch(handle, events): 1 to read or accept, 2 to be told when it takes more. */
static napi_value js_watch(napi_env env, napi_callback_info info) {
  napi_value values[2];
  uint32_t events;
  if (arguments(env, info, 2, values) == NULL) return NULL;
  struct socket *socket = socket_argument(env, values[0]);
  if (socket == NULL) return NULL;
  if (napi_get_value_uint32(env, values[1], &events) != napi_ok) return misuse(env, "watch(handle, events)");
  if (socket->fd >= 0) {
    socket->interest = (int)(events & (UV_READABLE | UV_WRITABLE));
    watch(socket);
  }
  return undefined(env);
}

/* send(handle, bytes, start, end): how many the kernel took, or -errno. */
static napi_value js_send(napi_env env, napi_callback_info info) {
  napi_value values[4];
  napi_typedarray_type type;
  size_t length;
  void *bytes;
  int64_t start, end;
  if (arguments(env, info, 4, values) == NULL) return NULL;
  struct socket *socket = socket_argument(env, values[0]);
  if (socket == NULL) return NULL;
  if (napi_get_typedarray_info(env, values[1], &type, &length, &bytes, NULL, NULL) != napi_ok ||
      type != napi_uint8_array || napi_get_value_int64(env, values[2], &start) != napi_ok ||
      napi_get_value_int64(env, values[3], &end) != napi_ok || start < 0 || end < start || (size_t)end > length) {
    return misuse(env, "send(handle, bytes, start, end)");
  }
  if (socket->fd < 0) return integer(env, -EBADF);
#ifdef __APPLE__
  const int flags = 0; /* SO_NOSIGPIPE is set */
#else
  const int flags = MSG_NOSIGNAL;
#endif
  ssize_t sent;
  do {
    sent = send(socket->fd, (const char *)bytes + start, (size_t)(end - start), flags);
  } while (sent < 0 && errno == EINTR);
  return integer(env, sent < 0 ? -errno : sent);
}

/* shutdown(handle): the peer reads an end after what was sent; 0 or -errno. */
static napi_value js_shutdown(napi_env env, napi_callback_info info) {
  napi_value argument;
  if (arguments(env, info, 1, &argument) == NULL) return NULL;
  struct socket *socket = socket_argument(env, argument);
  if (socket == NULL) return NULL;
  return integer(env, socket->fd < 0 ? -EBADF : shutdown(socket->fd, SHUT_WR) != 0 ? -errno : 0);
}

static napi_value js_close(napi_env env, napi_callback_info info) {
  napi_value argument;
  if (arguments(env, info, 1, &argument) == NULL) return NULL;
  struct socket *socket = socket_argument(env, argument);
  if (socket == NULL) return NULL;
  close_socket(socket);
  return undefined(env);
}

/* keepAlive(handle, boolean): whether the open socket keeps the process running. */
static napi_value js_keep_alive(napi_env env, napi_callback_info info) {
  napi_value values[2];
  bool alive;
  if (arguments(env, info, 2, values) == NULL) return NULL;
  struct socket *socket = socket_argument(env, values[0]);
  if (socket == NULL) return NULL;
  if (napi_get_value_bool(env, values[1], &alive) != napi_ok) return misuse(env, "keepAlive(handle, boolean)");
  if (socket->fd >= 0) {
    if (alive) {
      uv_ref((uv_handle_t *)&socket->poll);
    } else {
      uv_unref((uv_handle_t *)&socket->poll);
    }
  }
  return undefined(env);
}

/* peer(handle): { uid, gid, pid } or -errno. */
static napi_value js_peer(napi_env env, napi_callback_info info) {
  napi_value argument, result;
  if (arguments(env, info, 1, &argument) == NULL) return NULL;
  struct socket *socket = socket_argument(env, argument);
  if (socket == NULL) return NULL;
  struct credentials peer;
  int error = socket->fd < 0 ? -EBADF : peer_credentials(socket->fd, &peer);
  if (error != 0) return integer(env, error);
  if (napi_create_object(env, &result) != napi_ok ||
      napi_set_named_property(env, result, "uid", integer(env, peer.uid)) != napi_ok ||
      napi_set_named_property(env, result, "gid", integer(env, peer.gid)) != napi_ok ||
      napi_set_named_property(env, result, "pid", integer(env, peer.pid)) != napi_ok) {
    return NULL;
  }
  return result;
}

bool socket_init(struct state *state, napi_value exports) {
  napi_value buffer;
  void *bytes;
  if (napi_create_buffer(state->env, READ_BUFFER_BYTES, &bytes, &buffer) != napi_ok ||
      napi_create_reference(state->env, buffer, 1, &state->read_buffer_reference) != napi_ok ||
      napi_set_named_property(state->env, exports, "readBuffer", buffer) != napi_ok) {
    return false;
  }
  state->read_buffer = bytes;
  return define(state, exports, "listen", js_listen) && define(state, exports, "connect", js_connect) &&
         define(state, exports, "start", js_start) && define(state, exports, "watch", js_watch) &&
         define(state, exports, "send", js_send) && define(state, exports, "shutdown", js_shutdown) &&
         define(state, exports, "close", js_close) && define(state, exports, "keepAlive", js_keep_alive) &&
         define(state, exports, "peer", js_peer);
}
