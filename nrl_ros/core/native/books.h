/* Part of kernel.c: the books of environment and learner, one call where numpy takes many. */

/* The books of an environment's instances; mirrored by _Books in kernels.py.
 *
 * reward to blind: what the step gave, [batch] each; blind may be null. episode to phase: the books.
 * ending to ended_return: what the step gives, lists from the front; live, paid, ended: how many
 * instances stepped, were paid, ended an episode.
 */
typedef struct {
  int64_t batch, delivery, delivery_steps;
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
  int64_t live, paid, ended;
} nrl_books;

enum { PHASE_FIRST, PHASE_MID, PHASE_LAST };
enum { ENDING_NONE, ENDING_TERMINATED, ENDING_TRUNCATED, ENDING_ABORTED };
enum { DELIVERY_EVERY_STEP, DELIVERY_EVERY_N_STEPS, DELIVERY_EPISODE };

NRL_EXPORT void nrl_move(nrl_books *s) {
  int64_t live = 0, paid = 0, ends = 0;
  for (int64_t b = 0; b < s->batch; ++b) {
    const int starting = s->phase[b] == PHASE_LAST, aborted = s->aborted[b];
    int ended = s->terminated[b] || s->truncated[b] || aborted, closing;
    if (starting) {
      /* A reset that gives no valid observation ends its episode at once. */
      ended = s->blind && s->blind[b];
      s->episode[b] += 1;
      s->window_steps[b] = 0;
      s->window_reward[b] = s->episode_return[b] = 0.0;
    } else {
      live += 1;
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
        s->paid_instance[paid] = (uint32_t)b;
        s->paid_episode[paid] = s->episode[b];
        s->paid_step[paid] = s->step[b];
        s->paid_window[paid] = s->window[b];
        s->paid_value[paid++] = s->window_reward[b];
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
      s->ended_instance[ends] = b;
      s->ended_episode[ends] = s->episode[b];
      s->ended_length[ends] = s->step[b];
      s->ended_ending[ends] = s->ending[b];
      s->ended_return[ends++] = s->episode_return[b];
    }
  }
  s->live = live;
  s->paid = paid;
  s->ended = ends;
}

/* The learner's windows of one agent (credit.py); mirrored by _Windows in kernels.py.
 *
 * window, phase, ending: of a state, [batch] each. The others: what credit.py keeps.
 */
typedef struct {
  int64_t batch;
  const uint32_t *window;
  const uint8_t *phase, *ending;
  uint8_t *has_rows, *closed, *fresh, *held;
  int64_t *newest, *done;
} nrl_windows;

/* 1: a window runs backwards; 2: a window is over. Nothing is changed. */
NRL_EXPORT int64_t nrl_look(const nrl_windows *s) {
  int64_t backwards = 0, over = 0;
  for (int64_t b = 0; b < s->batch; ++b) {
    const int64_t window = s->window[b];
    backwards |= window < s->newest[b] || (s->closed[b] && window == s->newest[b]);
    over |= s->has_rows[b] && !s->closed[b] && window != s->newest[b];
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
  int64_t count = 0;
  for (int64_t b = 0; b < s->batch; ++b)
    if (s->closed[b]) return -1;
  for (int64_t b = 0; b < s->batch; ++b) {
    const int acting = s->phase[b] != PHASE_LAST && (int64_t)s->window[b] > s->done[b];
    s->fresh[b] = (uint8_t)acting;
    s->has_rows[b] |= acting;
    if (acting) s->newest[b] = s->window[b];
    count += acting;
  }
  return count;
}
