/* Part of kernel.c: the whole cycle of one process, put together from the parts above.
 *
 * What environment, neuromodulator and learner do between two steps of the environment, when nothing is out
 * of the way. It works on the very arrays that episode_tracker.py, neuromodulator.py, credit.py and traces.py keep.
 */

/* Steps of gradient ascent; every layer's total lies as its traces do. */
typedef struct {
  float *const *weights;
  const double *scales;
  double rate;
} nrl_ascent;

/* Mirrored by _Cycle in kernel_cycle.py.
 *
 * step: its rows are those of traces, and its noise begins as the postsynaptic ones. baseline, known: the
 * learner's copies of the averages. ascends: whether weights are changed here. draws: whether noise is drawn
 * here, by noise_state, or stands in noise. next: random bits for actions, from generator. learned: windows; rpe_size: sum of their absolute errors.
 */
typedef struct {
  const nrl_outcome *outcome;
  nrl_averages *averages;
  nrl_windows *windows;
  const nrl_step *step;
  nrl_traces *traces;
  nrl_ascent ascent;
  double *baseline;
  uint8_t *known;
  int64_t ascends, draws;
  uint32_t *noise_state;
  int64_t noise_count;
  float *noise;
  uint32_t (*next)(void *);
  void *generator;
  float *uniform;
  float *credit;
  int64_t *credited;
  int64_t learned;
  double rpe_size;
} nrl_cycle;

enum { CYCLE_UNUSUAL, CYCLE_DONE, CYCLE_LEARN, CYCLE_REJECTED };

/* Whether every window that is over has its reward now, and nothing else is to be looked into. */
static int is_usual(const nrl_cycle *s) {
  const nrl_windows *const w = s->windows;
  const nrl_averages *const a = s->averages;
  int64_t over = 0;
  int other = 0;
  for (int64_t b = 0; b < w->batch; ++b) {
    const int moved = (int64_t)w->window[b] != w->newest[b];
    const int ends = w->has_rows[b] & moved;
    other |= ((int64_t)w->window[b] < w->newest[b]) | w->closed[b];
    other |= ends & (w->held[b] | (w->ending[b] == ENDING_ABORTED));
    over += ends;
  }
  if (other || over != a->count) return 0;
  for (int64_t c = 0; c < a->count; ++c) {
    const int64_t b = a->instance[c];
    if (b >= w->batch || !w->has_rows[b] || (int64_t)a->window[c] != w->newest[b]) return 0;
    if ((int64_t)w->window[b] == w->newest[b]) return 0;
  }
  return 1;
}

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

/* Compare the rewards of the last move, close their windows, and learn from them.
 *
 * CYCLE_UNUSUAL: nothing was changed. CYCLE_LEARN: windows are closed, whose traces credited [learned] and
 * rpe of averages are to be learned from. CYCLE_REJECTED: the sum is not finite, and those traces are gone.
 */
NRL_EXPORT int64_t nrl_cycle_learn(nrl_cycle *s) {
  const nrl_outcome *const outcome = s->outcome;
  nrl_windows *const w = s->windows;
  nrl_averages *const a = s->averages;
  const size_t batch = (size_t)w->batch, closed = (size_t)outcome->count;
  memcpy((void *)w->window, outcome->window, batch * sizeof *w->window);
  memcpy((void *)w->phase, outcome->phase, batch);
  memcpy((void *)w->ending, outcome->ending, batch);
  memcpy((void *)a->instance, outcome->closed_instance, closed * sizeof *a->instance);
  memcpy((void *)a->window, outcome->closed_window, closed * sizeof *a->window);
  memcpy((void *)a->value, outcome->closed_value, closed * sizeof *a->value);
  a->count = outcome->count;
  s->learned = 0;
  s->rpe_size = 0.0;
  if (!is_usual(s)) return CYCLE_UNUSUAL;
  if (!a->count) return CYCLE_DONE;
  if (!nrl_compare(a)) return CYCLE_UNUSUAL;
  for (int64_t c = 0; c < a->count; ++c) {
    const int64_t b = a->instance[c];
    w->done[b] = w->newest[b];
    w->has_rows[b] = w->held[b] = 0;
    s->baseline[b] = a->after[c];
    s->known[b] = 1;
    s->credited[c] = b;
    s->credit[c] = (float)a->rpe[c];
    s->rpe_size += a->rpe[c] < 0.0 ? -a->rpe[c] : a->rpe[c];
  }
  s->learned = a->count;
  if (!s->ascends) return CYCLE_LEARN;
  nrl_traces *const t = s->traces;
  int64_t n, m, weights;
  sum_sizes(t->layers, t->sizes, t->bias, &n, &m, &weights);
  memset(t->totals, 0, (size_t)weights * sizeof(float));
  t->which = s->credited;
  t->weight = s->credit;
  t->count = a->count;
  nrl_dense_credit(t);
  return ascend(&s->ascent, t) ? CYCLE_DONE : CYCLE_REJECTED;
}

/* The rows of the step before go into the traces, and make place for the new ones. */
NRL_EXPORT void nrl_cycle_fold(nrl_cycle *s) {
  nrl_traces *const t = s->traces;
  const int64_t count = nrl_note(s->windows);
  t->which = count == t->batch ? 0 : s->windows->acting;
  t->count = count;
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
  if (s->traces->count < s->traces->batch) nrl_dense_forget(s->traces, s->windows->fresh);
}

/* Act, and bring the rows of the step into the traces. */
NRL_EXPORT void nrl_cycle_act(nrl_cycle *s) {
  nrl_cycle_fold(s);
  nrl_cycle_draw(s);
  nrl_cycle_pass(s);
  nrl_cycle_rows(s);
}
