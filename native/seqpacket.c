/*
 * Unix sockets that keep the boundaries of messages: SOCK_SEQPACKET, which Linux has and macOS has not. Only what
 * differs from streams is here: how they are made, and how packets are taken.
 */
#include "socket.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* The largest packet that is taken whole. A longer one ends the connection with EMSGSIZE: its rest is gone. */
#define PACKET_BUFFER_BYTES (128 * 1024)

#ifdef __APPLE__

void seqpacket_receive(struct socket *socket) { (void)socket; }
void seqpacket_adopt(struct socket *socket) { (void)socket; }
void seqpacket_end(struct state *state) { (void)state; }

static napi_value js_packet_buffer(napi_env env, napi_callback_info info) {
  (void)info;
  return undefined(env);
}

static napi_value js_unsupported(napi_env env, napi_callback_info info) {
  (void)info;
  return integer(env, -ENOTSUP);
}

bool seqpacket_init(struct state *state, napi_value exports) {
  return define(state, exports, "packetBuffer", js_packet_buffer) &&
         define(state, exports, "listenPackets", js_unsupported) &&
         define(state, exports, "connectPackets", js_unsupported) && define(state, exports, "peerState", js_unsupported);
}

#else

/* Turns of one socket before the others have theirs. */
#define PACKETS_PER_EVENT 32
#define BYTES_PER_EVENT (256 * 1024)
/*
 * Looking for a second packet costs a system call, and in an exchange of calls there never is one. When an event brought
 * only one, the next few are taken to do so too: libuv calls again when there was more.
 */
#define ALONE_EVENTS 15

/*
 * What the kernel keeps for one connection that its peer has not read. Told to be writable only when three quarters of
 * it are free, a socket with the usual 208 KiB carries one large packet at a time; the kernel doubles this number, and
 * caps it (net.core.wmem_max).
 */
#define SEND_BUFFER_BYTES (512 * 1024)

/* As recv(2), or -errno. */
static ssize_t take_packet(struct socket *socket) {
  struct iovec space = {socket->state->packet_buffer, PACKET_BUFFER_BYTES};
  struct msghdr packet = {.msg_iov = &space, .msg_iovlen = 1};
  ssize_t length;
  do {
    /* Descriptors that a peer sends along find no room here, and the kernel closes them. */
    length = recvmsg(socket->fd, &packet, 0);
  } while (length < 0 && errno == EINTR);
  if (length < 0) return -errno;
  return packet.msg_flags & MSG_TRUNC ? -EMSGSIZE : length;
}

void seqpacket_receive(struct socket *socket) {
  ssize_t bytes = 0;
  int most = socket->alone > 0 ? 1 : PACKETS_PER_EVENT;
  if (socket->alone > 0) socket->alone--;
  for (int turn = 0; turn < most && bytes < BYTES_PER_EVENT; turn++) {
    /* JavaScript may have paused or closed it in the callback. */
    if (socket->fd < 0 || (socket->interest & UV_READABLE) == 0) return;
    ssize_t length = take_packet(socket);
    if (length == -EAGAIN || length == -EWOULDBLOCK) {
      if (turn == 1) socket->alone = ALONE_EVENTS;
      return;
    }
    if (length == -ECONNRESET && !socket->reset) {
      /* For packets, unlike streams, the kernel tells the error before what came ahead of it: that is still there. */
      socket->reset = true;
      most = PACKETS_PER_EVENT;
      continue;
    }
    if (length <= 0) {
      /* An empty packet and the end look alike; so they do to everybody who speaks to such a peer. */
      socket->interest &= ~UV_READABLE;
      watch(socket);
      call_with_integer(socket, EVENT_READ, length == 0 && socket->reset ? -ECONNRESET : length);
      return;
    }
    bytes += length;
    /* A long one is a part of something longer. */
    if (length > PACKET_BUFFER_BYTES / 2) most = PACKETS_PER_EVENT;
    call_with_integer(socket, EVENT_READ, length);
  }
}

void seqpacket_adopt(struct socket *socket) {
  int bytes = SEND_BUFFER_BYTES;
  socket->receive = seqpacket_receive;
  /* Less room is slower and nothing else. */
  (void)setsockopt(socket->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

void seqpacket_end(struct state *state) {
  if (state->packet_buffer_reference != NULL) napi_delete_reference(state->env, state->packet_buffer_reference);
  state->packet_buffer_reference = NULL;
}

/* packetBuffer(): where packets are received; undefined on a system without them. Asked for before the first socket. */
static napi_value js_packet_buffer(napi_env env, napi_callback_info info) {
  napi_value buffer = NULL;
  void *bytes;
  struct state *state = arguments(env, info, 0, NULL);
  if (state == NULL) return NULL;
  if (state->packet_buffer_reference != NULL) {
    napi_get_reference_value(env, state->packet_buffer_reference, &buffer);
    return buffer;
  }
  if (napi_create_buffer(env, PACKET_BUFFER_BYTES, &bytes, &buffer) != napi_ok ||
      napi_create_reference(env, buffer, 1, &state->packet_buffer_reference) != napi_ok) {
    return NULL;
  }
  state->packet_buffer = bytes;
  return buffer;
}

/* listenPackets(path, backlog, mode): a handle or -errno. */
static napi_value js_listen_packets(napi_env env, napi_callback_info info) {
  napi_value values[3];
  int32_t backlog;
  uint32_t mode;
  struct state *state = arguments(env, info, 3, values);
  if (state == NULL) return NULL;
  char *path = path_argument(env, values[0]);
  if (path == NULL || state->packet_buffer == NULL || napi_get_value_int32(env, values[1], &backlog) != napi_ok ||
      napi_get_value_uint32(env, values[2], &mode) != napi_ok || mode > 0777) {
    free(path);
    return misuse(env, "listenPackets(path, backlog, mode), after packetBuffer()");
  }
  int error = 0;
  int fd = endpoint_listen(path, SOCK_SEQPACKET, mode, backlog);
  struct socket *socket = fd < 0 ? NULL : new_socket(state, fd, &error);
  if (fd >= 0 && socket == NULL) unlink(path);
  free(path);
  if (socket == NULL) return integer(env, fd < 0 ? fd : error);
  socket->listening = true;
  socket->receive = seqpacket_receive;
  return wrap(socket);
}

/* connectPackets(path): a handle or -errno. */
static napi_value js_connect_packets(napi_env env, napi_callback_info info) {
  napi_value argument;
  struct state *state = arguments(env, info, 1, &argument);
  if (state == NULL) return NULL;
  char *path = path_argument(env, argument);
  if (path == NULL || state->packet_buffer == NULL) {
    free(path);
    return misuse(env, "connectPackets(path), after packetBuffer()");
  }
  int error = 0;
  int fd = endpoint_connect(path, SOCK_SEQPACKET);
  free(path);
  struct socket *socket = fd < 0 ? NULL : new_socket(state, fd, &error);
  if (socket == NULL) return integer(env, fd < 0 ? fd : error);
  seqpacket_adopt(socket);
  return wrap(socket);
}

/* peerState(handle): 0 it is there, 1 it has ended its side, 2 it has closed; also before what it sent last is read. */
static napi_value js_peer_state(napi_env env, napi_callback_info info) {
  napi_value argument;
  if (arguments(env, info, 1, &argument) == NULL) return NULL;
  struct socket *socket = socket_argument(env, argument);
  if (socket == NULL) return NULL;
  if (socket->fd < 0) return integer(env, 2);
  struct pollfd look = {.fd = socket->fd, .events = POLLRDHUP};
  if (poll(&look, 1, 0) <= 0) return integer(env, 0);
  return integer(env, look.revents & (POLLHUP | POLLERR | POLLNVAL) ? 2 : look.revents & POLLRDHUP ? 1 : 0);
}

bool seqpacket_init(struct state *state, napi_value exports) {
  return define(state, exports, "packetBuffer", js_packet_buffer) &&
         define(state, exports, "listenPackets", js_listen_packets) &&
         define(state, exports, "connectPackets", js_connect_packets) && define(state, exports, "peerState", js_peer_state);
}

#endif
