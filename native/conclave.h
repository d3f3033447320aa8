/* What Node lacks and Conclave needs: flock(2), peer credentials, and Unix sockets on libuv's public uv_poll. */
#ifndef CONCLAVE_H
#define CONCLAVE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define NAPI_VERSION 8

#include <node_api.h>
#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

struct socket;
struct lock;

/* One per environment (main thread or Worker): nothing in this addon is global. */
struct state {
  napi_env env;
  uv_loop_t *loop;
  napi_async_cleanup_hook_handle cleanup;
  bool ending;

  /* Open ones only. Both lists own their descriptors until close or the end of the environment. */
  struct socket *sockets;
  struct lock *locks;

  /* Everything is received here; JavaScript sees the same memory as one Buffer. */
  char *read_buffer;
  napi_ref read_buffer_reference;
  /* The same for packets; made when the first packet socket is asked for. */
  char *packet_buffer;
  napi_ref packet_buffer_reference;
};

struct credentials {
  uid_t uid;
  gid_t gid;
  pid_t pid;
};

/* Each file adds its functions to the exports. False leaves a JavaScript exception pending. */
bool flock_init(struct state *state, napi_value exports);
bool socket_init(struct state *state, napi_value exports);
bool seqpacket_init(struct state *state, napi_value exports);
bool system_init(struct state *state, napi_value exports);

/* A socket of this number was accepted: locks get a higher one. */
void flock_keep_above(struct state *state, int fd);

/* At the end of the environment. */
void flock_close_all(struct state *state);
void socket_close_all(struct state *state);
void seqpacket_end(struct state *state);
/* The last socket is gone: the environment may end. */
void state_sockets_closed(struct state *state);

/* Packets instead of bytes: what receives them, and what a socket must be told that a listener of packets accepted. */
void seqpacket_receive(struct socket *socket);
void seqpacket_adopt(struct socket *socket);

/*
 * A close-on-exec, non-blocking descriptor, or -errno. `type` is SOCK_STREAM or SOCK_SEQPACKET. The file gets `mode`,
 * whatever the umask says, and is never open wider than that.
 */
int endpoint_listen(const char *path, int type, mode_t mode, int backlog);
int endpoint_accept(int listener);
/* A local socket either has a listener with room or it does not (-EAGAIN): this never waits. */
int endpoint_connect(const char *path, int type);

/* 0 or -errno. */
int peer_credentials(int fd, struct credentials *out);

/* Arguments and results. */
bool define(struct state *state, napi_value exports, const char *name, napi_callback function);
/* The state the function was defined with; NULL when fewer arguments were given (a TypeError is pending then). */
struct state *arguments(napi_env env, napi_callback_info info, size_t count, napi_value *values);
/* A string as NUL-terminated UTF-8 that the caller frees; NULL for anything else or a string with a NUL inside. */
char *path_argument(napi_env env, napi_value value);
napi_value integer(napi_env env, int64_t value);
napi_value text(napi_env env, const char *value);
napi_value undefined(napi_env env);
/* A TypeError: a mistake in our own TypeScript, never the user's. */
napi_value misuse(napi_env env, const char *message);

#endif
