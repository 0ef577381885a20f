/* Part of kernel.c: what traces take and give. */

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

/* Whether a layer's dense trace lies [in][out], so that its longer side is the inner one. */
NRL_INLINE int lies_turned(int64_t n_in, int64_t n_out) { return n_in < n_out && n_in < 16; }

/* t += factor a xT for one layer of one instance. */
NRL_INLINE void add_outer(float *restrict t, const float *restrict a, const float *restrict x,
                          float factor, int64_t n_in, int64_t n_out) {
  const int turned = lies_turned(n_in, n_out);
  const int64_t outer = turned ? n_in : n_out, inner = turned ? n_out : n_in;
  const float *one = turned ? x : a, *two = turned ? a : x;
  for (int64_t i = 0; i < outer; ++i) {
    const float f = factor * one[i];
    float *row = t + i * inner;
    for (int64_t j = 0; j < inner; ++j) row[j] += f * two[j];
  }
}

NRL_INLINE void copy_row(float *restrict to, const float *restrict from, int64_t n) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) *(eight *)(to + i) = *(const eight *)(from + i);
  copy_few(to + i, from + i, n - i);
}

/* Dense traces of many instances; mirrored by _Traces in kernel_traces.py. */
typedef struct {
  int64_t layers;
  const int64_t *sizes;
  int64_t bias, batch, samples;
  double decay;
  float *post, *pre, *trace;
  const float *new_post, *new_pre;
  const int64_t *which;
  int64_t count;
  const float *weight;
  float *totals;
} nrl_traces;

/* e <- decay e + post preT for every layer of an instance, e being [batch][weights]. */
NRL_INLINE void fold(const nrl_traces *s, int64_t b, int64_t n, int64_t m, int64_t weights) {
  const float decay = (float)s->decay;
  float *const e = s->trace + b * weights;
  if (decay != 1.0f)
    for (int64_t i = 0; i < weights; ++i) e[i] *= decay;
  for (int64_t k = 0; k < s->samples; ++k) {
    const float *a = s->post + (k * s->batch + b) * n, *x = s->pre + (k * s->batch + b) * m;
    float *t = e;
    for (int64_t l = 0; l < s->layers; ++l) {
      const int64_t n_in = s->sizes[l] + s->bias, n_out = s->sizes[l + 1];
      add_outer(t, a, x, 1.0f, n_in, n_out);
      t += n_in * n_out;
      a += n_out;
      x += n_in;
    }
  }
}

/* A step of dense traces: the rows of the step before go into the traces, the new ones take their place.
 *
 * Until the next step the newest can still be taken back. sizes, bias as in nrl_forward; rows post, new_post
 * [samples][batch][N], pre, new_pre [samples][batch][M]; which [count]: instances to touch, null for the
 * first count of them.
 */
NRL_EXPORT NRL_CLONES void nrl_dense(const nrl_traces *s) {
  int64_t n, m, weights;
  sum_sizes(s->layers, s->sizes, s->bias, &n, &m, &weights);
  for (int64_t c = 0; c < s->count; ++c) {
    const int64_t b = s->which ? s->which[c] : c;
    fold(s, b, n, m, weights);
    for (int64_t k = 0; k < s->samples; ++k) {
      const int64_t row = k * s->batch + b;
      copy_row(s->post + row * n, s->new_post + row * n, n);
      copy_row(s->pre + row * m, s->new_pre + row * m, m);
    }
  }
}

/* The same without new rows: their place is free for whatever is written there. */
NRL_EXPORT NRL_CLONES void nrl_dense_fold(const nrl_traces *s) {
  int64_t n, m, weights;
  sum_sizes(s->layers, s->sizes, s->bias, &n, &m, &weights);
  for (int64_t c = 0; c < s->count; ++c)
    fold(s, s->which ? s->which[c] : c, n, m, weights);
}

/* Zero the rows of all instances but those that act. */
static void nrl_dense_forget(const nrl_traces *s, const uint8_t *acts) {
  int64_t n, m, weights;
  sum_sizes(s->layers, s->sizes, s->bias, &n, &m, &weights);
  for (int64_t k = 0; k < s->samples; ++k)
    for (int64_t b = 0; b < s->batch; ++b) {
      if (acts[b]) continue;
      memset(s->post + (k * s->batch + b) * n, 0, (size_t)n * sizeof(float));
      memset(s->pre + (k * s->batch + b) * m, 0, (size_t)m * sizeof(float));
    }
}

/* Credit of some instances: total += weight (decay e + post preT), then those traces are zero.
 *
 * which, weight [count]: instances, each once, and their reward-prediction errors. totals: one matrix a
 * layer, which lies as the traces do. The rest as in nrl_dense.
 */
NRL_EXPORT NRL_CLONES void nrl_dense_credit(const nrl_traces *s) {
  const int64_t layers = s->layers, *const sizes = s->sizes, bias = s->bias, batch = s->batch;
  const int64_t samples = s->samples, *const which = s->which;
  const float decay = (float)s->decay, *const weight = s->weight;
  float *const post = s->post, *const pre = s->pre, *const trace = s->trace;
  float *const totals = s->totals;
  int64_t n, m, weights;
  sum_sizes(layers, sizes, bias, &n, &m, &weights);
  for (int64_t c = 0; c < s->count; ++c) {
    float *e = trace + which[c] * weights;
    const float w = weight[c], wd = w * decay;
    for (int64_t i = 0; i < weights; ++i) totals[i] += wd * e[i];
    memset(e, 0, (size_t)weights * sizeof(float));
    for (int64_t k = 0; k < samples; ++k) {
      float *a = post + (k * batch + which[c]) * n, *x = pre + (k * batch + which[c]) * m;
      float *t = totals;
      int64_t at_n = 0, at_m = 0;
      for (int64_t l = 0; l < layers; ++l) {
        const int64_t n_in = sizes[l] + bias, n_out = sizes[l + 1];
        add_outer(t, a + at_n, x + at_m, w, n_in, n_out);
        t += n_in * n_out;
        at_n += n_out;
        at_m += n_in;
      }
      memset(a, 0, (size_t)n * sizeof(float));
      memset(x, 0, (size_t)m * sizeof(float));
    }
  }
}
