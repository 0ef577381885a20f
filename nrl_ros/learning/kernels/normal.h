/* Part of arithmetic.c: noise. */

/* Standard normal numbers: xoshiro128++ in sixteen lanes, through the inverse error function.
 *
 * Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021; Giles, "Approximating the
 * erfinv function", GPU Computing Gems, 2011 (single precision). Exactly symmetric, |z| below 5.4.
 * state: [4][16], not all zero in any lane. count: any; a started block of sixteen is used up.
 */
#define LANES 16

/* Floats at any address. */
typedef float eight __attribute__((vector_size(32), aligned(4), may_alias));

/* Eights that go through each step together: the next step waits for one before, not for all before. */
#define TOGETHER 4
#define GROUP (TOGETHER * 8)
#define EACH for (int k = 0; k < TOGETHER; ++k)
/* Numbers drawn before the next thing is done with them; they stay in the first cache. */
#define SWEEP (32 * GROUP)

/* Eight whole numbers at any address. */
typedef int32_t whole __attribute__((vector_size(32), aligned(4), may_alias));
typedef uint32_t bits __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t word __attribute__((may_alias));

#define ALIGNED __attribute__((aligned(64)))
#define ROTATED(x, n) ((x) << (n) | (x) >> (32 - (n)))

/* a b + c with one rounding, written out since the build lets the compiler fuse nothing by itself: one
 * instruction each where the machine has it, and the same bits, slowly, where it has not (before 2013). */
NRL_INLINE eight fused(eight a, eight b, float c) {
  eight sum;
  for (int i = 0; i < 8; ++i) sum[i] = __builtin_fmaf(a[i], b[i], c);
  return sum;
}

NRL_INLINE eight repeated(float x) { return (eight){x, x, x, x, x, x, x, x}; }

/* Uniform numbers in (-1, 1), never at its ends, and symmetric, from eight of the lanes at a time: the
 * generator of all sixteen would not fit into the registers of a machine without AVX-512. */
NRL_INLINE void draw_uniform(bits *state, int64_t count, float *x) {
  for (int half = 0; half < 2; ++half) {
    bits *const kept = state + half;
    bits s0 = kept[0], s1 = kept[2], s2 = kept[4], s3 = kept[6];
    for (int64_t i = 0; i < count; i += LANES) {
      const bits sum = s0 + s3, r = ROTATED(sum, 7) + s0, t = s1 << 9;
      *(eight *)(x + i + 8 * half) =
          (__builtin_convertvector((whole)(r >> 9), eight) + 0.5f) * 0x1p-22f - 1.0f;
      s2 ^= s0;
      s3 ^= s1;
      s1 ^= s2;
      s0 ^= s3;
      s2 ^= t;
      s3 = ROTATED(s3, 11);
    }
    kept[0] = s0;
    kept[2] = s1;
    kept[4] = s2;
    kept[6] = s3;
  }
}

/* log (1 - x^2) for x in (-1, 1), cephes' logf without its special cases. */
NRL_INLINE void log_rest(const eight *x, eight *out) {
  eight m[TOGETHER], e[TOGETHER], y[TOGETHER];
  EACH {
    const eight product = (1.0f - x[k]) * (1.0f + x[k]);
    /* It is 2^exponent (1 + m), 1 + m from sqrt 1/2 to sqrt 2. */
    const whole exponent = ((whole)product - 0x3f3504f3) >> 23;
    m[k] = (eight)((whole)product - (exponent << 23)) - 1.0f;
    e[k] = __builtin_convertvector(exponent, eight);
  }
  EACH y[k] = fused(m[k], repeated(7.0376836292e-2f), -1.1514610310e-1f);
  EACH y[k] = fused(y[k], m[k], 1.1676998740e-1f);
  EACH y[k] = fused(y[k], m[k], -1.2420140846e-1f);
  EACH y[k] = fused(y[k], m[k], 1.4249322787e-1f);
  EACH y[k] = fused(y[k], m[k], -1.6668057665e-1f);
  EACH y[k] = fused(y[k], m[k], 2.0000714765e-1f);
  EACH y[k] = fused(y[k], m[k], -2.4999993993e-1f);
  EACH y[k] = fused(y[k], m[k], 3.3333331174e-1f);
  EACH {
    const eight z = m[k] * m[k];
    y[k] = y[k] * m[k] * z;
    y[k] += -2.12194440e-4f * e[k] - 0.5f * z;
    out[k] = m[k] + y[k] + 0.693359375f * e[k];
  }
}

/* sqrt(2) erfinv x, where log(1 - x^2) is above -5. */
NRL_INLINE void near_normal(const eight *x, const eight *log, eight *z) {
  eight c[TOGETHER], p[TOGETHER];
  EACH c[k] = -2.5f - log[k];
  EACH p[k] = fused(c[k], repeated(2.81022636e-08f), 3.43273939e-07f);
  EACH p[k] = fused(p[k], c[k], -3.5233877e-06f);
  EACH p[k] = fused(p[k], c[k], -4.39150654e-06f);
  EACH p[k] = fused(p[k], c[k], 0.00021858087f);
  EACH p[k] = fused(p[k], c[k], -0.00125372503f);
  EACH p[k] = fused(p[k], c[k], -0.00417768164f);
  EACH p[k] = fused(p[k], c[k], 0.246640727f);
  EACH p[k] = fused(p[k], c[k], 1.50140941f);
  EACH z[k] = 1.41421356f * x[k] * p[k];
}

/* Whether any of a group may not be: negative floats are in the reverse order of their bits. */
NRL_INLINE int any_far(const float *log) {
  const word *const each = (const word *)log;
  int32_t near = -1;
  for (int i = 0; i < GROUP; ++i) near &= each[i] - (int32_t)0xc0a00000;
  return near >= 0;
}

/* Puts right those that are not, one number in three hundred. */
NRL_INLINE void far_normal(const float *x, const float *log, float *z) {
  for (int i = 0; i < GROUP; ++i) {
    const float d = __builtin_sqrtf(-log[i]) - 3.0f;
    float q = -0.000200214257f;
    q = __builtin_fmaf(q, d, 0.000100950558f);
    q = __builtin_fmaf(q, d, 0.00134934322f);
    q = __builtin_fmaf(q, d, -0.00367342844f);
    q = __builtin_fmaf(q, d, 0.00573950773f);
    q = __builtin_fmaf(q, d, -0.0076224613f);
    q = __builtin_fmaf(q, d, 0.00943887047f);
    q = __builtin_fmaf(q, d, 1.00167406f);
    q = __builtin_fmaf(q, d, 2.83297682f);
    z[i] = log[i] > -5.0f ? z[i] : 1.41421356f * x[i] * q;
  }
}

NRL_CLONES void nrl_normal_numbers(uint32_t *state, int64_t count, float *out) {
  float x[SWEEP] ALIGNED, log[SWEEP] ALIGNED, rest[GROUP] ALIGNED;
  for (int64_t at = 0; at < count; at += SWEEP) {
    const int64_t many = count - at < SWEEP ? count - at : SWEEP;
    const int64_t last = many - many % GROUP;
    /* What the last group finds beyond the numbers that are drawn is read, and not used. */
    if (last < many) memset(x + last, 0, sizeof rest);
    draw_uniform((bits *)state, many, x);
    for (int64_t i = 0; i < many; i += GROUP) {
      const eight *const xs = (const eight *)(x + i);
      eight *const logs = (eight *)(log + i);
      log_rest(xs, logs);
      near_normal(xs, logs, (eight *)(i < last ? out + at + i : rest));
    }
    /* Afterwards, since their branch would stall the others. */
    for (int64_t i = 0; i < many; i += GROUP)
      if (any_far(log + i)) far_normal(x + i, log + i, i < last ? out + at + i : rest);
    memcpy(out + at + last, rest, (size_t)(many - last) * sizeof(float));
  }
}
