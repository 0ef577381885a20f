# The C functions of arithmetic.h, and each once more under one name for both kinds of numbers.
#
# The C compiler compares the declarations with those of arithmetic.h.

from libc.stdint cimport int32_t, int64_t, uint32_t

cdef extern from "arithmetic.h" nogil:
    void nrl_turn_float(int64_t n_out, int64_t n_in, const float *w, float *wt)
    void nrl_product_float(int64_t rows, int64_t n_in, int64_t n_out, const float *x, int64_t ldx,
        const float *wt, float *out)
    void nrl_dots_float(int64_t rows, int64_t n_in, int64_t n_out, const float *x, int64_t ldx,
        const float *w, float *out)
    void nrl_copy_rows_float(int64_t rows, int64_t n, const float *x, int64_t ldx, float *out,
        int64_t ldout, bint bias)
    void nrl_add_noise_float(int64_t rows, int64_t n, float sigma, const float *noise, int64_t ldn,
        float *out, int64_t ldout)
    void nrl_activate_float(int64_t rows, int64_t n, float leak, float sigma, const float *a,
        const float *noise, int64_t ldn, float *x, int64_t ldx, bint bias)
    void nrl_softmax_float(int64_t components, const int64_t *sizes, int64_t batch, int64_t passes,
        int64_t source, const float *z, const float *uniform, int32_t *choice,
        double *log_probability)
    void nrl_softmax_gradient_float(int64_t components, const int64_t *sizes, int64_t batch,
        const float *z, const int32_t *choice, float *gradient)
    void nrl_normalise_float(int64_t rows, int64_t groups, const int64_t *ends, double scale,
        const double *factor, float *noise)
    void nrl_scale_float(int64_t n, float factor, float *x)
    void nrl_add_scaled_float(int64_t n, float factor, const float *x, float *out)
    void nrl_add_outer_float(int64_t layers, const int64_t *layout, float factor,
        const float *post, const float *pre, float *out)

    void nrl_turn_double(int64_t n_out, int64_t n_in, const double *w, double *wt)
    void nrl_product_double(int64_t rows, int64_t n_in, int64_t n_out, const double *x,
        int64_t ldx, const double *wt, double *out)
    void nrl_dots_double(int64_t rows, int64_t n_in, int64_t n_out, const double *x, int64_t ldx,
        const double *w, double *out)
    void nrl_copy_rows_double(int64_t rows, int64_t n, const double *x, int64_t ldx, double *out,
        int64_t ldout, bint bias)
    void nrl_add_noise_double(int64_t rows, int64_t n, double sigma, const double *noise,
        int64_t ldn, double *out, int64_t ldout)
    void nrl_activate_double(int64_t rows, int64_t n, double leak, double sigma, const double *a,
        const double *noise, int64_t ldn, double *x, int64_t ldx, bint bias)
    void nrl_softmax_double(int64_t components, const int64_t *sizes, int64_t batch,
        int64_t passes, int64_t source, const double *z, const float *uniform, int32_t *choice,
        double *log_probability)
    void nrl_softmax_gradient_double(int64_t components, const int64_t *sizes, int64_t batch,
        const double *z, const int32_t *choice, double *gradient)
    void nrl_normalise_double(int64_t rows, int64_t groups, const int64_t *ends, double scale,
        const double *factor, double *noise)
    void nrl_scale_double(int64_t n, double factor, double *x)
    void nrl_add_scaled_double(int64_t n, double factor, const double *x, double *out)
    void nrl_add_outer_double(int64_t layers, const int64_t *layout, double factor,
        const double *post, const double *pre, double *out)

    void nrl_normal_numbers(uint32_t *state, int64_t count, float *out)

ctypedef fused real:
    float
    double

ctypedef real *reals


cdef inline void turn(int64_t n_out, int64_t n_in, const real *w, real *wt) noexcept nogil:
    if real is float:
        nrl_turn_float(n_out, n_in, w, wt)
    else:
        nrl_turn_double(n_out, n_in, w, wt)

cdef inline void product(int64_t rows, int64_t n_in, int64_t n_out, const real *x, int64_t ldx,
    const real *wt, real *out) noexcept nogil:
    if real is float:
        nrl_product_float(rows, n_in, n_out, x, ldx, wt, out)
    else:
        nrl_product_double(rows, n_in, n_out, x, ldx, wt, out)

cdef inline void dots(int64_t rows, int64_t n_in, int64_t n_out, const real *x, int64_t ldx,
    const real *w, real *out) noexcept nogil:
    if real is float:
        nrl_dots_float(rows, n_in, n_out, x, ldx, w, out)
    else:
        nrl_dots_double(rows, n_in, n_out, x, ldx, w, out)

cdef inline void copy_rows(int64_t rows, int64_t n, const real *x, int64_t ldx, real *out,
    int64_t ldout, bint bias) noexcept nogil:
    if real is float:
        nrl_copy_rows_float(rows, n, x, ldx, out, ldout, bias)
    else:
        nrl_copy_rows_double(rows, n, x, ldx, out, ldout, bias)

cdef inline void add_noise(int64_t rows, int64_t n, real sigma, const real *noise, int64_t ldn,
    real *out, int64_t ldout) noexcept nogil:
    if real is float:
        nrl_add_noise_float(rows, n, sigma, noise, ldn, out, ldout)
    else:
        nrl_add_noise_double(rows, n, sigma, noise, ldn, out, ldout)

cdef inline void activate(int64_t rows, int64_t n, real leak, real sigma, const real *a,
    const real *noise, int64_t ldn, real *x, int64_t ldx, bint bias) noexcept nogil:
    if real is float:
        nrl_activate_float(rows, n, leak, sigma, a, noise, ldn, x, ldx, bias)
    else:
        nrl_activate_double(rows, n, leak, sigma, a, noise, ldn, x, ldx, bias)

cdef inline void softmax(int64_t components, const int64_t *sizes, int64_t batch, int64_t passes,
    int64_t source, const real *z, const float *uniform, int32_t *choice,
    double *log_probability) noexcept nogil:
    if real is float:
        nrl_softmax_float(components, sizes, batch, passes, source, z, uniform, choice,
            log_probability)
    else:
        nrl_softmax_double(components, sizes, batch, passes, source, z, uniform, choice,
            log_probability)

cdef inline void softmax_gradient(int64_t components, const int64_t *sizes, int64_t batch,
    const real *z, const int32_t *choice, real *gradient) noexcept nogil:
    if real is float:
        nrl_softmax_gradient_float(components, sizes, batch, z, choice, gradient)
    else:
        nrl_softmax_gradient_double(components, sizes, batch, z, choice, gradient)

cdef inline void normalise(int64_t rows, int64_t groups, const int64_t *ends, double scale,
    const double *factor, real *noise) noexcept nogil:
    if real is float:
        nrl_normalise_float(rows, groups, ends, scale, factor, noise)
    else:
        nrl_normalise_double(rows, groups, ends, scale, factor, noise)

cdef inline void scale(int64_t n, real factor, real *x) noexcept nogil:
    if real is float:
        nrl_scale_float(n, factor, x)
    else:
        nrl_scale_double(n, factor, x)

cdef inline void add_scaled(int64_t n, real factor, const real *x, real *out) noexcept nogil:
    if real is float:
        nrl_add_scaled_float(n, factor, x, out)
    else:
        nrl_add_scaled_double(n, factor, x, out)

cdef inline void add_outer(int64_t layers, const int64_t *layout, real factor, const real *post,
    const real *pre, real *out) noexcept nogil:
    if real is float:
        nrl_add_outer_float(layers, layout, factor, post, pre, out)
    else:
        nrl_add_outer_double(layers, layout, factor, post, pre, out)
