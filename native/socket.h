/* A socket on uv_poll: what socket.c (streams) and seqpacket.c (packets) share. */
#ifndef CONCLAVE_SOCKET_H
#define CONCLAVE_SOCKET_H

#include "conclave.h"

enum event { EVENT_READ = 0, EVENT_WRITABLE = 1, EVENT_ACCEPT = 2 };

struct socket {
  /* First, as in every struct that JavaScript holds: what is another kind is told apart here. */
  int magic;
  uv_poll_t poll;
  struct state *state;
  /* The list of the environment: the next one, and the pointer that points here. */
  struct socket *next, **link;
  /* -1 once closed. */
  int fd;
  bool listening;
  /* Packets: the peer left with bytes of ours unread. Told after what it sent before. */
  bool reset;
  /* Packets: so many more events are taken to have brought just one. */
  unsigned char alone;
  /* UV_READABLE and UV_WRITABLE, as far as JavaScript wants them. */
  int interest;
  /* Takes what has arrived: a stream's bytes or packets. A listener hands it to those it accepts. */
  void (*receive)(struct socket *socket);
  napi_ref callback;
  /* Freed when libuv and JavaScript both let go. */
  bool with_libuv;
  bool seen;
};

/* Takes over `fd`, also when it fails. *error is 0 or -errno. The new socket is a stream. */
struct socket *new_socket(struct state *state, int fd, int *error);
/* The handle for JavaScript, or -errno; the socket is closed then. */
napi_value wrap(struct socket *socket);
/* The socket of a handle, or NULL with a TypeError pending. */
struct socket *socket_argument(napi_env env, napi_value value);
/* Waits for `interest`. */
void watch(struct socket *socket);
void call_with_integer(struct socket *socket, enum event event, int64_t value);

#endif
