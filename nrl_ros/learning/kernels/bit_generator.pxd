# Uniform numbers of a numpy generator, without a call into Python for each.

from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport uint32_t

cdef extern from "numpy/random/bitgen.h":
    ctypedef struct bitgen_t:
        void *state
        uint32_t (*next_uint32)(void *) nogil


cdef inline bitgen_t *bits_of(object generator) except NULL:
    """Return the source of random bits of a numpy generator; whoever keeps it keeps that too."""
    return <bitgen_t *> PyCapsule_GetPointer(generator.bit_generator.capsule, "BitGenerator")


cdef inline void draw_uniform(bitgen_t *bits, Py_ssize_t count, float *out) noexcept nogil:
    """Write what ``generator.random(count, dtype=numpy.float32)`` returns."""
    cdef Py_ssize_t i
    for i in range(count):
        out[i] = <float> (bits.next_uint32(bits.state) >> 8) * <float> (1.0 / 16777216.0)
