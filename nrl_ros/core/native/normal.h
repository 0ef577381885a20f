/* Part of kernel.c: noise. */

/* Standard normal numbers: xoshiro128++ in sixteen lanes, through the inverse error function.
 *
 * Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021; Giles, "Approximating the
 * erfinv function", GPU Computing Gems, 2011 (single precision). Exactly symmetric, |z| below 5.4.
 * state: [4][16], not all zero in any lane. count: any; a started block of sixteen is used up.
 */
#define LANES 16

static inline uint32_t rotl(uint32_t x, int k) { return (x << k) | (x >> (32 - k)); }

/* log x for x in (0, 1], cephes' logf without its special cases. */
static inline float log_unit(float x) {
  union {
    float f;
    int32_t i;
  } u = {x};
  int32_t exponent = ((u.i >> 23) & 0xff) - 126;
  u.i = (u.i & 0x007fffff) | 0x3f000000;
  float m = u.f;
  const int small = m < 0.707106781186547524f;
  exponent -= small;
  m = small ? m + m - 1.0f : m - 1.0f;
  const float e = (float)exponent, z = m * m;
  float y = 7.0376836292e-2f;
  y = y * m - 1.1514610310e-1f;
  y = y * m + 1.1676998740e-1f;
  y = y * m - 1.2420140846e-1f;
  y = y * m + 1.4249322787e-1f;
  y = y * m - 1.6668057665e-1f;
  y = y * m + 2.0000714765e-1f;
  y = y * m - 2.4999993993e-1f;
  y = y * m + 3.3333331174e-1f;
  y = y * m * z;
  y += -2.12194440e-4f * e - 0.5f * z;
  return m + y + 0.693359375f * e;
}

NRL_EXPORT NRL_CLONES void nrl_normal(uint32_t *state, int64_t count, float *out) {
  uint32_t s0[LANES], s1[LANES], s2[LANES], s3[LANES];
  float block[LANES];
  memcpy(s0, state, sizeof s0);
  memcpy(s1, state + LANES, sizeof s1);
  memcpy(s2, state + 2 * LANES, sizeof s2);
  memcpy(s3, state + 3 * LANES, sizeof s3);
  for (int64_t at = 0; at < count; at += LANES) {
    float x[LANES], w[LANES];
    int far = 0;
    for (int k = 0; k < LANES; ++k) {
      const uint32_t r = rotl(s0[k] + s3[k], 7) + s0[k];
      const uint32_t t = s1[k] << 9;
      s2[k] ^= s0[k];
      s3[k] ^= s1[k];
      s1[k] ^= s2[k];
      s0[k] ^= s3[k];
      s2[k] ^= t;
      s3[k] = rotl(s3[k], 11);
      /* In (-1, 1), never at its ends, and symmetric. */
      x[k] = ((float)(int32_t)(r >> 9) + 0.5f) * 0x1p-22f - 1.0f;
      w[k] = -log_unit((1.0f - x[k]) * (1.0f + x[k]));
      far |= w[k] >= 5.0f;
      const float c = w[k] - 2.5f;
      float p = 2.81022636e-08f;
      p = p * c + 3.43273939e-07f;
      p = p * c - 3.5233877e-06f;
      p = p * c - 4.39150654e-06f;
      p = p * c + 0.00021858087f;
      p = p * c - 0.00125372503f;
      p = p * c - 0.00417768164f;
      p = p * c + 0.246640727f;
      p = p * c + 1.50140941f;
      block[k] = 1.41421356f * x[k] * p;
    }
    /* One number in three hundred. */
    if (far)
      for (int k = 0; k < LANES; ++k) {
        const float d = __builtin_sqrtf(w[k]) - 3.0f;
        float q = -0.000200214257f;
        q = q * d + 0.000100950558f;
        q = q * d + 0.00134934322f;
        q = q * d - 0.00367342844f;
        q = q * d + 0.00573950773f;
        q = q * d - 0.0076224613f;
        q = q * d + 0.00943887047f;
        q = q * d + 1.00167406f;
        q = q * d + 2.83297682f;
        block[k] = w[k] < 5.0f ? block[k] : 1.41421356f * x[k] * q;
      }
    const int64_t left = count - at;
    memcpy(out + at, block, (size_t)(left < LANES ? left : LANES) * sizeof(float));
  }
  memcpy(state, s0, sizeof s0);
  memcpy(state + LANES, s1, sizeof s1);
  memcpy(state + 2 * LANES, s2, sizeof s2);
  memcpy(state + 3 * LANES, s3, sizeof s3);
}
