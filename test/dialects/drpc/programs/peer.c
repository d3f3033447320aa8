/*
 * A peer in the manner of the C implementation: header as a native struct, blocking calls, sequences from 0, and an abort
 * on a message that has no bytes.
 *
 * peer client <path> <module> <method> <count> <bytes>    sends echo calls, prints "sequence status bytes equal"
 * peer server <path>                                      echoes the calls of one connection after the other
 * peer late <path>                                        one connection: answers the first call only after the second
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_PACKET (1 << 17)
#define ASSERT(what) \
  do { \
    if (!(what)) { fprintf(stderr, "Assertion failed: %s\n", #what); abort(); } \
  } while (0)

struct header {
  uint64_t total_data_size;
  uint64_t chunk_data_size;
  uint32_t chunk_idx;
  uint32_t total_chunks;
};
#define MAX_DATA (MAX_PACKET - sizeof(struct header))

struct message {
  uint8_t *data;
  size_t size;
};

struct call {
  int32_t module, method;
  int64_t sequence;
  int32_t status;
  const uint8_t *body;
  size_t body_size;
};

static size_t put_varint(uint8_t *to, uint64_t value) {
  size_t size = 0;
  do to[size++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
  while ((value >>= 7) != 0);
  return size;
}

static uint64_t get_varint(const uint8_t **at, const uint8_t *end) {
  uint64_t value = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    ASSERT(*at < end);
    uint8_t byte = *(*at)++;
    value |= (uint64_t)(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  ASSERT(!"varint");
  return 0;
}

/* numbers[1..3] are the varint fields 1 to 3; the body has the field `body_field`. */
static struct message encode(const int64_t numbers[4], int body_field, const uint8_t *body, size_t body_size) {
  struct message message = {malloc(64 + body_size), 0};
  for (int field = 1; field <= 3; field++) {
    if (numbers[field] == 0) continue;
    message.data[message.size++] = (uint8_t)(field << 3);
    message.size += put_varint(message.data + message.size, (uint64_t)numbers[field]);
  }
  if (body_size > 0) {
    message.data[message.size++] = (uint8_t)(body_field << 3 | 2);
    message.size += put_varint(message.data + message.size, body_size);
    memcpy(message.data + message.size, body, body_size);
    message.size += body_size;
  }
  return message;
}

static void decode(struct message message, int body_field, int64_t numbers[4], const uint8_t **body, size_t *body_size) {
  const uint8_t *at = message.data, *end = message.data + message.size;
  memset(numbers, 0, 4 * sizeof *numbers);
  *body = NULL;
  *body_size = 0;
  while (at < end) {
    uint64_t tag = get_varint(&at, end);
    if ((tag & 7) == 2) {
      ASSERT((int)(tag >> 3) == body_field);
      *body_size = get_varint(&at, end);
      *body = at;
      ASSERT(*body_size <= (size_t)(end - at));
      at += *body_size;
    } else {
      ASSERT((tag & 7) == 0 && (tag >> 3) <= 3);
      numbers[tag >> 3] = (int64_t)get_varint(&at, end);
    }
  }
}

static void send_message(int fd, struct message message) {
  static uint8_t packet[MAX_PACKET];
  ASSERT(message.size > 0); /* As upstream: nothing to send is a fault. */
  uint32_t count = (uint32_t)((message.size + MAX_DATA - 1) / MAX_DATA);
  for (uint32_t index = 0; index < count; index++) {
    size_t start = index * MAX_DATA, size = message.size - start < MAX_DATA ? message.size - start : MAX_DATA;
    struct header header = {message.size, size, index, count};
    memcpy(packet, &header, sizeof header);
    memcpy(packet + sizeof header, message.data + start, size);
    if (send(fd, packet, sizeof header + size, MSG_NOSIGNAL) < 0) exit(3);
  }
}

/* False at the end of the connection. */
static int receive_message(int fd, struct message *message) {
  static uint8_t packet[MAX_PACKET];
  struct header header;
  uint32_t index = 0;
  size_t filled = 0;
  message->data = NULL;
  do {
    ssize_t length = recv(fd, packet, sizeof packet, 0);
    if (length <= 0) return 0;
    ASSERT((size_t)length >= sizeof header);
    memcpy(&header, packet, sizeof header);
    ASSERT(header.chunk_idx == index++);
    ASSERT(header.chunk_data_size == (size_t)length - sizeof header);
    if (message->data == NULL) {
      ASSERT(header.total_data_size > 0); /* The abort that a message of nothing brings. */
      message->data = malloc(header.total_data_size);
      message->size = header.total_data_size;
    }
    ASSERT(header.total_data_size == message->size && filled + header.chunk_data_size <= message->size);
    ASSERT(header.chunk_idx == header.total_chunks - 1 || (size_t)length == MAX_PACKET);
    memcpy(message->data + filled, packet + sizeof header, header.chunk_data_size);
    filled += header.chunk_data_size;
  } while (index < header.total_chunks);
  ASSERT(filled == message->size);
  return 1;
}

static struct sockaddr_un address_of(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  ASSERT(strlen(path) < sizeof address.sun_path);
  strcpy(address.sun_path, path);
  return address;
}

static int client(const char *path, int module, int method, int count, size_t size) {
  struct sockaddr_un address = address_of(path);
  int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
  ASSERT(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
  uint8_t *sent = malloc(size + 1);
  for (size_t at = 0; at < size; at++) sent[at] = (uint8_t)at;
  for (int sequence = 0; sequence < count; sequence++) {
    int64_t numbers[4] = {0, module, method, sequence};
    struct message call = encode(numbers, 4, sent, size), answer;
    send_message(fd, call);
    if (!receive_message(fd, &answer)) return 4;
    const uint8_t *body;
    size_t body_size;
    decode(answer, 3, numbers, &body, &body_size);
    int equal = body_size == size && (size == 0 || memcmp(body, sent, size) == 0);
    printf("%" PRId64 " %" PRId64 " %zu %s\n", numbers[1], numbers[2], body_size, equal ? "equal" : "different");
    free(call.data);
    free(answer.data);
  }
  free(sent);
  close(fd);
  return 0;
}

static void answer_call(int fd, struct message call) {
  int64_t numbers[4];
  const uint8_t *body;
  size_t size;
  decode(call, 4, numbers, &body, &size);
  int64_t answer_numbers[4] = {0, numbers[3], 0, 0};
  struct message answer = encode(answer_numbers, 3, body, size);
  send_message(fd, answer);
  free(answer.data);
  free(call.data);
}

static int server(const char *path, int late) {
  struct sockaddr_un address = address_of(path);
  int listener = socket(AF_UNIX, SOCK_SEQPACKET, 0);
  ASSERT(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 8) == 0);
  printf("ready\n");
  fflush(stdout);
  for (;;) {
    int fd = accept(listener, NULL, NULL);
    struct message call, first;
    if (late && receive_message(fd, &first)) {
      if (receive_message(fd, &call)) {
        answer_call(fd, first);
        answer_call(fd, call);
      }
    }
    while (receive_message(fd, &call)) answer_call(fd, call);
    close(fd);
  }
}

int main(int count, char **words) {
  if (count == 7 && strcmp(words[1], "client") == 0) {
    return client(words[2], atoi(words[3]), atoi(words[4]), atoi(words[5]), (size_t)atol(words[6]));
  }
  if (count == 3 && strcmp(words[1], "server") == 0) return server(words[2], 0);
  if (count == 3 && strcmp(words[1], "late") == 0) return server(words[2], 1);
  return 2;
}
