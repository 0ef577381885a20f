/* The step of a small policy network, fused: passes, softmax head, eligibility rows, trace products.
 *
 * Plain C, no Python and no numpy headers: nrl_ros/learning/kernels/library.py and those beside it call it through
 * ctypes with pointers to arrays. It computes what network.py, heads.py, node_perturbation.py and traces.py
 * compute, up to rounding; a test compares both. Results depend only on the arguments.
 */
#include <stdint.h>
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

#define NRL_EXPORT __attribute__((visibility("default")))

/* Changes with every change of an argument list; kernels.py refuses another one. */
NRL_EXPORT int32_t nrl_kernel_version(void) { return 10; }

/* Floats at any address. */
typedef float four __attribute__((vector_size(16), aligned(4), may_alias));
typedef float eight __attribute__((vector_size(32), aligned(4), may_alias));

/* Compiled with each caller, for the caller's machine. */
#define NRL_INLINE static inline __attribute__((always_inline))

/* Sum of x . y over n numbers, sixteen sums at a time, which are then added in a fixed order. */
NRL_INLINE float dot(const float *x, const float *y, int64_t n) {
  union {
    eight all;
    four half[2];
  } part;
  eight low = {0}, high = {0};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const eight *a = (const eight *)(x + i), *b = (const eight *)(y + i);
    low += a[0] * b[0];
    high += a[1] * b[1];
  }
  part.all = low + high;
  const four p = part.half[0] + part.half[1];
  float sum = (p[0] + p[2]) + (p[1] + p[3]);
  for (; i < n; ++i) sum += x[i] * y[i];
  return sum;
}

/* The same as memcpy, which would be a call for a few numbers. */
NRL_INLINE void copy_few(float *to, const float *from, int64_t n) {
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) memcpy(to + i, from + i, 4 * sizeof(float));
  for (; i < n; ++i) to[i] = from[i];
}

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
NRL_INLINE void product(const float *x, int64_t ldx, const float *wt, float *out, int64_t rows,
                        int64_t n_in, int64_t n_out) {
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) NRL_ROWS(4);
  for (; r < rows; ++r) NRL_ROWS(1);
}

/* The same for few outputs or few rows: dot products along the inputs, with w[n_out][n_in] as it is. */
NRL_INLINE void dots(const float *x, int64_t ldx, const float *w, float *out, int64_t rows,
                     int64_t n_in, int64_t n_out) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < n_out; ++j) out[r * n_out + j] = dot(x + r * ldx, w + j * n_in, n_in);
}

/* Instances whose rows go through all layers together: they stay in the first cache. */
#define BLOCK 16

/* Whether a layer's products run along its inputs, for which its weights need not be turned. */
NRL_INLINE int along_inputs(int64_t n_in, int64_t n_out, int few_rows) {
  return n_out < 8 || (few_rows && n_in >= 16);
}

/* LeakyReLU of p, and of p with noise. */
NRL_INLINE void activate(const float *restrict p, float leak, float *restrict q, int64_t n) {
  for (int64_t j = 0; j < n; ++j) {
    const float low = leak * p[j];
    q[j] = p[j] > low ? p[j] : low;
  }
}

NRL_INLINE void activate_noisy(const float *restrict p, const float *restrict u, float sigma,
                               float leak, float *restrict q, int64_t n) {
  for (int64_t j = 0; j < n; ++j) {
    const float a = p[j] + sigma * u[j], low = leak * a;
    q[j] = a > low ? a : low;
  }
}

/* Floats of scratch that nrl_forward needs. */
NRL_EXPORT int64_t nrl_work_size(int64_t layers, const int64_t *sizes, int64_t bias) {
  int64_t widest = 0, weights = 0;
  for (int64_t l = 0; l <= layers; ++l)
    if (sizes[l] + bias > widest) widest = sizes[l] + bias;
  for (int64_t l = 0; l < layers; ++l) weights += sizes[l + 1] * (sizes[l] + bias);
  return 2 * BLOCK * widest + weights;
}

/* Clean and noisy outputs, and the presynaptic rows of the noisy passes, or of the clean one without any.
 *
 * sizes[layers + 1]: neurons, inputs first. weights[l]: [n_out][n_in + bias]. observation: [batch][O].
 * noise: unit noise [samples * batch][N], may be null when samples is 0. z: [1 + samples][batch][outputs].
 * pre_rows: [max(samples, 1) * batch][M]. work: scratch of work_size(...) floats.
 */
NRL_EXPORT NRL_CLONES void nrl_forward(int64_t layers, const int64_t *sizes, int64_t bias,
                                       const float *const *weights, float leak, float sigma,
                                       int64_t batch, int64_t samples, const float *observation,
                                       const float *noise, float *z, float *pre_rows, float *work) {
  int64_t widest = 0, all_noise = 0, all_pre = 0;
  for (int64_t l = 0; l <= layers; ++l) {
    if (sizes[l] + bias > widest) widest = sizes[l] + bias;
    if (l > 0) all_noise += sizes[l];
    if (l < layers) all_pre += sizes[l] + bias;
  }
  const int64_t passes = 1 + samples, outputs = sizes[layers];
  const int few = batch * passes < 4;
  float *const clean = work, *const pre = work + BLOCK * widest;
  float *const turned = pre + BLOCK * widest;
  float *wt = turned;
  for (int64_t l = 0; l < layers; ++l) {
    const int64_t n_in = sizes[l] + bias, n_out = sizes[l + 1];
    if (!along_inputs(n_in, n_out, few))
      for (int64_t j = 0; j < n_out; ++j)
        for (int64_t i = 0; i < n_in; ++i) wt[i * n_out + j] = weights[l][j * n_in + i];
    wt += n_in * n_out;
  }
  for (int64_t b = 0; b < batch; b += BLOCK) {
    const int64_t many = batch - b < BLOCK ? batch - b : BLOCK;
    const int64_t n_seen = sizes[0] + bias;
    for (int64_t r = 0; r < many; ++r) {
      float *x = clean + r * n_seen;
      copy_few(x, observation + (b + r) * sizes[0], sizes[0]);
      if (bias) x[sizes[0]] = 1.0f;
      for (int64_t k = 0; k < (samples ? samples : 1); ++k)
        copy_few(pre_rows + (k * batch + b + r) * all_pre, x, n_seen);
    }
    int64_t at_noise = 0, at_pre = 0;
    wt = turned;
    for (int64_t l = 0; l < layers; ++l) {
      const int64_t n_in = sizes[l] + bias, n_out = sizes[l + 1];
      const int last = l == layers - 1, along = along_inputs(n_in, n_out, few);
      /* The clean pass comes last, since it overwrites its inputs. */
      for (int64_t k = samples; k >= 0; --k) {
        const int64_t row = (k ? k - 1 : 0) * batch + b;
        float *const kept = pre_rows + row * all_pre + at_pre, *const next = kept + n_in;
        const float *const u = k ? noise + row * all_noise + at_noise : pre;
        /* The observation carries no noise, so its product is the same in every pass. */
        if (l > 0 || k == samples) {
          const float *x = k ? kept : clean;
          const int64_t ldx = k ? all_pre : n_in;
          if (along)
            dots(x, ldx, weights[l], pre, many, n_in, n_out);
          else
            product(x, ldx, wt, pre, many, n_in, n_out);
        }
        if (last) {
          float *out = z + (k * batch + b) * outputs;
          memcpy(out, pre, (size_t)(many * n_out) * sizeof(float));
          for (int64_t r = 0; k && r < many; ++r)
            for (int64_t j = 0; j < n_out; ++j) out[r * n_out + j] += sigma * u[r * all_noise + j];
          continue;
        }
        for (int64_t r = 0; r < many; ++r) {
          float *q = k ? next + r * all_pre : clean + r * (n_out + bias);
          if (k)
            activate_noisy(pre + r * n_out, u + r * all_noise, sigma, leak, q, n_out);
          else
            activate(pre + r * n_out, leak, q, n_out);
          if (bias) q[n_out] = 1.0f;
          if (!samples) memcpy(next + r * all_pre, q, (size_t)(n_out + bias) * sizeof(float));
        }
      }
      wt += n_in * n_out;
      at_noise += n_out;
      at_pre += n_in;
    }
  }
}

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

#define KEPT 16
/* Instances that go through the softmax together: two quads of them. */
#define WIDE 8

/* Output j of four instances. */
NRL_INLINE quad outputs(const float *const *z, int64_t j) {
  return (quad){z[0][j], z[1][j], z[2][j], z[3][j]};
}

/* The largest of m outputs of four instances, and the sum of exp(z - largest); kept: its first terms. */
NRL_INLINE void exponentials(const float *const *z, int64_t m, quad *top, quad *sum,
                             quad (*kept)[2]) {
  if (m == 2) {
    /* The larger one's is 1, so that one exponential does. */
    const quad first = outputs(z, 0), second = outputs(z, 1), one = {1.0, 1.0, 1.0, 1.0};
    const longs up = second > first;
    *top = choose(up, second, first);
    const quad other = exp_negative(choose(up, first, second) - *top);
    *sum = one + other;
    if (kept) kept[0][0] = choose(up, other, one), kept[1][0] = choose(up, one, other);
    return;
  }
  quad high = outputs(z, 0);
  for (int64_t j = 1; j < m; ++j) {
    const quad next = outputs(z, j);
    high = choose(next > high, next, high);
  }
  *top = high;
  *sum = (quad){0.0, 0.0, 0.0, 0.0};
  for (int64_t j = 0; j < m; ++j) {
    const quad term = exp_negative(outputs(z, j) - high);
    *sum += term;
    if (kept && j < KEPT) kept[j][0] = term;
  }
}

/* Draw from independent softmax policies and compare the noisy with the clean log-probability.
 *
 * z: [1 + samples][batch][sum of sizes]. uniform: [batch][components]. from: index of the pass the action
 * is drawn from. choice: [batch][components]. impact: [samples][batch].
 */
NRL_EXPORT NRL_CLONES void nrl_softmax(int64_t components, const int64_t *sizes, int64_t batch,
                                       int64_t samples, int64_t from, const float *z,
                                       const float *uniform, int32_t *choice, double *impact) {
  quad kept[KEPT][2], drawn_top[2], drawn_sum[2];
  int64_t n = 0;
  for (int64_t c = 0; c < components; ++c) n += sizes[c];
  memset(impact, 0, (size_t)(samples * batch) * sizeof(double));
  for (int64_t b = 0; b < batch; b += WIDE) {
    const int64_t many = batch - b < WIDE ? batch - b : WIDE;
    const int quads = many > 4 ? 2 : 1;
    int64_t row[WIDE], at = 0;
    /* Lanes beyond the batch do the last instance again. */
    for (int i = 0; i < WIDE; ++i) row[i] = b + (i < many ? i : many - 1);
    for (int64_t c = 0; c < components; ++c) {
      const int64_t m = sizes[c];
      const float *zb[WIDE];
      quad clean[2];
      int64_t pick[WIDE];
      for (int i = 0; i < WIDE; ++i) zb[i] = z + (from * batch + row[i]) * n + at;
      for (int h = 0; h < quads; ++h) {
        const int64_t *const r = row + 4 * h;
        exponentials(zb + 4 * h, m, drawn_top + h, drawn_sum + h, (quad(*)[2])&kept[0][h]);
        const quad threshold =
            drawn_sum[h] * (quad){uniform[r[0] * components + c], uniform[r[1] * components + c],
                                  uniform[r[2] * components + c], uniform[r[3] * components + c]};
        quad below = {0.0, 0.0, 0.0, 0.0};
        longs picked = {0, 0, 0, 0};
        /* The last choice takes the rest: rounding can never lead past it. */
        for (int64_t j = 0; j < m - 1; ++j) {
          below += j < KEPT ? kept[j][h] : exp_negative(outputs(zb + 4 * h, j) - drawn_top[h]);
          /* Where it holds, all bits are set: that is -1. */
          picked -= below <= threshold;
        }
        memcpy(pick + 4 * h, &picked, sizeof picked);
      }
      for (int i = 0; i < many; ++i) choice[(b + i) * components + c] = (int32_t)pick[i];
      for (int64_t k = 0; k <= samples; ++k) {
        double value[WIDE];
        for (int i = 0; i < WIDE; ++i) zb[i] = z + (k * batch + row[i]) * n + at;
        for (int h = 0; h < quads; ++h) {
          const float *const *const zs = zb + 4 * h;
          const int64_t *const p = pick + 4 * h;
          quad top = drawn_top[h], sum = drawn_sum[h];
          if (k != from) exponentials(zs, m, &top, &sum, 0);
          const quad taken = {zs[0][p[0]], zs[1][p[1]], zs[2][p[2]], zs[3][p[3]]};
          const quad log = (taken - top) - log_above_one(sum);
          if (k == 0) clean[h] = log;
          const quad change = log - clean[h];
          memcpy(value + 4 * h, &change, sizeof change);
        }
        for (int i = 0; k > 0 && i < many; ++i) impact[(k - 1) * batch + b + i] += value[i];
      }
      at += m;
    }
  }
}

/* What a row of noise, whose norm runs over some components of it, is multiplied with. */
NRL_INLINE float row_factor(const float *z, int64_t n, double scaled_impact) {
  return (float)(scaled_impact / dot(z, z, n));
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
      const float factor = row_factor(z + start, ends[g] - start, scale * impact[r]);
      for (int64_t j = start; j < ends[g]; ++j) p[j] = z[j] * factor;
      start = ends[g];
    }
  }
}

/* The same, written over the noise. */
static NRL_CLONES void nrl_eligibility_in_place(int64_t rows, int64_t n, int64_t groups,
                                                const int64_t *ends, double scale,
                                                const double *impact, float *noise) {
  for (int64_t r = 0; r < rows; ++r) {
    float *z = noise + r * n;
    int64_t start = 0;
    for (int64_t g = 0; g < groups; ++g) {
      const float factor = row_factor(z + start, ends[g] - start, scale * impact[r]);
      for (int64_t j = start; j < ends[g]; ++j) z[j] *= factor;
      start = ends[g];
    }
  }
}

/* One step of an agent, whose arrays stay where they are: what a call costs is mostly its arguments.
 *
 * Mirrored by _Step in kernels.py; every member takes eight bytes. What they mean is said above.
 */
typedef struct {
  int64_t layers;
  const int64_t *sizes;
  int64_t bias;
  const float *const *weights;
  double leak, sigma;
  int64_t batch, samples;
  const float *observation, *noise;
  float *z, *pre_rows, *work;
  int64_t components;
  const int64_t *choices;
  int64_t from;
  const float *uniform;
  int32_t *choice;
  double *impact;
  int64_t groups;
  const int64_t *ends;
  double scale;
  float *post;
} nrl_step;

/* Passes, choice and impact. */
NRL_EXPORT void nrl_act(const nrl_step *s) {
  nrl_forward(s->layers, s->sizes, s->bias, s->weights, (float)s->leak, (float)s->sigma, s->batch,
              s->samples, s->observation, s->noise, s->z, s->pre_rows, s->work);
  nrl_softmax(s->components, s->choices, s->batch, s->samples, s->from, s->z, s->uniform, s->choice,
              s->impact);
}

/* The postsynaptic rows of that step. */
NRL_EXPORT void nrl_rows(const nrl_step *s) {
  nrl_eligibility(s->batch * s->samples, s->ends[s->groups - 1], s->groups, s->ends, s->scale,
                  s->noise, s->impact, s->post);
}

#include "normal.h"
#include "traces.h"

#include "cycle.h"
