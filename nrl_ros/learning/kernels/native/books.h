/* Part of kernel.c: the windows of the learner and the averages of the neuromodulator, one call
 * where numpy takes many. */

/* What the newest step left of an environment (episode_tracker.py); mirrored by _Outcome in books.py.
 *
 * window, phase, ending: [batch] each. closed_instance to closed_value: of count windows.
 */
typedef struct {
  int64_t count;
  const uint32_t *window;
  const uint8_t *phase, *ending;
  const uint32_t *closed_instance, *closed_window;
  const double *closed_value;
} nrl_outcome;

enum { PHASE_FIRST, PHASE_MID, PHASE_LAST };
enum { ENDING_NONE, ENDING_TERMINATED, ENDING_TRUNCATED, ENDING_ABORTED };

/* The learner's windows of one agent (credit.py); mirrored by _Windows in kernel_books.py.
 *
 * window, phase, ending: of a state, [batch] each. acting: instances that act, from the front. instance,
 * named: of count reward-prediction errors. The others: what credit.py keeps.
 */
typedef struct {
  int64_t batch, count;
  const uint32_t *window, *named;
  const uint8_t *phase, *ending;
  const int64_t *instance;
  int64_t *acting;
  uint8_t *has_rows, *closed, *fresh, *held;
  int64_t *newest, *done;
} nrl_windows;

/* 1: a window runs backwards; 2: a window is over. Nothing is changed. */
NRL_EXPORT int64_t nrl_look(const nrl_windows *s) {
  int64_t backwards = 0, over = 0;
  for (int64_t b = 0; b < s->batch; ++b) {
    const int64_t window = s->window[b];
    const int other = window != s->newest[b], closed = s->closed[b];
    backwards |= (window < s->newest[b]) | (closed & !other);
    over |= s->has_rows[b] & !closed & other;
  }
  return backwards | over << 1;
}

/* Close the windows that are over; 0, and nothing is changed, where one is aborted or has its RPE. */
NRL_EXPORT int64_t nrl_close(const nrl_windows *s) {
  for (int pass = 0; pass < 2; ++pass)
    for (int64_t b = 0; b < s->batch; ++b) {
      if (!s->has_rows[b] || s->closed[b] || (int64_t)s->window[b] == s->newest[b]) continue;
      if (!pass && (s->held[b] || s->ending[b] == ENDING_ABORTED)) return 0;
      if (pass) s->closed[b] = 1;
    }
  return 1;
}

/* Note a step of those that act, and how many; -1, and nothing is changed, where a window still waits. */
NRL_EXPORT int64_t nrl_note(const nrl_windows *s) {
  int waiting = 0;
  int64_t count = 0;
  for (int64_t b = 0; b < s->batch; ++b) waiting |= s->closed[b];
  if (waiting) return -1;
  for (int64_t b = 0; b < s->batch; ++b) {
    const int acts = (s->phase[b] != PHASE_LAST) & ((int64_t)s->window[b] > s->done[b]);
    s->fresh[b] = (uint8_t)acts;
    s->has_rows[b] |= acts;
    s->newest[b] = acts ? s->window[b] : s->newest[b];
    s->acting[count] = b;
    count += acts;
  }
  return count;
}

/* Finish the closed windows that RPEs name; 0, and nothing is changed, where one names another. */
NRL_EXPORT int64_t nrl_finish(const nrl_windows *s) {
  for (int pass = 0; pass < 2; ++pass)
    for (int64_t c = 0; c < s->count; ++c) {
      const int64_t b = s->instance[c];
      if (!pass && !(s->has_rows[b] && s->closed[b] && s->newest[b] == (int64_t)s->named[c])) return 0;
      if (!pass) continue;
      s->done[b] = s->newest[b];
      s->has_rows[b] = s->closed[b] = s->held[b] = 0;
    }
  return 1;
}

/* The neuromodulator's averages of one agent (neuromodulator.py); mirrored by _Averages in kernel_books.py.
 *
 * instance to value: count rewards. known to last_window: what neuromodulator.py keeps. after, rpe: what
 * the averages are from now on, and how much better the rewards were.
 */
typedef struct {
  int64_t batch, count, order, scaled;
  double rate;
  const uint32_t *instance, *window;
  const double *value;
  uint8_t *known;
  double *baseline;
  int64_t *last_window;
  double *after, *rpe;
} nrl_averages;

enum { COMPARED_BEFORE, COMPARED_AFTER, COMPARED_NEVER };

/* Compare rewards; 0, and nothing is changed, where one is not finite, out of order or seen before. */
NRL_EXPORT int64_t nrl_compare(const nrl_averages *s) {
  for (int64_t c = 0; c < s->count; ++c) {
    const uint32_t b = s->instance[c];
    if (b >= s->batch || (c && b <= s->instance[c - 1])) return 0;
    /* What is not finite is not even 0 after it was taken times nothing. */
    if (s->value[c] * 0.0 != 0.0 || (int64_t)s->window[c] <= s->last_window[b]) return 0;
  }
  for (int64_t c = 0; c < s->count; ++c) {
    const uint32_t b = s->instance[c];
    const double value = s->value[c], before = s->known[b] ? s->baseline[b] : value;
    const double after = before + s->rate * (value - before), size = value < 0.0 ? -value : value;
    const double expected = s->order == COMPARED_BEFORE  ? before
                            : s->order == COMPARED_AFTER ? after
                                                         : 0.0;
    s->rpe[c] = value - expected;
    if (s->scaled && size > 0.0) s->rpe[c] /= size;
    s->after[c] = s->baseline[b] = after;
    s->known[b] = 1;
    s->last_window[b] = s->window[c];
  }
  return 1;
}
