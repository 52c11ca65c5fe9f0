// Two threads race on one variable: the first stores even numbers, the other odd ones, 5,000 times each.
#include <pthread.h>
volatile long v;
static void *odd(void*a){for(long i=0;i<5000;i++) v=2*i+1; return 0;}
int main(){pthread_t t; pthread_create(&t,0,odd,0); for(long i=0;i<5000;i++) v=2*i; pthread_join(t,0); return 0;}
