/* Part of arithmetic.c, once for float and once for double: products, activations, softmax, rows, traces.
 *
 * Given: real, NAME(function), SIDE, the numbers of 32 bytes, and SUM_OF_HALF(p), the sum of those of 16.
 */

/* Numbers at any address. */
typedef real NAME(wide) __attribute__((vector_size(32), aligned(sizeof(real)), may_alias));
typedef real NAME(half) __attribute__((vector_size(16), aligned(sizeof(real)), may_alias));

/* Sum of x . y over n numbers, two vectors of sums at a time, which are then added in a fixed order. */
NRL_INLINE real NAME(dot)(const real *x, const real *y, int64_t n) {
  union {
    NAME(wide) all;
    NAME(half) half[2];
  } part;
  NAME(wide) low = {0}, high = {0};
  int64_t i = 0;
  for (; i + 2 * SIDE <= n; i += 2 * SIDE) {
    const NAME(wide) *a = (const NAME(wide) *)(x + i), *b = (const NAME(wide) *)(y + i);
    low += a[0] * b[0];
    high += a[1] * b[1];
  }
  part.all = low + high;
  const NAME(half) p = part.half[0] + part.half[1];
  real sum = SUM_OF_HALF(p);
  for (; i < n; ++i) sum += x[i] * y[i];
  return sum;
}

/* wt[n_in][n_out] = w[n_out][n_in], turned. */
NRL_CLONES void NAME(nrl_turn)(int64_t n_out, int64_t n_in, const real *w, real *wt) {
  for (int64_t j = 0; j < n_out; ++j)
    for (int64_t i = 0; i < n_in; ++i) wt[i * n_out + j] = w[j * n_in + i];
}

/* COUNT rows of out = x . wt, whose sums stay in registers: a plain loop, which kept them in memory,
 * took three times as long for 64 x 64. Every sum runs over the inputs in order, whatever the block. */
#define NRL_ROWS(COUNT)                                                                            \
  do {                                                                                             \
    int64_t j = 0;                                                                                 \
    for (; j + 2 * SIDE <= n_out; j += 2 * SIDE) {                                                 \
      NAME(wide) sum[COUNT][2] = {{{0}}};                                                          \
      for (int64_t i = 0; i < n_in; ++i) {                                                         \
        const NAME(wide) *w = (const NAME(wide) *)(wt + i * n_out + j);                            \
        for (int k = 0; k < COUNT; ++k) {                                                          \
          sum[k][0] += x[(r + k) * ldx + i] * w[0];                                                \
          sum[k][1] += x[(r + k) * ldx + i] * w[1];                                                \
        }                                                                                          \
      }                                                                                            \
      for (int k = 0; k < COUNT; ++k) {                                                            \
        NAME(wide) *o = (NAME(wide) *)(out + (r + k) * n_out + j);                                 \
        o[0] = sum[k][0];                                                                          \
        o[1] = sum[k][1];                                                                          \
      }                                                                                            \
    }                                                                                              \
    for (; j < n_out; ++j)                                                                         \
      for (int k = 0; k < COUNT; ++k) {                                                            \
        real sum = 0;                                                                              \
        for (int64_t i = 0; i < n_in; ++i) sum += x[(r + k) * ldx + i] * wt[i * n_out + j];        \
        out[(r + k) * n_out + j] = sum;                                                            \
      }                                                                                            \
  } while (0)

/* out[rows][n_out] = x[rows][n_in] . wt[n_in][n_out]; rows of x are ldx apart. */
NRL_CLONES void NAME(nrl_product)(int64_t rows, int64_t n_in, int64_t n_out, const real *x,
                                  int64_t ldx, const real *wt, real *out) {
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) NRL_ROWS(4);
  for (; r < rows; ++r) NRL_ROWS(1);
}

/* The same for few outputs or few rows: dot products along the inputs, with w[n_out][n_in] as it is. */
NRL_CLONES void NAME(nrl_dots)(int64_t rows, int64_t n_in, int64_t n_out, const real *x,
                               int64_t ldx, const real *w, real *out) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < n_out; ++j)
      out[r * n_out + j] = NAME(dot)(x + r * ldx, w + j * n_in, n_in);
}

/* Copies rows of n numbers, which are ldx apart, to rows that are ldout apart; bias: a 1 follows each. */
NRL_CLONES void NAME(nrl_copy_rows)(int64_t rows, int64_t n, const real *x, int64_t ldx, real *out,
                                    int64_t ldout, int bias) {
  for (int64_t r = 0; r < rows; ++r) {
    const real *from = x + r * ldx;
    real *to = out + r * ldout;
    int64_t i = 0;
    /* memcpy would be a call for a few numbers. */
    for (; i + SIDE <= n; i += SIDE) *(NAME(wide) *)(to + i) = *(const NAME(wide) *)(from + i);
    for (; i < n; ++i) to[i] = from[i];
    if (bias) to[n] = 1;
  }
}

/* out += sigma noise, [rows][n]; rows are ldn and ldout apart. */
NRL_CLONES void NAME(nrl_add_noise)(int64_t rows, int64_t n, real sigma, const real *restrict noise,
                                    int64_t ldn, real *restrict out, int64_t ldout) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < n; ++j) out[r * ldout + j] += sigma * noise[r * ldn + j];
}

/* x = LeakyReLU of a + sigma noise, or of a where noise is null; bias: a 1 follows each row.
 *
 * a: [rows][n]; rows of the others are ldn and ldx apart. */
NRL_CLONES void NAME(nrl_activate)(int64_t rows, int64_t n, real leak, real sigma,
                                   const real *restrict a, const real *restrict noise, int64_t ldn,
                                   real *restrict x, int64_t ldx, int bias) {
  for (int64_t r = 0; r < rows; ++r) {
    const real *restrict p = a + r * n, *restrict u = noise ? noise + r * ldn : a;
    real *restrict q = x + r * ldx;
    if (noise) {
      for (int64_t j = 0; j < n; ++j) {
        const real noisy = p[j] + sigma * u[j], low = leak * noisy;
        q[j] = noisy > low ? noisy : low;
      }
    } else {
      for (int64_t j = 0; j < n; ++j) {
        const real low = leak * p[j];
        q[j] = p[j] > low ? p[j] : low;
      }
    }
    if (bias) q[n] = 1;
  }
}

/* Output j of four instances. */
NRL_INLINE quad NAME(outputs)(const real *const *z, int64_t j) {
  return (quad){z[0][j], z[1][j], z[2][j], z[3][j]};
}

/* The largest of m outputs of four instances, and the sum of exp(z - largest); kept: its first terms. */
NRL_INLINE void NAME(exponentials)(const real *const *z, int64_t m, quad *top, quad *sum,
                                   quad (*kept)[2]) {
  if (m == 2) {
    /* The larger one's is 1, so that one exponential does. */
    const quad first = NAME(outputs)(z, 0), second = NAME(outputs)(z, 1), one = {1.0, 1.0, 1.0, 1.0};
    const longs up = second > first;
    *top = choose(up, second, first);
    const quad other = exp_negative(choose(up, first, second) - *top);
    *sum = one + other;
    if (kept) kept[0][0] = choose(up, other, one), kept[1][0] = choose(up, one, other);
    return;
  }
  quad high = NAME(outputs)(z, 0);
  for (int64_t j = 1; j < m; ++j) {
    const quad next = NAME(outputs)(z, j);
    high = choose(next > high, next, high);
  }
  *top = high;
  *sum = (quad){0.0, 0.0, 0.0, 0.0};
  for (int64_t j = 0; j < m; ++j) {
    const quad term = exp_negative(NAME(outputs)(z, j) - high);
    *sum += term;
    if (kept && j < KEPT) kept[j][0] = term;
  }
}

/* Draw from independent softmax policies, and log-probabilities of the choice under each pass.
 *
 * sizes: choices of each component. z: [passes][batch][sum of sizes]. source: pass that the choice is drawn
 * from. uniform: [batch][components], null where the choice is given. choice: [batch][components].
 * log_probability: [passes][batch], overwritten; null where none is wanted.
 */
NRL_CLONES void NAME(nrl_softmax)(int64_t components, const int64_t *sizes, int64_t batch,
                                  int64_t passes, int64_t source, const real *z,
                                  const float *uniform, int32_t *choice, double *log_probability) {
  quad kept[KEPT][2], drawn_top[2], drawn_sum[2];
  int64_t n = 0;
  for (int64_t c = 0; c < components; ++c) n += sizes[c];
  if (log_probability) memset(log_probability, 0, (size_t)(passes * batch) * sizeof(double));
  for (int64_t b = 0; b < batch; b += WIDE) {
    const int64_t many = batch - b < WIDE ? batch - b : WIDE;
    const int quads = many > 4 ? 2 : 1;
    int64_t row[WIDE], at = 0;
    /* Lanes beyond the batch do the last instance again. */
    for (int i = 0; i < WIDE; ++i) row[i] = b + (i < many ? i : many - 1);
    for (int64_t c = 0; c < components; ++c) {
      const int64_t m = sizes[c];
      const real *zb[WIDE];
      int64_t pick[WIDE];
      if (uniform) {
        for (int i = 0; i < WIDE; ++i) zb[i] = z + (source * batch + row[i]) * n + at;
        for (int h = 0; h < quads; ++h) {
          const int64_t *const r = row + 4 * h;
          NAME(exponentials)(zb + 4 * h, m, drawn_top + h, drawn_sum + h, (quad(*)[2])&kept[0][h]);
          const quad threshold =
              drawn_sum[h] *
              (quad){uniform[r[0] * components + c], uniform[r[1] * components + c],
                     uniform[r[2] * components + c], uniform[r[3] * components + c]};
          quad below = {0.0, 0.0, 0.0, 0.0};
          longs picked = {0, 0, 0, 0};
          /* The last choice takes the rest: rounding can never lead past it. */
          for (int64_t j = 0; j < m - 1; ++j) {
            below +=
                j < KEPT ? kept[j][h] : exp_negative(NAME(outputs)(zb + 4 * h, j) - drawn_top[h]);
            /* Where it holds, all bits are set: that is -1. */
            picked -= below <= threshold;
          }
          memcpy(pick + 4 * h, &picked, sizeof picked);
        }
        for (int i = 0; i < many; ++i) choice[(b + i) * components + c] = (int32_t)pick[i];
      } else {
        for (int i = 0; i < WIDE; ++i) pick[i] = choice[row[i] * components + c];
      }
      for (int64_t k = 0; log_probability && k < passes; ++k) {
        double value[WIDE];
        for (int i = 0; i < WIDE; ++i) zb[i] = z + (k * batch + row[i]) * n + at;
        for (int h = 0; h < quads; ++h) {
          const real *const *const zs = zb + 4 * h;
          const int64_t *const p = pick + 4 * h;
          quad top = drawn_top[h], sum = drawn_sum[h];
          if (!uniform || k != source) NAME(exponentials)(zs, m, &top, &sum, 0);
          const quad taken = {zs[0][p[0]], zs[1][p[1]], zs[2][p[2]], zs[3][p[3]]};
          const quad log = (taken - top) - log_above_one(sum);
          memcpy(value + 4 * h, &log, sizeof log);
        }
        for (int i = 0; i < many; ++i) log_probability[k * batch + b + i] += value[i];
      }
      at += m;
    }
  }
}

/* Gradient of the log-probability of a choice with respect to the outputs: 1 at the choice, less the
 * probability; arguments as above, gradient: [batch][sum of sizes]. */
NRL_CLONES void NAME(nrl_softmax_gradient)(int64_t components, const int64_t *sizes, int64_t batch,
                                           const real *z, const int32_t *choice, real *gradient) {
  int64_t n = 0;
  for (int64_t c = 0; c < components; ++c) n += sizes[c];
  for (int64_t b = 0; b < batch; b += 4) {
    const int64_t many = batch - b < 4 ? batch - b : 4;
    int64_t at = 0;
    for (int64_t c = 0; c < components; ++c) {
      const real *zb[4];
      quad top, sum;
      for (int i = 0; i < 4; ++i) zb[i] = z + (b + (i < many ? i : many - 1)) * n + at;
      NAME(exponentials)(zb, sizes[c], &top, &sum, 0);
      for (int64_t j = 0; j < sizes[c]; ++j) {
        const quad probability = exp_negative(NAME(outputs)(zb, j) - top) / sum;
        for (int i = 0; i < many; ++i) {
          const double chosen = choice[(b + i) * components + c] == j;
          gradient[(b + i) * n + at + j] = (real)(chosen - probability[i]);
        }
      }
      at += sizes[c];
    }
  }
}

/* noise[rows][n] <- scale factor z / |z|^2, over groups of the n components that end at ends[groups]. */
NRL_CLONES void NAME(nrl_normalise)(int64_t rows, int64_t groups, const int64_t *ends, double scale,
                                    const double *factor, real *noise) {
  const int64_t n = ends[groups - 1];
  for (int64_t r = 0; r < rows; ++r) {
    real *z = noise + r * n;
    int64_t start = 0;
    for (int64_t g = 0; g < groups; ++g) {
      const real square = NAME(dot)(z + start, z + start, ends[g] - start);
      const real by = (real)(scale * factor[r] / square);
      for (int64_t j = start; j < ends[g]; ++j) z[j] *= by;
      start = ends[g];
    }
  }
}

/* x <- factor x */
NRL_CLONES void NAME(nrl_scale)(int64_t n, real factor, real *x) {
  for (int64_t i = 0; i < n; ++i) x[i] *= factor;
}

/* out <- out + factor x */
NRL_CLONES void NAME(nrl_add_scaled)(int64_t n, real factor, const real *restrict x,
                                     real *restrict out) {
  for (int64_t i = 0; i < n; ++i) out[i] += factor * x[i];
}

/* out += factor post preT, layer by layer; one after the other in post, pre and out.
 *
 * layout: [layers][3], n_out, n_in, and whether the layer lies turned in out, as [n_in][n_out], so that its longer
 * side is the inner loop.
 */
NRL_CLONES void NAME(nrl_add_outer)(int64_t layers, const int64_t *layout, real factor,
                                    const real *restrict post, const real *restrict pre,
                                    real *restrict out) {
  for (int64_t l = 0; l < layers; ++l, layout += 3) {
    const int64_t n_out = layout[0], n_in = layout[1], turned = layout[2];
    const int64_t outer = turned ? n_in : n_out, inner = turned ? n_out : n_in;
    const real *one = turned ? pre : post, *two = turned ? post : pre;
    for (int64_t i = 0; i < outer; ++i) {
      const real f = factor * one[i];
      for (int64_t j = 0; j < inner; ++j) out[j] += f * two[j];
      out += inner;
    }
    post += n_out;
    pre += n_in;
  }
}

#undef NRL_ROWS
