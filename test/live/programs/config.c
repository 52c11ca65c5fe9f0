// Two threads and a read(2) change a member of a struct behind a pointer: the threads take turns, so that the order of
// their stores is known: 10, 20, 30, … in the one, 11, 21, 31, … in the other; then read(2) stores 75, and main 76.
#include <pthread.h>
#include <unistd.h>

struct limits {
  int min, max;
};
struct cfg {
  long generation;
  struct limits limits[3];
};
static struct cfg storage;
struct cfg *cfg = &storage;

static volatile int turn;
#define ROUNDS 6

static void *even(void *unused) {
  for (int i = 1; i <= ROUNDS; i++) {
    while (turn != 0) usleep(50);
    cfg->limits[2].max = 10 * i; // even
    turn = 1;
  }
  return unused;
}

static void *odd(void *unused) {
  for (int i = 1; i <= ROUNDS; i++) {
    while (turn != 1) usleep(50);
    cfg->limits[2].max = 10 * i + 1; // odd
    turn = 0;
  }
  return unused;
}

int main(void) {
  pthread_t threads[2];
  pthread_create(&threads[0], NULL, even, NULL);
  pthread_create(&threads[1], NULL, odd, NULL);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  int ends[2], value = 75;
  if (pipe(ends) != 0 || write(ends[1], &value, sizeof value) != sizeof value) return 1;
  if (read(ends[0], &cfg->limits[2].max, sizeof value) != sizeof value) return 1;
  cfg->limits[2].max += 1; // main
  return 0;
}
