/* The arithmetic of the learner: flat functions of numbers and pointers, for float and for double.
 *
 * Results depend only on the arguments, and are the same bits on every processor. arithmetic.pxd declares them to
 * Cython, and the C compiler compares both declarations.
 */
#ifndef NRL_ARITHMETIC_H
#define NRL_ARITHMETIC_H

#include <stdint.h>

/* Numbers are float or double; what the functions do is said in reals.h. */
#define NRL_DECLARE(real)                                                                          \
  void nrl_turn_##real(int64_t n_out, int64_t n_in, const real *w, real *wt);                      \
  void nrl_product_##real(int64_t rows, int64_t n_in, int64_t n_out, const real *x, int64_t ldx,   \
                          const real *wt, real *out);                                              \
  void nrl_dots_##real(int64_t rows, int64_t n_in, int64_t n_out, const real *x, int64_t ldx,      \
                       const real *w, real *out);                                                  \
  void nrl_copy_rows_##real(int64_t rows, int64_t n, const real *x, int64_t ldx, real *out,        \
                            int64_t ldout, int bias);                                              \
  void nrl_add_noise_##real(int64_t rows, int64_t n, real sigma, const real *noise, int64_t ldn,   \
                            real *out, int64_t ldout);                                             \
  void nrl_activate_##real(int64_t rows, int64_t n, real leak, real sigma, const real *a,          \
                           const real *noise, int64_t ldn, real *x, int64_t ldx, int bias);        \
  void nrl_softmax_##real(int64_t components, const int64_t *sizes, int64_t batch, int64_t passes, \
                          int64_t source, const real *z, const float *uniform, int32_t *choice,    \
                          double *log_probability);                                                \
  void nrl_softmax_gradient_##real(int64_t components, const int64_t *sizes, int64_t batch,        \
                                   const real *z, const int32_t *choice, real *gradient);          \
  void nrl_normalise_##real(int64_t rows, int64_t groups, const int64_t *ends, double scale,       \
                            const double *factor, real *noise);                                    \
  void nrl_scale_##real(int64_t n, real factor, real *x);                                          \
  void nrl_add_scaled_##real(int64_t n, real factor, const real *x, real *out);                    \
  void nrl_add_outer_##real(int64_t layers, const int64_t *layout, real factor, const real *post,  \
                            const real *pre, real *out);

NRL_DECLARE(float)
NRL_DECLARE(double)

/* Fill out with standard normal numbers; normal.h says how. state: [4][16], not all zero in any lane. */
void nrl_normal_numbers(uint32_t *state, int64_t count, float *out);

#endif
