# Where the numbers of an array begin.

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBuffer_Release, PyObject_GetBuffer


cdef inline void *address_of(object array, Py_ssize_t count, Py_ssize_t width) except? NULL:
    """Return where an array begins; whoever keeps the address keeps the array too.

    Args:
        array: contiguous.
        count: numbers that it must have.
        width: bytes of each.

    Raises:
        BufferError, ValueError: it is none of these.
    """
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS)
    cdef void *address = view.buf
    cdef bint fits = view.itemsize == width and view.len == count * width
    PyBuffer_Release(&view)
    if not fits:
        raise ValueError(
            f'an array of {array.size} numbers of kind {array.dtype} was received, '
            f'expected {count} numbers of {width} bytes'
        )
    return address
