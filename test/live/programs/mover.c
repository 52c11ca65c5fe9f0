// Moves what a pointer leads to, and stores there, as lines of input say:
//   o: cfg leads to another object   i: cfg->list leads to another node   n: cfg is null
//   s: stores to the count twice     t: the same in a thread that runs from the first t on
// Each is answered with "done" and the address of the count. An argument: cfg leads somewhere before the first line.
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>

struct node { long count; int table[4]; };
struct cfg { struct node *list; int other; };
static struct node nodes[4096];
static struct cfg cfgs[4096];
struct cfg *cfg;
static int used;
static long value;
static sem_t wanted, finished;

static void move_cfg(void) {
  struct cfg *fresh = &cfgs[used % 4096];
  fresh->list = &nodes[used++ % 4096];
  cfg = fresh;
}

__attribute__((noinline)) static void store(void) {
  for (int i = 0; i < 2; i++) {
    cfg->list->count = ++value;
    *(volatile long *)&value;
    __asm__ volatile("" ::: "memory");
  }
}

static void *work(void *unused) {
  (void)unused;
  for (;;) {
    sem_wait(&wanted);
    store();
    sem_post(&finished);
  }
}

int main(int argc, char **argv) {
  char line[16];
  int threads = 0;
  pthread_t thread;
  sem_init(&wanted, 0, 0);
  sem_init(&finished, 0, 0);
  if (argc > 1) move_cfg();
  printf("ready\n");
  fflush(stdout);
  while (fgets(line, sizeof line, stdin) != NULL && line[0] != 'q') {
    if (line[0] == 'o') move_cfg();
    if (line[0] == 'i') cfg->list = &nodes[used++ % 4096];
    if (line[0] == 'n') cfg = NULL;
    if (line[0] == 's') store();
    if (line[0] == 't') {
      if (threads++ == 0) pthread_create(&thread, NULL, work, NULL);
      sem_post(&wanted);
      sem_wait(&finished);
    }
    printf("done %p\n", cfg == NULL ? NULL : (void *)&cfg->list->count);
    fflush(stdout);
  }
  return 0;
}
