// A variable of a shared library: five stores when it is loaded, three a call of `library_store`.
volatile int library_value;

__attribute__((noinline)) static void fill(int times) {
  for (int i = 0; i < times; i++) library_value = i;
}
__attribute__((constructor)) static void library_loaded(void) { fill(5); }
void library_store(void) { fill(3); }
