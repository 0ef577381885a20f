/* Part of kernel.c: acting and learning of one process in one call each, put together from the parts above.
 *
 * It works on the very arrays that window_tracker.py and traces.py keep.
 */

/* Steps of gradient ascent; every layer's total lies as its traces do. */
typedef struct {
  float *const *weights;
  const double *scales;
  double rate;
} nrl_ascent;

/* Mirrored by _Cycle in cycle.py.
 *
 * step: its rows are those of traces, and its noise begins as the postsynaptic ones. draws: whether noise is
 * drawn here, by noise_state, or stands in noise. next: random bits for actions, from generator. acting
 * [acting_count], fresh [batch]: which instances act. ready, rpe [ready_count]: whose traces are learned from,
 * and their errors. rpe_size: sum of the sizes of these.
 */
typedef struct {
  const nrl_step *step;
  nrl_traces *traces;
  nrl_ascent ascent;
  int64_t draws;
  uint32_t *noise_state;
  int64_t noise_count;
  float *noise;
  uint32_t (*next)(void *);
  void *generator;
  float *uniform;
  const int64_t *acting;
  const uint8_t *fresh;
  int64_t acting_count;
  const int64_t *ready;
  const double *rpe;
  int64_t ready_count;
  float *credit;
  double rpe_size;
} nrl_cycle;

/* W += rate scale total; 0, and nothing is changed, where a total is not finite. Not for one machine's
 * width: products and sums are rounded one by one, as numpy's are. */
static int ascend(const nrl_ascent *s, const nrl_traces *t) {
  typedef uint32_t __attribute__((may_alias)) single;
  int64_t n, m, weights, at = 0;
  sum_sizes(t->layers, t->sizes, t->bias, &n, &m, &weights);
  int beyond = 0;
  for (int64_t i = 0; i < weights; ++i)
    beyond |= (((const single *)t->totals)[i] & 0x7f800000u) == 0x7f800000u;
  if (beyond) return 0;
  const float rate = (float)s->rate;
  for (int64_t l = 0; l < t->layers; ++l) {
    const int64_t n_in = t->sizes[l] + t->bias, n_out = t->sizes[l + 1];
    const float scale = (float)s->scales[l];
    float *const total = t->totals + at, *const weight = s->weights[l];
    for (int64_t i = 0; i < n_in * n_out; ++i) total[i] = total[i] * scale * rate;
    if (lies_turned(n_in, n_out)) {
      for (int64_t i = 0; i < n_out; ++i)
        for (int64_t j = 0; j < n_in; ++j) weight[i * n_in + j] += total[j * n_out + i];
    } else {
      for (int64_t i = 0; i < n_in * n_out; ++i) weight[i] += total[i];
    }
    at += n_in * n_out;
  }
  return 1;
}

/* Learn from ready windows; 0 where the sum is not finite: nothing is changed, and those traces are gone. */
NRL_EXPORT int64_t nrl_cycle_learn(nrl_cycle *s) {
  nrl_traces *const t = s->traces;
  int64_t n, m, weights;
  sum_sizes(t->layers, t->sizes, t->bias, &n, &m, &weights);
  memset(t->totals, 0, (size_t)weights * sizeof(float));
  s->rpe_size = 0.0;
  for (int64_t c = 0; c < s->ready_count; ++c) {
    s->credit[c] = (float)s->rpe[c];
    s->rpe_size += s->rpe[c] < 0.0 ? -s->rpe[c] : s->rpe[c];
  }
  t->which = s->ready;
  t->weight = s->credit;
  t->count = s->ready_count;
  nrl_dense_credit(t);
  return ascend(&s->ascent, t);
}

/* The rows of the step before go into the traces, and make place for the new ones. */
NRL_EXPORT void nrl_cycle_fold(nrl_cycle *s) {
  nrl_traces *const t = s->traces;
  t->which = s->acting_count == t->batch ? 0 : s->acting;
  t->count = s->acting_count;
  nrl_dense_fold(t);
}

/* Noise, in the place of the rows that will be made of it, and numbers for actions. */
NRL_EXPORT void nrl_cycle_draw(nrl_cycle *s) {
  const nrl_step *const step = s->step;
  if (s->draws)
    nrl_normal(s->noise_state, s->noise_count, step->post);
  else
    memcpy(step->post, s->noise, (size_t)s->noise_count * sizeof(float));
  for (int64_t i = 0; i < step->batch * step->components; ++i)
    s->uniform[i] = (float)(s->next(s->generator) >> 8) * (1.0f / 16777216.0f);
}

NRL_EXPORT void nrl_cycle_pass(nrl_cycle *s) { nrl_act(s->step); }

/* The rows of the step, of all instances that act. */
NRL_EXPORT void nrl_cycle_rows(nrl_cycle *s) {
  const nrl_step *const step = s->step;
  nrl_eligibility_in_place(step->batch * step->samples, step->ends[step->groups - 1], step->groups,
                           step->ends, step->scale, step->impact, step->post);
  if (s->traces->count < s->traces->batch) nrl_dense_forget(s->traces, s->fresh);
}

/* Act, and bring the rows of the step into the traces. */
NRL_EXPORT void nrl_cycle_act(nrl_cycle *s) {
  nrl_cycle_fold(s);
  nrl_cycle_draw(s);
  nrl_cycle_pass(s);
  nrl_cycle_rows(s);
}
