// Prints its arguments, a line each, every byte in hexadecimal.
#include <stdio.h>

volatile int counter;

int main(int argc, char **argv) {
  counter = argc;
  for (int i = 0; i < argc; i++) {
    for (unsigned char *byte = (unsigned char *)argv[i]; *byte != 0; byte++) printf("%02x", *byte);
    printf("\n");
  }
  return 0;
}
