// Stores to an array of ints as lines of input say: an index, or "v" for four at once from 2 on.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int table[10];
static int value;

int main(void) {
  char line[16];
  printf("ready\n");
  fflush(stdout);
  while (fgets(line, sizeof line, stdin) != NULL && line[0] != 'q') {
    if (line[0] == 'v') {
      long pair[2] = {0x200000001, 0x400000003};
      __asm__ volatile("movq %1, %0" : "=m"(*(long *)&table[2]) : "r"(pair[0]));
      __asm__ volatile("movq %1, %0" : "=m"(*(long *)&table[4]) : "r"(pair[1]));
    } else {
      ((volatile int *)table)[atoi(line)] = 10 * ++value;
    }
    printf("done\n");
    fflush(stdout);
  }
  return 0;
}
