/* The arithmetic of the learner; see arithmetic.h. Plain C, no Python and no numpy headers. */
#include "arithmetic.h"

#include <string.h>

#ifdef NRL_CLONES
/* Given by whoever builds it for one machine. */
#elif defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
/* One build for every x86-64 machine, at its full width. */
#define NRL_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define NRL_CLONES
#endif

/* No vector leaves this file. */
#pragma GCC diagnostic ignored "-Wpsabi"

/* Compiled with each caller, for the caller's machine. */
#define NRL_INLINE static inline __attribute__((always_inline))

/* Four doubles at any address: plain loops over the same arithmetic were not all made into vectors. */
typedef double quad __attribute__((vector_size(32), aligned(8), may_alias));
typedef int64_t longs __attribute__((vector_size(32), aligned(8), may_alias));
typedef uint64_t unsigned_longs __attribute__((vector_size(32), aligned(8), may_alias));

NRL_INLINE quad choose(longs where, quad yes, quad no) {
  return (quad)(((longs)yes & where) | ((longs)no & ~where));
}

/* exp x for x <= 0, to the last digits of a double; below -708 that of -708. */
NRL_INLINE quad exp_negative(quad x) {
  const quad least = {-708.0, -708.0, -708.0, -708.0};
  x = choose(x < least, least, x);
  /* The nearest whole number stands in the low bits. */
  const quad n = x * 1.4426950408889634 + 0x1.8p52, k = n - 0x1.8p52;
  const quad r = (x - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10;
  quad p = 1.0 / 479001600.0 * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  return (quad)((longs)p + ((longs)n << 52));
}

/* log x for x >= 1: fdlibm's e_log.c without its special cases. */
NRL_INLINE quad log_above_one(quad x) {
  /* Halves from 1.414 on are taken with the next exponent. The sign is never set. */
  const longs shifted = (longs)x + (0x3ff0000000000000LL - 0x3fe6a09e667f3bcdLL);
  const longs exponent = (longs)((unsigned_longs)shifted >> 52) - 1023;
  /* A whole number as a double without a conversion, which not every machine has for many at once. */
  const quad k = (quad)(exponent + 0x4338000000000000LL) - 0x1.8p52;
  const quad f = (quad)((longs)x - (exponent << 52)) - 1.0, s = f / (2.0 + f), z = s * s;
  quad r = 1.479819860511658591e-01 * z + 1.531383769920937332e-01;
  r = r * z + 1.818357216161805012e-01;
  r = r * z + 2.222219843214978396e-01;
  r = r * z + 2.857142874366239149e-01;
  r = r * z + 3.999999999940941908e-01;
  r = r * z + 6.666666666666735130e-01;
  r *= z;
  const quad half = 0.5 * f * f;
  return k * 6.93147180369123816490e-01 -
         ((half - (s * (half + r) + k * 1.90821492927058770002e-10)) - f);
}

/* Terms of a softmax that are kept, not computed anew. */
#define KEPT 16
/* Instances that go through the softmax together: two quads of them. */
#define WIDE 8

#define real float
#define NAME(function) function##_float
#define SIDE 8
#define SUM_OF_HALF(p) ((p[0] + p[2]) + (p[1] + p[3]))
#include "reals.h"
#undef real
#undef NAME
#undef SIDE
#undef SUM_OF_HALF

#define real double
#define NAME(function) function##_double
#define SIDE 4
#define SUM_OF_HALF(p) (p[0] + p[1])
#include "reals.h"

#include "normal.h"
