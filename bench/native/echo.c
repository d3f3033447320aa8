/*
 * The least a round trip over a Unix socket can cost: blocking calls, no protocol.
 * echo server stream|seqpacket <path>                   answers what comes with itself, one process a connection
 * echo client stream|seqpacket <path> <bytes> <rounds>  prints the median and the 99th percentile in nanoseconds
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static char packet[131072];

static struct sockaddr_un address_of(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  return address;
}

static int server(int type, const char *path) {
  struct sockaddr_un address = address_of(path);
  int listener = socket(AF_UNIX, type, 0);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 8) != 0) return 1;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGCHLD, SIG_IGN);
  printf("ready\n");
  fflush(stdout);
  for (;;) {
    int fd = accept(listener, NULL, NULL);
    if (fork() == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (;;) {
        ssize_t length = recv(fd, packet, sizeof packet, 0);
        if (length <= 0 || send(fd, packet, (size_t)length, MSG_NOSIGNAL) < 0) _exit(0);
      }
    }
    close(fd);
  }
}

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int compare(const void *left, const void *right) {
  uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
  return a < b ? -1 : a > b;
}

static int receive(int fd, size_t bytes) {
  for (size_t have = 0; have < bytes;) {
    ssize_t length = recv(fd, packet, sizeof packet, 0);
    if (length <= 0) return -1;
    have += (size_t)length;
  }
  return 0;
}

static int client(int type, const char *path, size_t bytes, size_t rounds) {
  struct sockaddr_un address = address_of(path);
  int fd = socket(AF_UNIX, type, 0);
  if (rounds == 0 || bytes > sizeof packet || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) return 1;
  uint64_t *times = calloc(rounds, sizeof *times);
  for (size_t round = 0; round < rounds; round++) {
    uint64_t begin = now();
    if (send(fd, packet, bytes, 0) < 0 || receive(fd, bytes) < 0) return 1;
    times[round] = now() - begin;
  }
  qsort(times, rounds, sizeof *times, compare);
  printf("%llu %llu\n", (unsigned long long)times[rounds / 2], (unsigned long long)times[rounds * 99 / 100]);
  free(times);
  return 0;
}

int main(int count, char **words) {
  int type = count > 2 && strcmp(words[2], "seqpacket") == 0 ? SOCK_SEQPACKET : SOCK_STREAM;
  if (count == 4 && strcmp(words[1], "server") == 0) return server(type, words[3]);
  if (count == 6 && strcmp(words[1], "client") == 0) {
    return client(type, words[3], (size_t)atol(words[4]), (size_t)atol(words[5]));
  }
  return 2;
}
