// The target of `npm run bench -- attach` and `-- start`: `threads N` starts N sleeping threads, prints "ready PID", and
// ends when its standard input does. `threads 0 now` ends at once.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((aligned(4096))) volatile int counter[2048] = {1};

static void *sleeper(void *unused) {
  for (;;) pause();
  return unused;
}

int main(int argc, char **argv) {
  int threads = argc > 1 ? atoi(argv[1]) : 0;
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, 64 * 1024);
  for (int i = 0; i < threads; i++) {
    pthread_t thread;
    if (pthread_create(&thread, &attr, sleeper, NULL) != 0) return 3;
  }
  printf("ready %d\n", (int)getpid());
  fflush(stdout);
  char byte;
  if (argc < 3 && read(0, &byte, 1) < 0) return 4;
  return 0;
}
