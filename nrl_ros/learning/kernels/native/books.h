/* Part of kernel.c: the books of environment and learner, one call where numpy takes many. */

/* The books of an environment's instances; mirrored by _Books in kernel_books.py.
 *
 * action: one choice each, below choices. observation: [batch][observation_size]. reward to blind: what the
 * step gave, [batch] each; blind may be null. episode to phase: the books.
 * ending to ended_return: what the step gives, lists from the front; live, paid, ended, aborts:
 * how many instances stepped, were paid, ended an episode, had it aborted.
 */
typedef struct {
  int64_t batch, delivery, delivery_steps, observation_size, choices;
  const uint32_t *action;
  const float *observation;
  const double *reward;
  const uint8_t *terminated, *truncated, *aborted, *blind;
  uint32_t *episode, *step, *window, *window_steps;
  double *window_reward, *episode_return;
  uint8_t *phase, *ending;
  uint32_t *paid_instance, *paid_episode, *paid_step, *paid_window;
  double *paid_value;
  int64_t *ended_instance;
  uint32_t *ended_episode, *ended_length;
  uint8_t *ended_ending;
  double *ended_return;
  int64_t live, paid, ended, aborts;
} nrl_books;

enum { PHASE_FIRST, PHASE_MID, PHASE_LAST };
enum { ENDING_NONE, ENDING_TERMINATED, ENDING_TRUNCATED, ENDING_ABORTED };
enum { DELIVERY_EVERY_STEP, DELIVERY_EVERY_N_STEPS, DELIVERY_EPISODE };

NRL_INLINE void move_one(nrl_books *s, int64_t b) {
  const int starting = s->phase[b] == PHASE_LAST, aborted = s->aborted[b] != 0;
  int ended = s->terminated[b] || s->truncated[b] || aborted, closing;
  if (starting) {
    /* A reset that gives no valid observation ends its episode at once. */
    ended = s->blind && s->blind[b];
    s->episode[b] += 1;
    s->window_steps[b] = 0;
    s->window_reward[b] = s->episode_return[b] = 0.0;
  } else {
    s->live += 1;
    s->window_steps[b] += 1;
    s->window_reward[b] += s->reward[b];
    s->episode_return[b] += s->reward[b];
  }
  if (s->delivery == DELIVERY_EPISODE)
    closing = ended;
  else if (s->delivery == DELIVERY_EVERY_STEP)
    closing = !starting;
  else
    closing = ended || s->window_steps[b] == (uint32_t)s->delivery_steps;
  if (closing) {
    if (!aborted) {
      s->paid_instance[s->paid] = (uint32_t)b;
      s->paid_episode[s->paid] = s->episode[b];
      s->paid_step[s->paid] = s->step[b];
      s->paid_window[s->paid] = s->window[b];
      s->paid_value[s->paid++] = s->window_reward[b];
    }
    s->window[b] += 1;
    s->window_reward[b] = 0.0;
    s->window_steps[b] = 0;
  }
  s->step[b] = starting ? 0 : s->step[b] + 1;
  s->phase[b] = ended ? PHASE_LAST : starting ? PHASE_FIRST : PHASE_MID;
  s->ending[b] = ENDING_NONE;
  if (ended) {
    s->ending[b] = aborted            ? ENDING_ABORTED
                   : s->terminated[b] ? ENDING_TERMINATED
                                      : ENDING_TRUNCATED;
    s->ended_instance[s->ended] = b;
    s->ended_episode[s->ended] = s->episode[b];
    s->ended_length[s->ended] = s->step[b];
    s->ended_ending[s->ended] = s->ending[b];
    s->ended_return[s->ended++] = s->episode_return[b];
    s->aborts += aborted;
  }
}

/* Instances looked at together: where all of them are amid an episode, there is less to do. */
#define STRETCH 32

NRL_INLINE int amid_episodes(const nrl_books *s, int64_t b) {
  const uint8_t *const phase = s->phase + b, *const terminated = s->terminated + b;
  const uint8_t *const truncated = s->truncated + b, *const aborted = s->aborted + b;
  int other = 0;
  for (int i = 0; i < STRETCH; ++i)
    other |= (phase[i] == PHASE_LAST) | terminated[i] | truncated[i] | aborted[i];
  return !other;
}

NRL_INLINE void move_on(nrl_books *s, int64_t b) {
  uint32_t *restrict const step = s->step + b, *restrict const steps = s->window_steps + b;
  double *restrict const sum = s->window_reward + b, *restrict const total = s->episode_return + b;
  const double *restrict const reward = s->reward + b;
  for (int i = 0; i < STRETCH; ++i) {
    step[i] += 1;
    steps[i] += 1;
    sum[i] += reward[i];
    total[i] += reward[i];
  }
  memset(s->phase + b, PHASE_MID, STRETCH);
  memset(s->ending + b, ENDING_NONE, STRETCH);
  s->live += STRETCH;
}

/* Whether every action is one of the choices. */
NRL_EXPORT int64_t nrl_fits(const nrl_books *s) {
  const uint32_t choices = (uint32_t)s->choices;
  int beyond = 0;
  for (int64_t b = 0; b < s->batch; ++b) beyond |= s->action[b] >= choices;
  return !beyond;
}

/* Whether observations and rewards are finite: not all bits of the exponent are set. */
NRL_EXPORT NRL_CLONES int64_t nrl_finite(const nrl_books *s) {
  typedef uint32_t __attribute__((may_alias)) single;
  typedef uint64_t __attribute__((may_alias)) twice;
  const single *const observation = (const single *)s->observation;
  const twice *const reward = (const twice *)s->reward;
  int beyond = 0;
  for (int64_t i = 0; i < s->batch * s->observation_size; ++i)
    beyond |= (observation[i] & 0x7f800000u) == 0x7f800000u;
  for (int64_t b = 0; b < s->batch; ++b)
    beyond |= (reward[b] & 0x7ff0000000000000u) == 0x7ff0000000000000u;
  return !beyond;
}

NRL_EXPORT void nrl_move(nrl_books *s) {
  s->live = s->paid = s->ended = s->aborts = 0;
  int64_t b = 0;
  if (s->delivery == DELIVERY_EPISODE)
    for (; b + STRETCH <= s->batch; b += STRETCH) {
      if (amid_episodes(s, b))
        move_on(s, b);
      else
        for (int64_t i = b; i < b + STRETCH; ++i) move_one(s, i);
    }
  for (; b < s->batch; ++b) move_one(s, b);
}

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
