# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: freethreading_compatible=True
"""The C++ core for Python: each function takes checked arrays, releases the GIL where the work is
longer than the release, and calls one function of csrc/imgsim. All messages are in _validate.py.
"""
cimport cython
cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t, intptr_t, uint8_t, uint16_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.vector cimport vector
from cpython.pycapsule cimport PyCapsule_GetPointer
from imgsim_fast cimport csrc

import threading

import numpy as np

cnp.import_array()


cdef int64_t MOST_EXACT = 2**53
cdef uint64_t MOST_KEYS = 2**32
cdef double LARGEST = np.finfo(np.float64).max
cdef double LARGEST_SINGLE = np.finfo(np.float32).max


cdef extern from "Python.h":
    int PyErr_CheckSignals() noexcept
    void PyErr_SetString(object kind, const char* message) noexcept


# ---- shared ---------------------------------------------------------------------------------

cdef cbool poll_signals(void* process) noexcept with gil:
    # A handler that raises (Ctrl-C) leaves its exception pending; raise_pending() hands it on.
    if PyErr_CheckSignals() != 0:
        return True
    if <intptr_t>process == csrc.this_process():
        return False
    PyErr_SetString(RuntimeError, "a child forked by a signal handler inside this call has none "
                                  "of its threads and cannot finish it")
    return True


cdef int raise_pending() except -1:
    return -1


cdef csrc.Cancel on_signal() except *:
    # Only the main thread handles signals. Others must not ask: Python ends a thread that wants the
    # GIL while it shuts down.
    cdef csrc.Cancel cancel
    if threading.get_ident() == threading.main_thread().ident:
        cancel.poll = poll_signals
        cancel.context = <void*><intptr_t>csrc.this_process()
    return cancel


cdef inline bint is_plain_f64(object array) noexcept:
    return (type(array) is cnp.ndarray and cnp.PyArray_TYPE(<cnp.ndarray>array) == cnp.NPY_DOUBLE
            and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>array))


cdef inline csrc.Span[const double] span_of(cnp.ndarray array) noexcept:
    cdef csrc.Span[const double] span
    if array is not None:
        span.data = <const double*>cnp.PyArray_DATA(array)
        span.size = <size_t>cnp.PyArray_SIZE(array)
    return span


cdef csrc.MassMatrix masses_of(cnp.ndarray array) except *:
    """Rows of a C-contiguous (n, bins) array of float64 or uint32."""
    cdef csrc.MassMatrix masses
    if cnp.PyArray_NDIM(array) != 2 or not cnp.PyArray_ISCARRAY_RO(array):
        raise TypeError("rows must be a C-contiguous array of two dimensions")
    if cnp.PyArray_TYPE(array) == cnp.NPY_DOUBLE:
        masses.type = csrc.MassType.f64
    elif array.dtype == np.uint32:
        masses.type = csrc.MassType.u32
    else:
        raise TypeError(f"rows must be float64 or uint32, got {array.dtype}")
    masses.data = cnp.PyArray_DATA(array)
    masses.rows = <size_t>cnp.PyArray_DIM(array, 0)
    masses.cols = <size_t>cnp.PyArray_DIM(array, 1)
    masses.stride = masses.cols
    return masses


class BadMassError(Exception):
    """Row ``row`` of argument number ``which`` is no distribution; _validate says why."""

    def __init__(self, which, row):
        super().__init__(which, row)
        self.which = which
        self.row = row


cdef int assign(csrc.CdfMatrix& sums, cnp.ndarray rows, int which) except -1:
    cdef csrc.MassMatrix masses = masses_of(rows)
    cdef size_t bad
    with nogil:
        bad = sums.assign(masses, 0, masses.rows)
    if bad != csrc.kNoBadRow:
        raise BadMassError(which, bad)
    return 0


# ---- instruction sets -----------------------------------------------------------------------

def available_isas():
    return [name.decode() for name in csrc.available_isas()]


def active_isa():
    return csrc.active_isa().decode()


def set_isa(str name):
    csrc.set_isa(name.encode())


def set_thread_worth(double nanoseconds):
    """For how much work one more thread is used, 2.5e5 by default; returns what it was."""
    return csrc.set_thread_worth(nanoseconds)


# ---- images and histograms ------------------------------------------------------------------

cdef csrc.PixelType pixel_type(cnp.ndarray image) except *:
    cdef int kind = cnp.PyArray_TYPE(image)
    if kind == cnp.NPY_UINT8:
        return csrc.PixelType.u8
    if kind == cnp.NPY_UINT16:
        return csrc.PixelType.u16
    if kind == cnp.NPY_FLOAT:
        return csrc.PixelType.f32
    if kind == cnp.NPY_DOUBLE:
        return csrc.PixelType.f64
    raise TypeError(f"pixels must be uint8, uint16, float32 or float64, got {image.dtype}")


cdef csrc.ImageView image_view(cnp.ndarray image) except *:
    """An (h, w) or (h, w, channels) array as it lies in memory."""
    cdef csrc.ImageView view
    cdef int ndim = cnp.PyArray_NDIM(image)
    if ndim != 2 and ndim != 3:
        raise TypeError("an image has two or three dimensions")
    view.data = cnp.PyArray_DATA(image)
    view.height = <size_t>cnp.PyArray_DIM(image, 0)
    view.width = <size_t>cnp.PyArray_DIM(image, 1)
    view.channels = <size_t>cnp.PyArray_DIM(image, 2) if ndim == 3 else 1
    view.row_stride = cnp.PyArray_STRIDE(image, 0)
    view.pixel_stride = cnp.PyArray_STRIDE(image, 1)
    view.channel_stride = cnp.PyArray_STRIDE(image, 2) if ndim == 3 else 0
    return view


cdef csrc.MaskView mask_view(cnp.ndarray mask) noexcept:
    cdef csrc.MaskView view
    view.data = NULL
    if mask is not None:
        view.data = <const uint8_t*>cnp.PyArray_DATA(mask)
        view.row_stride = cnp.PyArray_STRIDE(mask, 0)
        view.pixel_stride = cnp.PyArray_STRIDE(mask, 1)
    return view


@cython.final
cdef class Axis:
    """Equal bins: number, range and the edges that NumPy would compute."""

    cdef csrc.BinAxis axis
    cdef readonly cnp.ndarray edges

    def __cinit__(self, double first, double last, cnp.ndarray edges, bint single_precision):
        if not is_plain_f64(edges) or cnp.PyArray_NDIM(edges) != 1:
            raise TypeError("edges must be a float64 vector")
        self.edges = edges
        self.axis.first = first
        self.axis.last = last
        self.axis.bins = <size_t>cnp.PyArray_DIM(edges, 0) - 1
        self.axis.edges = <const double*>cnp.PyArray_DATA(edges)
        self.axis.single_precision = single_precision

    @property
    def bins(self):
        return self.axis.bins


def histogram(cnp.ndarray image, cnp.ndarray mask, Axis axis not None):
    cdef csrc.ImageView view = image_view(image)
    cdef csrc.PixelType kind = pixel_type(image)
    cdef csrc.MaskView selected = mask_view(mask)
    cdef cnp.ndarray counts = np.zeros(axis.axis.bins, dtype=np.int64)
    cdef int64_t* out = <int64_t*>cnp.PyArray_DATA(counts)
    with nogil:
        csrc.histogram(view, kind, selected, axis.axis, out)
    return counts


def histogram_joint(cnp.ndarray image, cnp.ndarray mask, tuple axes):
    cdef csrc.ImageView view = image_view(image)
    cdef csrc.PixelType kind = pixel_type(image)
    cdef csrc.MaskView selected = mask_view(mask)
    cdef vector[csrc.BinAxis] parts
    cdef csrc.Span[const csrc.BinAxis] span
    cdef Axis axis
    for axis in axes:
        parts.push_back(axis.axis)
    if parts.size() != view.channels:
        raise TypeError("one axis per channel")
    span.data = parts.data()
    span.size = parts.size()
    cdef cnp.ndarray counts = np.zeros([axis.bins for axis in axes], dtype=np.int64)
    cdef int64_t* out = <int64_t*>cnp.PyArray_DATA(counts)
    with nogil:
        csrc.histogram_joint(view, kind, selected, span, out)
    return counts


def histograms(list images, Axis axis not None, size_t threads):
    """images: (h, w) arrays of one dtype."""
    cdef vector[csrc.ImageView] views
    cdef cnp.ndarray image
    cdef csrc.PixelType kind = csrc.PixelType.u8
    views.reserve(len(images))
    for image in images:
        views.push_back(image_view(image))
        kind = pixel_type(image)
    cdef cnp.ndarray counts = np.zeros((len(images), axis.axis.bins), dtype=np.int64)
    cdef int64_t* out = <int64_t*>cnp.PyArray_DATA(counts)
    cdef csrc.Cancel cancel = on_signal()
    cdef cbool done
    with nogil:
        done = csrc.histograms(views, kind, axis.axis, threads, cancel, out)
    if not done:
        raise_pending()
    return counts


def grey(cnp.ndarray rgb):
    cdef csrc.ImageView view = image_view(rgb)
    if cnp.PyArray_TYPE(rgb) != cnp.NPY_UINT8 or view.channels < 3:
        raise TypeError("grey takes (h, w, 3 or more) uint8")
    cdef cnp.ndarray out = np.empty((view.height, view.width), dtype=np.uint8)
    cdef uint8_t* data = <uint8_t*>cnp.PyArray_DATA(out)
    with nogil:
        csrc.grey_from_rgb(view, data)
    return out


def histogram_grey(cnp.ndarray rgb, Axis axis not None):
    cdef csrc.ImageView view = image_view(rgb)
    if cnp.PyArray_TYPE(rgb) != cnp.NPY_UINT8 or view.channels < 3:
        raise TypeError("histogram_grey takes (h, w, 3 or more) uint8")
    cdef cnp.ndarray counts = np.zeros(axis.axis.bins, dtype=np.int64)
    cdef int64_t* out = <int64_t*>cnp.PyArray_DATA(counts)
    with nogil:
        csrc.histogram_grey(view, axis.axis, out)
    return counts


cdef extern from *:
    """
    // The Arrow C data interface: a stable ABI, restated from its specification.
    struct ArrowArray {
      int64_t length, null_count, offset, n_buffers, n_children;
      const void** buffers;
      struct ArrowArray** children;
      struct ArrowArray* dictionary;
      void (*release)(struct ArrowArray*);
      void* private_data;
    };
    """
    struct ArrowArray:
        int64_t length
        int64_t offset
        int64_t n_buffers
        int64_t n_children
        const void** buffers
        ArrowArray** children


def histogram_grey_arrow(object capsule, size_t height, size_t width, Axis axis not None):
    """Grey histogram of pixels in a decoder's own memory, handed over as an Arrow array.

    One byte per pixel (grey), or lists of four bytes per pixel (R, G, B, unused).
    """
    cdef ArrowArray* array = <ArrowArray*>PyCapsule_GetPointer(capsule, "arrow_array")
    cdef csrc.ImageView view
    cdef int64_t pixels = <int64_t>(height * width)
    cdef bint colour = array.n_children == 1
    if array.offset != 0 or array.length != pixels or (not colour and array.n_buffers != 2):
        raise TypeError("the Arrow array is not one of pixels")
    if colour and (array.children[0].n_buffers != 2 or array.children[0].offset != 0
                   or array.children[0].length != 4 * pixels):
        raise TypeError("the Arrow array is not one of four-byte pixels")
    if colour:
        view.data = array.children[0].buffers[1]
    else:
        view.data = array.buffers[1]
    view.height = height
    view.width = width
    view.channels = 4 if colour else 1
    view.pixel_stride = 4 if colour else 1
    view.row_stride = view.pixel_stride * <ptrdiff_t>width
    view.channel_stride = 1
    cdef csrc.MaskView every
    every.data = NULL
    cdef cnp.ndarray counts = np.zeros(axis.axis.bins, dtype=np.int64)
    cdef int64_t* out = <int64_t*>cnp.PyArray_DATA(counts)
    with nogil:
        if colour:
            csrc.histogram_grey(view, axis.axis, out)
        else:
            csrc.histogram(view, csrc.PixelType.u8, every, axis.axis, out)
    return counts


# ---- comparison of histograms ---------------------------------------------------------------

include "_comparison.pxi"


# ---- one-dimensional Wasserstein distance ---------------------------------------------------

@cython.final
cdef class Metric:
    """W_p on a line or circle of bins: the prepared geometry."""

    cdef csrc.Wasserstein1d* metric
    cdef readonly size_t bins

    def __cinit__(self, size_t bins, cnp.ndarray positions, double spacing, double p,
                  double period):
        cdef const double* data = NULL
        if positions is not None:
            if not is_plain_f64(positions) or <size_t>cnp.PyArray_SIZE(positions) != bins:
                raise TypeError("positions must be a float64 vector, one per bin")
            data = <const double*>cnp.PyArray_DATA(positions)
        self.bins = bins
        self.metric = new csrc.Wasserstein1d(bins, data, spacing, p, period)

    def __dealloc__(self):
        del self.metric


def wasserstein_1d_plain(object a, object b):
    """W1 of two plain float64 vectors of unit-spaced bins, or None where the slow way must look."""
    if not (is_plain_f64(a) and is_plain_f64(b)):
        return None
    if cnp.PyArray_NDIM(<cnp.ndarray>a) != 1 or cnp.PyArray_NDIM(<cnp.ndarray>b) != 1:
        return None
    cdef size_t bins = <size_t>cnp.PyArray_DIM(<cnp.ndarray>a, 0)
    if bins == 0 or bins != <size_t>cnp.PyArray_DIM(<cnp.ndarray>b, 0):
        return None
    # The GIL is kept: releasing it would take a fifth of the time.
    cdef double distance = csrc.wasserstein_1d_unit(
        <const double*>cnp.PyArray_DATA(<cnp.ndarray>a),
        <const double*>cnp.PyArray_DATA(<cnp.ndarray>b), bins)
    return distance if distance >= 0 else None


def pairs(Metric metric not None, cnp.ndarray a, cnp.ndarray b, cnp.ndarray index_a,
          cnp.ndarray index_b, size_t threads):
    """Distances of rows index_a[k] of a and index_b[k] of b (int64 indices, checked)."""
    cdef csrc.CdfMatrix sums_a
    cdef csrc.CdfMatrix sums_b
    assign(sums_a, a, 0)
    assign(sums_b, b, 1)
    cdef size_t n = <size_t>cnp.PyArray_SIZE(index_a)
    cdef const int64_t* first = <const int64_t*>cnp.PyArray_DATA(index_a)
    cdef const int64_t* second = <const int64_t*>cnp.PyArray_DATA(index_b)
    cdef cnp.ndarray out = np.empty(n, dtype=np.float64)
    cdef double* data = <double*>cnp.PyArray_DATA(out)
    cdef csrc.Cancel cancel = on_signal()
    cdef cbool done
    with nogil:
        done = csrc.pairs(metric.metric[0], sums_a, sums_b, first, second, n, threads, cancel, data)
    if not done:
        raise_pending()
    return out


def cdist(Metric metric not None, cnp.ndarray a, cnp.ndarray b, cnp.ndarray out, size_t threads):
    """out: C-contiguous float64 of shape (rows of a, rows of b)."""
    cdef csrc.CdfMatrix sums_a
    cdef csrc.CdfMatrix sums_b
    assign(sums_a, a, 0)
    assign(sums_b, b, 1)
    cdef double* data = <double*>cnp.PyArray_DATA(out)
    cdef csrc.Cancel cancel = on_signal()
    cdef cbool done
    with nogil:
        done = csrc.cdist(metric.metric[0], sums_a, sums_b, threads, cancel, data)
    if not done:
        raise_pending()


def pdist(Metric metric not None, cnp.ndarray a, size_t threads):
    cdef csrc.CdfMatrix sums
    assign(sums, a, 0)
    cdef size_t n = sums.rows()
    cdef cnp.ndarray out = np.empty(n * (n - 1) // 2 if n else 0, dtype=np.float64)
    cdef double* data = <double*>cnp.PyArray_DATA(out)
    cdef csrc.Cancel cancel = on_signal()
    cdef cbool done
    with nogil:
        done = csrc.pdist(metric.metric[0], sums, threads, cancel, data)
    if not done:
        raise_pending()
    return out


def running_sums(cnp.ndarray rows):
    """(sums, totals) of an (n, bins) array, rows of extreme totals scaled by powers of two."""
    cdef csrc.CdfMatrix sums
    assign(sums, rows, 0)
    cdef Py_ssize_t n = cnp.PyArray_DIM(rows, 0), bins = cnp.PyArray_DIM(rows, 1), i, j
    cdef cnp.ndarray out = np.empty((n, bins), dtype=np.float64)
    cdef cnp.ndarray totals = np.empty(n, dtype=np.float64)
    cdef double* to = <double*>cnp.PyArray_DATA(out)
    cdef double* total = <double*>cnp.PyArray_DATA(totals)
    with nogil:
        for i in range(n):
            total[i] = sums.total(<size_t>i)
            for j in range(bins):
                to[i * bins + j] = sums.row(<size_t>i)[j]
    return out, totals


def sample_coupling(cnp.ndarray x, cnp.ndarray x_weights, cnp.ndarray y, cnp.ndarray y_weights,
                    double p, bint normalize, bint with_plan):
    """(cost, None) or (cost, (source indices, target indices, masses))."""
    cdef csrc.Sample first, second
    cdef vector[csrc.CouplingPiece] pieces
    cdef vector[csrc.CouplingPiece]* plan = &pieces if with_plan else NULL
    cdef csrc.Totals totals = csrc.Totals.normalize if normalize else csrc.Totals.keep
    cdef double cost
    first.positions = span_of(x)
    first.weights = span_of(x_weights)
    second.positions = span_of(y)
    second.weights = span_of(y_weights)
    with nogil:
        cost = csrc.sample_coupling(first, second, p, totals, plan)
    if not with_plan:
        return cost, None
    cdef Py_ssize_t k
    source = np.empty(pieces.size(), dtype=np.int64)
    target = np.empty(pieces.size(), dtype=np.int64)
    mass = np.empty(pieces.size(), dtype=np.float64)
    for k in range(<Py_ssize_t>pieces.size()):
        source[k] = pieces[k].source
        target[k] = pieces[k].target
        mass[k] = pieces[k].mass
    return cost, (source, target, mass)


# ---- nearest neighbours ---------------------------------------------------------------------

cdef tuple nearest(const csrc.Wasserstein1d& metric, const csrc.MassMatrix& queries,
                   const csrc.MassMatrix& database, const uint8_t* skip, size_t k,
                   size_t threads, int ndim, csrc.KnnResult* result):
    """Arrays of shape (queries, k), or (k,) of the only query if ndim is 1."""
    cdef cnp.npy_intp* shape = [<cnp.npy_intp>queries.rows, <cnp.npy_intp>k]
    cdef cnp.ndarray distances = cnp.PyArray_SimpleNew(ndim, shape + 2 - ndim, cnp.NPY_DOUBLE)
    cdef cnp.ndarray indices = cnp.PyArray_SimpleNew(ndim, shape + 2 - ndim, cnp.NPY_INT64)
    cdef double* to_distances = <double*>cnp.PyArray_DATA(distances)
    cdef int64_t* to_indices = <int64_t*>cnp.PyArray_DATA(indices)
    cdef csrc.Cancel cancel = on_signal()
    with nogil:
        result[0] = csrc.knn(metric, queries, database, skip, k, threads, cancel, to_distances,
                             to_indices)
    if result.cancelled:
        raise_pending()
    return distances, indices


def knn(Metric metric not None, cnp.ndarray queries, cnp.ndarray database, cnp.ndarray skip,
        size_t k, size_t threads):
    """(distances, indices) of shape (queries, k); skip: None or uint8 per database row."""
    cdef csrc.MassMatrix many = masses_of(queries)
    cdef csrc.MassMatrix rows = masses_of(database)
    cdef const uint8_t* left_out = NULL
    if skip is not None:
        left_out = <const uint8_t*>cnp.PyArray_DATA(skip)
    cdef csrc.KnnResult result
    found = nearest(metric.metric[0], many, rows, left_out, k, threads, 2, &result)
    if result.bad_query != csrc.kNoBadRow:
        raise BadMassError(0, result.bad_query)
    if result.bad_row != csrc.kNoBadRow:
        raise BadMassError(1, result.bad_row)
    return found


def knn_plain(object query, object database, object k, object metric, object p, object threads):
    """One plain float64 query against few rows, unit-spaced W1; None where the slow way must look.

    Whatever could be wrong with the arguments makes it None, so that all messages are elsewhere.
    """
    if not (is_plain_f64(query) and is_plain_f64(database)):
        return None
    if cnp.PyArray_NDIM(<cnp.ndarray>query) != 1 or cnp.PyArray_NDIM(<cnp.ndarray>database) != 2:
        return None
    if type(k) is not int or type(metric) is not str or metric != "wasserstein":
        return None
    if not ((type(p) is int or type(p) is float) and p == 1):
        return None
    if threads is not None and (type(threads) is not int or threads < 1):
        return None
    cdef csrc.MassMatrix rows = masses_of(<cnp.ndarray>database)
    cdef csrc.MassMatrix one
    one.type = csrc.MassType.f64
    one.data = cnp.PyArray_DATA(<cnp.ndarray>query)
    one.rows = 1
    one.cols = <size_t>cnp.PyArray_DIM(<cnp.ndarray>query, 0)
    one.stride = one.cols
    if one.cols == 0 or one.cols != rows.cols or rows.rows * rows.cols > 65536:
        return None
    if not 0 < k <= rows.rows:
        return None
    cdef csrc.KnnResult result
    cdef csrc.Wasserstein1d* unit = new csrc.Wasserstein1d(one.cols, NULL, 1.0, 1.0, 0.0)
    try:
        found = nearest(unit[0], one, rows, NULL, k, 1, 1, &result)
    finally:
        del unit
    if result.bad_query != csrc.kNoBadRow or result.bad_row != csrc.kNoBadRow:
        return None
    return found


include "_codes.pxi"


# ---- optimal transport ----------------------------------------------------------------------

include "_transport.pxi"


# ---- colours --------------------------------------------------------------------------------

include "_palette.pxi"
# ---- structural similarity ------------------------------------------------------------------

include "_ssim.pxi"
