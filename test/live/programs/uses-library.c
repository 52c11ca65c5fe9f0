// Two stores of its own to the library's variable (through a copy relocation where it is linked at a fixed address).
extern volatile int library_value;
void library_store(void);

__attribute__((noinline)) void own_store(void) {
  for (int i = 0; i < 2; i++) library_value = i;
}

int main(void) {
  library_store();
  own_store();
  return 0;
}
