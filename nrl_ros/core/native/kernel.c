/* The step of a small policy network, fused: passes, softmax head, eligibility rows, trace products.
 *
 * Plain C, no Python and no numpy headers: nrl_ros/core/kernels.py calls it through ctypes with
 * pointers to float32 arrays. It computes what network.py, heads.py, node_perturbation.py and traces.py
 * compute, up to rounding; a test compares both. Results depend only on the arguments.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
/* One build for every x86-64 machine, at its full width. */
#define NRL_CLONES __attribute__((target_clones("arch=x86-64-v4", "avx2,fma", "default")))
#else
#define NRL_CLONES
#endif

#define NRL_EXPORT __attribute__((visibility("default")))

/* Changes with every change of an argument list; kernels.py refuses another one. */
NRL_EXPORT int32_t nrl_kernel_version(void) { return 3; }

/* Eight floats at any address. */
typedef float eight __attribute__((vector_size(32), aligned(4), may_alias));

/* COUNT rows of out = x . wt, whose sums stay in registers: a plain loop, which kept them in memory,
 * took three times as long for 64 x 64. Every sum runs over the inputs in order, whatever the block. */
#define NRL_ROWS(COUNT)                                                                            \
  do {                                                                                             \
    int64_t j = 0;                                                                                 \
    for (; j + 16 <= n_out; j += 16) {                                                             \
      eight sum[COUNT][2] = {{{0}}};                                                               \
      for (int64_t i = 0; i < n_in; ++i) {                                                         \
        const eight *w = (const eight *)(wt + i * n_out + j);                                      \
        for (int k = 0; k < COUNT; ++k) {                                                          \
          sum[k][0] += x[(r + k) * ldx + i] * w[0];                                                \
          sum[k][1] += x[(r + k) * ldx + i] * w[1];                                                \
        }                                                                                          \
      }                                                                                            \
      for (int k = 0; k < COUNT; ++k) {                                                            \
        eight *o = (eight *)(out + (r + k) * n_out + j);                                           \
        o[0] = sum[k][0];                                                                          \
        o[1] = sum[k][1];                                                                          \
      }                                                                                            \
    }                                                                                              \
    for (; j < n_out; ++j)                                                                         \
      for (int k = 0; k < COUNT; ++k) {                                                            \
        float sum = 0.0f;                                                                          \
        for (int64_t i = 0; i < n_in; ++i) sum += x[(r + k) * ldx + i] * wt[i * n_out + j];        \
        out[(r + k) * n_out + j] = sum;                                                            \
      }                                                                                            \
  } while (0)

/* out[rows][n_out] = x[rows][n_in] . wt[n_in][n_out]; rows of x are ldx apart. */
NRL_CLONES static void product(const float *x, int64_t ldx, const float *wt, float *out,
                               int64_t rows, int64_t n_in, int64_t n_out) {
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) NRL_ROWS(4);
  for (; r < rows; ++r) NRL_ROWS(1);
}

/* The same for few outputs: dot products along the inputs. */
NRL_CLONES static void product_few(const float *x, int64_t ldx, const float *w, float *out,
                                   int64_t rows, int64_t n_in, int64_t n_out) {
  for (int64_t r = 0; r < rows; ++r) {
    const float *xr = x + r * ldx;
    for (int64_t j = 0; j < n_out; ++j) {
      const float *wj = w + j * n_in;
      /* Sixteen partial sums: a fixed order that still vectorises. */
      float part[16] = {0};
      int64_t i = 0;
      for (; i + 16 <= n_in; i += 16)
        for (int k = 0; k < 16; ++k) part[k] += xr[i + k] * wj[i + k];
      float sum = 0.0f;
      for (int k = 0; k < 16; ++k) sum += part[k];
      for (; i < n_in; ++i) sum += xr[i] * wj[i];
      out[r * n_out + j] = sum;
    }
  }
}

NRL_CLONES static void add_noise(float *pre, const float *noise, int64_t ldn, float sigma,
                                 int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r) {
    float *p = pre + r * n;
    const float *z = noise + r * ldn;
    for (int64_t j = 0; j < n; ++j) p[j] += sigma * z[j];
  }
}

NRL_CLONES static void leaky(const float *pre, float *post, int64_t ldp, float leak, int64_t rows,
                             int64_t n) {
  for (int64_t r = 0; r < rows; ++r) {
    const float *p = pre + r * n;
    float *q = post + r * ldp;
    for (int64_t j = 0; j < n; ++j) {
      const float low = leak * p[j];
      q[j] = p[j] > low ? p[j] : low;
    }
  }
}

/* Clean and noisy outputs, and the presynaptic rows of the noisy passes, or of the clean one without any.
 *
 * sizes[layers + 1]: neurons, inputs first. weights[l]: [n_out][n_in + bias]. observation: [batch][O].
 * noise: unit noise [samples * batch][N], may be null when samples is 0. z: [1 + samples][batch][outputs].
 * pre_rows: [max(samples, 1) * batch][M]. work: scratch of work_size(...) floats.
 */
NRL_EXPORT int64_t nrl_work_size(int64_t layers, const int64_t *sizes, int64_t bias, int64_t rows) {
  int64_t widest = 0, largest = 0;
  for (int64_t l = 0; l <= layers; ++l)
    if (sizes[l] + bias > widest) widest = sizes[l] + bias;
  for (int64_t l = 0; l < layers; ++l)
    if (sizes[l + 1] * (sizes[l] + bias) > largest) largest = sizes[l + 1] * (sizes[l] + bias);
  return 3 * rows * widest + largest;
}

NRL_EXPORT void nrl_forward(int64_t layers, const int64_t *sizes, int64_t bias,
                            const float *const *weights, float leak, float sigma, int64_t batch,
                            int64_t samples, const float *observation, const float *noise, float *z,
                            float *pre_rows, float *work) {
  const int64_t noisy = batch * samples, rows = batch + noisy;
  const int64_t kept = samples ? noisy : batch, first = samples ? batch : 0;
  int64_t widest = 0, total_noise = 0, total_pre = 0;
  for (int64_t l = 0; l <= layers; ++l) {
    if (sizes[l] + bias > widest) widest = sizes[l] + bias;
    if (l > 0) total_noise += sizes[l];
    if (l < layers) total_pre += sizes[l] + bias;
  }
  float *x = work, *pre = work + rows * widest, *wt = pre + 2 * rows * widest;
  const int64_t ldo = sizes[0] + bias;
  for (int64_t r = 0; r < batch; ++r) {
    memcpy(x + r * ldo, observation + r * sizes[0], (size_t)sizes[0] * sizeof(float));
    if (bias) x[r * ldo + sizes[0]] = 1.0f;
  }
  int64_t at_noise = 0, at_pre = 0, ldx = ldo;
  for (int64_t l = 0; l < layers; ++l) {
    const int64_t n_in = sizes[l] + bias, n_out = sizes[l + 1];
    const float *w = weights[l];
    float *out = l == layers - 1 ? z : pre;
    /* The observation carries no noise, so its product is the same in every pass. */
    const int64_t distinct = l == 0 ? batch : rows;
    for (int64_t r = 0; r < kept; ++r)
      memcpy(pre_rows + r * total_pre + at_pre, x + (l == 0 ? r % batch : first + r) * ldx,
             (size_t)n_in * sizeof(float));
    if (n_out >= 8) {
      for (int64_t j = 0; j < n_out; ++j)
        for (int64_t i = 0; i < n_in; ++i) wt[i * n_out + j] = w[j * n_in + i];
      product(x, ldx, wt, out, distinct, n_in, n_out);
    } else {
      product_few(x, ldx, w, out, distinct, n_in, n_out);
    }
    if (l == 0)
      for (int64_t k = 0; k < samples; ++k)
        memcpy(out + (1 + k) * batch * n_out, out, (size_t)(batch * n_out) * sizeof(float));
    if (samples)
      add_noise(out + batch * n_out, noise + at_noise, total_noise, sigma, noisy, n_out);
    at_noise += n_out;
    at_pre += n_in;
    if (l < layers - 1) {
      ldx = n_out + bias;
      leaky(out, x, ldx, leak, rows, n_out);
      if (bias)
        for (int64_t r = 0; r < rows; ++r) x[r * ldx + n_out] = 1.0f;
    }
  }
}

#define KEPT 32

/* Draw from independent softmax policies and compare the noisy with the clean log-probability.
 *
 * z: [1 + samples][batch][sum of sizes]. uniform: [batch][components], or null for the greedy choice.
 * from: index of the pass the action is drawn from. choice: [batch][components].
 * impact: [samples][batch], may be null.
 */
NRL_EXPORT void nrl_softmax(int64_t components, const int64_t *sizes, int64_t batch,
                            int64_t samples, int64_t from, const float *z, const float *uniform,
                            int32_t *choice, double *impact) {
  double kept[KEPT];
  int64_t n = 0;
  for (int64_t c = 0; c < components; ++c) n += sizes[c];
  if (impact) memset(impact, 0, (size_t)(samples * batch) * sizeof(double));
  for (int64_t b = 0; b < batch; ++b) {
    int64_t at = 0;
    for (int64_t c = 0; c < components; ++c) {
      const int64_t m = sizes[c];
      const float *zc = z + (from * batch + b) * n + at;
      int64_t best = 0, pick;
      for (int64_t j = 1; j < m; ++j)
        if (zc[j] > zc[best]) best = j;
      double drawn_sum = 0.0;
      if (uniform) {
        double below = 0.0;
        for (int64_t j = 0; j < m; ++j) {
          const double e = exp((double)zc[j] - zc[best]);
          if (j < KEPT) kept[j] = e;
          drawn_sum += e;
        }
        const double threshold = drawn_sum * uniform[b * components + c];
        /* The last choice takes the rest: rounding can never lead past it. */
        for (pick = 0; pick < m - 1; ++pick) {
          below += pick < KEPT ? kept[pick] : exp((double)zc[pick] - zc[best]);
          if (below > threshold) break;
        }
      } else {
        pick = best;
      }
      choice[b * components + c] = (int32_t)pick;
      if (impact) {
        double clean = 0.0;
        for (int64_t k = 0; k <= samples; ++k) {
          const float *zk = z + (k * batch + b) * n + at;
          float top = zk[0];
          for (int64_t j = 1; j < m; ++j)
            if (zk[j] > top) top = zk[j];
          double sum = drawn_sum;
          if (k != from || !uniform) {
            sum = 0.0;
            for (int64_t j = 0; j < m; ++j) sum += exp((double)zk[j] - top);
          }
          const double value = (double)zk[pick] - top - log(sum);
          if (k == 0)
            clean = value;
          else
            impact[(k - 1) * batch + b] += value - clean;
        }
      }
      at += m;
    }
  }
}

/* Rows rho z / (sigma K |z|^2) of the eligibility trace.
 *
 * groups: slices of the N components over which the norm runs: ends[groups].
 */
NRL_EXPORT NRL_CLONES void nrl_eligibility(int64_t rows, int64_t n, int64_t groups,
                                           const int64_t *ends, double scale, const float *noise,
                                           const double *impact, float *post) {
  for (int64_t r = 0; r < rows; ++r) {
    const float *z = noise + r * n;
    float *p = post + r * n;
    int64_t start = 0;
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t end = ends[g];
      float part[16] = {0};
      int64_t j = start;
      for (; j + 16 <= end; j += 16)
        for (int k = 0; k < 16; ++k) part[k] += z[j + k] * z[j + k];
      float square = 0.0f;
      for (int k = 0; k < 16; ++k) square += part[k];
      for (; j < end; ++j) square += z[j] * z[j];
      const float factor = (float)(scale * impact[r] / square);
      for (j = start; j < end; ++j) p[j] = z[j] * factor;
      start = end;
    }
  }
}

/* total[n_out][n_in] += sum over rows of weight post postT: one layer of many windows.
 *
 * rows[count]: indices into post [.][N] and pre [.][M]; at_post, at_pre: where the layer stands.
 */
NRL_EXPORT NRL_CLONES void nrl_accumulate(int64_t count, const int64_t *rows, const float *weight,
                                          const float *post, int64_t n, int64_t at_post,
                                          const float *pre, int64_t m, int64_t at_pre,
                                          int64_t n_out, int64_t n_in, float *total) {
  for (int64_t r = 0; r < count; ++r) {
    const float *a = post + rows[r] * n + at_post;
    const float *x = pre + rows[r] * m + at_pre;
    const float w = weight[r];
    if (n_in >= n_out || n_in >= 16) {
      for (int64_t i = 0; i < n_out; ++i) {
        const float wa = w * a[i];
        float *t = total + i * n_in;
        for (int64_t j = 0; j < n_in; ++j) t[j] += wa * x[j];
      }
    } else {
      /* Few inputs: the loop over neurons is the long one; total is then [n_in][n_out]. */
      for (int64_t j = 0; j < n_in; ++j) {
        const float wx = w * x[j];
        float *t = total + j * n_out;
        for (int64_t i = 0; i < n_out; ++i) t[i] += wx * a[i];
      }
    }
  }
}

/* Over all layers: neurons that take noise, presynaptic activities, weights. */
static inline void sum_sizes(int64_t layers, const int64_t *sizes, int64_t bias, int64_t *n, int64_t *m,
                             int64_t *weights) {
  *n = *m = *weights = 0;
  for (int64_t l = 0; l < layers; ++l) {
    *n += sizes[l + 1];
    *m += sizes[l] + bias;
    *weights += sizes[l + 1] * (sizes[l] + bias);
  }
}

/* Dense traces of many instances: e <- decay e + post preT for every layer, e being [batch][weights].
 *
 * The rows added are those of the step before, which are then replaced by the new ones: until the next
 * step the newest can still be taken back. sizes, bias as in nrl_forward; rows post, new_post
 * [samples][batch][N], pre, new_pre [samples][batch][M]; active [batch] or null: instances to touch.
 */
NRL_EXPORT NRL_CLONES void nrl_dense(int64_t layers, const int64_t *sizes, int64_t bias,
                                     int64_t batch, int64_t samples, float decay, float *post,
                                     float *pre, float *trace, const float *new_post,
                                     const float *new_pre, const uint8_t *active) {
  int64_t n, m, weights;
  sum_sizes(layers, sizes, bias, &n, &m, &weights);
  for (int64_t b = 0; b < batch; ++b) {
    if (active && !active[b]) continue;
    float *e = trace + b * weights;
    if (decay != 1.0f)
      for (int64_t i = 0; i < weights; ++i) e[i] *= decay;
    for (int64_t k = 0; k < samples; ++k) {
      const int64_t row = k * batch + b;
      const float *a = post + row * n, *x = pre + row * m;
      float *t = e;
      for (int64_t l = 0; l < layers; ++l) {
        const int64_t n_in = sizes[l] + bias, n_out = sizes[l + 1];
        for (int64_t i = 0; i < n_out; ++i) {
          const float ai = a[i];
          for (int64_t j = 0; j < n_in; ++j) t[i * n_in + j] += ai * x[j];
        }
        t += n_in * n_out;
        a += n_out;
        x += n_in;
      }
      memcpy(post + row * n, new_post + row * n, (size_t)n * sizeof(float));
      memcpy(pre + row * m, new_pre + row * m, (size_t)m * sizeof(float));
    }
  }
}

/* Credit of some instances: total += weight (decay e + post preT), then those traces are zero.
 *
 * which, weight [windows]: instances, each once, and their reward-prediction errors. totals: one matrix
 * [out][in] a layer. The rest as in nrl_dense.
 */
NRL_EXPORT NRL_CLONES void nrl_dense_credit(int64_t layers, const int64_t *sizes, int64_t bias,
                                            int64_t batch, int64_t samples, float decay, float *post,
                                            float *pre, float *trace, int64_t windows,
                                            const int64_t *which, const float *weight,
                                            float *const *totals) {
  int64_t n, m, weights;
  sum_sizes(layers, sizes, bias, &n, &m, &weights);
  for (int64_t c = 0; c < windows; ++c) {
    float *e = trace + which[c] * weights;
    const float w = weight[c];
    int64_t at_n = 0, at_m = 0, at = 0;
    for (int64_t l = 0; l < layers; ++l) {
      const int64_t n_in = sizes[l] + bias, n_out = sizes[l + 1];
      float *t = totals[l];
      for (int64_t i = 0; i < n_in * n_out; ++i) t[i] += w * (decay * e[at + i]);
      for (int64_t k = 0; k < samples; ++k) {
        const float *a = post + (k * batch + which[c]) * n + at_n;
        const float *x = pre + (k * batch + which[c]) * m + at_m;
        for (int64_t i = 0; i < n_out; ++i) {
          const float wa = w * a[i];
          for (int64_t j = 0; j < n_in; ++j) t[i * n_in + j] += wa * x[j];
        }
      }
      at += n_in * n_out;
      at_n += n_out;
      at_m += n_in;
    }
    memset(e, 0, (size_t)weights * sizeof(float));
    for (int64_t k = 0; k < samples; ++k) {
      memset(post + (k * batch + which[c]) * n, 0, (size_t)n * sizeof(float));
      memset(pre + (k * batch + which[c]) * m, 0, (size_t)m * sizeof(float));
    }
  }
}

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
      const float x = ((float)(int32_t)(r >> 9) + 0.5f) * 0x1p-22f - 1.0f;
      const float w = -log_unit((1.0f - x) * (1.0f + x));
      const float c = w - 2.5f;
      float p = 2.81022636e-08f;
      p = p * c + 3.43273939e-07f;
      p = p * c - 3.5233877e-06f;
      p = p * c - 4.39150654e-06f;
      p = p * c + 0.00021858087f;
      p = p * c - 0.00125372503f;
      p = p * c - 0.00417768164f;
      p = p * c + 0.246640727f;
      p = p * c + 1.50140941f;
      const float d = __builtin_sqrtf(w) - 3.0f;
      float q = -0.000200214257f;
      q = q * d + 0.000100950558f;
      q = q * d + 0.00134934322f;
      q = q * d - 0.00367342844f;
      q = q * d + 0.00573950773f;
      q = q * d - 0.0076224613f;
      q = q * d + 0.00943887047f;
      q = q * d + 1.00167406f;
      q = q * d + 2.83297682f;
      block[k] = 1.41421356f * x * (w < 5.0f ? p : q);
    }
    const int64_t left = count - at;
    memcpy(out + at, block, (size_t)(left < LANES ? left : LANES) * sizeof(float));
  }
  memcpy(state, s0, sizeof s0);
  memcpy(state + LANES, s1, sizeof s1);
  memcpy(state + 2 * LANES, s2, sizeof s2);
  memcpy(state + 3 * LANES, s3, sizeof s3);
}
