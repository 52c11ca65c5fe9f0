// Stores through a function that is inlined into another one, both in files with lines that are easy to name.
#include <stdio.h>

struct cfg {
  int max;
};
struct cfg cfg;

static inline __attribute__((always_inline)) void clamp_to(struct cfg *c, int value) {
  c->max = value > 100 ? 100 : value; // line 10
}

__attribute__((noinline)) void set_limit(int value) {
  clamp_to(&cfg, value); // line 14
}

int main(void) {
  set_limit(40);
  set_limit(400);
  printf("%d\n", cfg.max);
  return 0;
}
