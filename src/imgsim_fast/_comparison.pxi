# Comparison of histograms, and sparse joint histograms; a part of _core.pyx, whose helpers it uses.

# In the order of csrc.Comparison, whose numbers are those of OpenCV's HISTCMP_*.
COMPARISONS = ("correlation", "chi2", "intersection", "bhattacharyya", "chi2-alt", "kl")

cdef int COMPARISON_COUNT = len(COMPARISONS)


class BadHistogramError(Exception):
    """Row ``row`` of argument number ``which`` cannot be compared; which None: beyond float64."""

    def __init__(self, which, row):
        super().__init__(which, row)
        self.which = which
        self.row = row


cdef csrc.Comparison comparison_of(int method) except *:
    if not 0 <= method < COMPARISON_COUNT:
        raise TypeError(f"method must be a number below {COMPARISON_COUNT}, got {method}")
    return <csrc.Comparison>method


cdef int refuse(csrc.ComparisonStatus status, size_t row) except -1:
    if status == csrc.ComparisonStatus.bad_first:
        raise BadHistogramError(0, 0)
    if status == csrc.ComparisonStatus.bad_second:
        raise BadHistogramError(1, row)
    if status == csrc.ComparisonStatus.out_of_range:
        raise BadHistogramError(None, row)
    return 0


cdef int finish_batch(const csrc.ComparisonBatch& batch) except -1:
    if batch.cancelled:
        raise_pending()
    return refuse(batch.status, batch.row)


# ---- dense ----------------------------------------------------------------------------------

cdef inline bint bins_of(object array, csrc.BinRows* out) noexcept:
    """Look at a C-contiguous array of a type that the core reads; False if it is none."""
    if type(array) is not cnp.ndarray or not cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>array):
        return False
    cdef int kind = cnp.PyArray_TYPE(<cnp.ndarray>array)
    if kind == cnp.NPY_FLOAT:
        out.type = csrc.BinType.f32
    elif kind == cnp.NPY_DOUBLE:
        out.type = csrc.BinType.f64
    elif kind == cnp.NPY_UINT32:
        out.type = csrc.BinType.u32
    elif kind == cnp.NPY_INT64:
        out.type = csrc.BinType.i64
    else:
        return False
    out.data = cnp.PyArray_DATA(<cnp.ndarray>array)
    out.bins = <size_t>cnp.PyArray_SIZE(<cnp.ndarray>array)
    return True


cdef inline bint same_shape(cnp.ndarray a, cnp.ndarray b) noexcept:
    cdef int ndim = cnp.PyArray_NDIM(a), k
    if ndim != cnp.PyArray_NDIM(b):
        return False
    for k in range(ndim):
        if cnp.PyArray_DIM(a, k) != cnp.PyArray_DIM(b, k):
            return False
    return True


cdef size_t KEPT_BINS = 16384  # up to here the release of the GIL would take a notable share


def compare_plain(object a, object b, object method):
    """Compare two arrays as they are, by a method's number; None where the slow way must look."""
    cdef csrc.BinRows first, second
    if type(method) is not int or not 0 <= method < COMPARISON_COUNT:
        return None
    if not (bins_of(a, &first) and bins_of(b, &second)) or first.bins == 0:
        return None
    if cnp.PyArray_NDIM(<cnp.ndarray>a) == 0 or not same_shape(<cnp.ndarray>a, <cnp.ndarray>b):
        return None
    cdef csrc.Comparison kind = <csrc.Comparison><int>method
    cdef csrc.ComparisonResult result
    if first.bins <= KEPT_BINS:
        result = csrc.compare_histograms(kind, False, first, second)
    else:
        with nogil:
            result = csrc.compare_histograms(kind, False, first, second)
    return result.value if result.status == csrc.ComparisonStatus.good else None


def compare_dense(int method, bint normalize, cnp.ndarray a not None, cnp.ndarray b not None):
    """Compare two C-contiguous arrays of one size: float32, float64, uint32 or int64."""
    cdef csrc.BinRows first, second
    cdef csrc.Comparison kind = comparison_of(method)
    if not (bins_of(a, &first) and bins_of(b, &second)) or not 0 < first.bins == second.bins:
        raise TypeError("two C-contiguous arrays of float32, float64, uint32 or int64, one size")
    cdef csrc.ComparisonResult result
    with nogil:
        result = csrc.compare_histograms(kind, normalize, first, second)
    refuse(result.status, 0)
    return result.value


def compare_dense_many(int method, bint normalize, cnp.ndarray query not None,
                       cnp.ndarray rows not None, size_t threads):
    """out[r] = comparison of query (bins,) and rows[r] of (n, bins); types as compare_dense."""
    cdef csrc.BinRows first, many
    cdef csrc.Comparison kind = comparison_of(method)
    if not (bins_of(query, &first) and bins_of(rows, &many)) or cnp.PyArray_NDIM(rows) != 2:
        raise TypeError("a C-contiguous vector and matrix of float32, float64, uint32 or int64")
    many.rows = <size_t>cnp.PyArray_DIM(rows, 0)
    many.bins = <size_t>cnp.PyArray_DIM(rows, 1)
    if not 0 < many.bins == first.bins:
        raise TypeError("query and rows must have the same number of bins")
    cdef cnp.ndarray out = np.empty(many.rows, dtype=np.float64)
    cdef double* data = <double*>cnp.PyArray_DATA(out)
    cdef csrc.Cancel cancel = on_signal()
    cdef csrc.ComparisonBatch batch
    with nogil:
        batch = csrc.compare_one_to_many(kind, normalize, first, many, threads, cancel, data)
    finish_batch(batch)
    return out


# ---- sparse ---------------------------------------------------------------------------------

cdef csrc.SparseView sparse_of(cnp.ndarray keys, cnp.ndarray counts) except *:
    cdef csrc.SparseView view
    for array in (keys, counts):
        if not (cnp.PyArray_TYPE(<cnp.ndarray>array) == cnp.NPY_UINT32
                and cnp.PyArray_NDIM(<cnp.ndarray>array) == 1
                and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>array)):
            raise TypeError("keys and counts must be C-contiguous uint32 vectors")
    if cnp.PyArray_SIZE(keys) != cnp.PyArray_SIZE(counts):
        raise TypeError("one count for each key")
    view.keys = <const uint32_t*>cnp.PyArray_DATA(keys)
    view.counts = <const uint32_t*>cnp.PyArray_DATA(counts)
    view.size = <size_t>cnp.PyArray_SIZE(keys)
    return view


def compare_sparse(int method, bint normalize, cnp.ndarray keys_a not None,
                   cnp.ndarray counts_a not None, cnp.ndarray keys_b not None,
                   cnp.ndarray counts_b not None, uint64_t bins):
    """Compare two sparse histograms of `bins` bins: uint32 keys that ascend and uint32 counts."""
    cdef csrc.Comparison kind = comparison_of(method)
    cdef csrc.SparseView a = sparse_of(keys_a, counts_a), b = sparse_of(keys_b, counts_b)
    if not 0 < bins <= MOST_KEYS:
        raise TypeError(f"bins must be 1 to 2**32, got {bins}")
    cdef csrc.ComparisonResult result
    with nogil:
        result = csrc.compare_sparse(kind, normalize, a, b, bins)
    refuse(result.status, 0)
    return result.value


def compare_sparse_rows(int method, bint normalize, cnp.ndarray query not None,
                        cnp.ndarray packed not None, cnp.ndarray offsets not None, uint64_t bins,
                        size_t threads):
    """out[r] = comparison of the query and row r; each is keys that ascend, then their counts.

    Row r is packed[offsets[r]:offsets[r + 1]]. All are C-contiguous uint32, offsets int64.
    """
    cdef csrc.Comparison kind = comparison_of(method)
    cdef cnp.ndarray halves = query[:query.size // 2]
    cdef csrc.SparseView first = sparse_of(halves, query[query.size // 2:])
    sparse_of(packed, packed)
    if not 0 < bins <= MOST_KEYS:
        raise TypeError(f"bins must be 1 to 2**32, got {bins}")
    if offsets.dtype != np.int64 or offsets.ndim != 1 or offsets.size == 0:
        raise TypeError("offsets must be an int64 vector of at least one element")
    # A copy, lest another thread change it between check and use.
    offsets = np.array(offsets, dtype=np.int64, order="C")
    steps = np.diff(offsets)
    if offsets[0] < 0 or offsets[-1] > packed.size or (steps < 0).any() or (steps % 2).any():
        raise TypeError("offsets must ascend within packed, by even steps")
    cdef csrc.SparseRows rows
    rows.packed = <const uint32_t*>cnp.PyArray_DATA(packed)
    rows.offsets = <const int64_t*>cnp.PyArray_DATA(offsets)
    rows.rows = <size_t>offsets.size - 1
    cdef cnp.ndarray out = np.empty(rows.rows, dtype=np.float64)
    cdef double* data = <double*>cnp.PyArray_DATA(out)
    cdef csrc.Cancel cancel = on_signal()
    cdef csrc.ComparisonBatch batch
    with nogil:
        batch = csrc.compare_sparse_one_to_many(kind, normalize, first, rows, bins, threads,
                                                cancel, data)
    finish_batch(batch)
    return out


cdef csrc.SparseCounter* counter_of(cnp.ndarray image, cnp.ndarray mask, tuple bins,
                                    object ignored) except NULL:
    cdef uint64_t left_out = csrc.kNoKey if ignored is None else ignored
    cdef csrc.ImageView view = image_view(image)
    cdef csrc.MaskView selected = mask_view(mask)
    cdef size_t numbers[3]
    cdef size_t c
    if cnp.PyArray_TYPE(image) != cnp.NPY_UINT8:
        raise TypeError(f"pixels must be uint8, got {image.dtype}")
    if not 0 < view.channels == <size_t>len(bins) <= csrc.kMostKeyedChannels:
        raise TypeError("one to three channels, and one number of bins for each")
    if <uint64_t>view.height * view.width >= MOST_KEYS:
        raise TypeError("2**32 pixels or more")
    for c in range(view.channels):
        numbers[c] = bins[c]
        if not 0 < numbers[c] <= 256:
            raise TypeError(f"bins must be 1 to 256, got {numbers[c]}")
    cdef csrc.SparseCounter* counter
    with nogil:
        counter = new csrc.SparseCounter(view, selected, numbers, left_out)
    return counter


def sparse_histogram(cnp.ndarray image not None, cnp.ndarray mask, tuple bins, object ignored):
    """(keys, counts, total) of a uint8 image with 1 to 256 bins per channel; ignored: key or None.
    """
    cdef csrc.SparseCounter* counter = counter_of(image, mask, bins, ignored)
    cdef size_t size
    cdef uint32_t *first_key
    cdef uint32_t *first_count
    try:
        size = counter.size()
        keys, counts = np.empty(size, dtype=np.uint32), np.empty(size, dtype=np.uint32)
        first_key = <uint32_t*>cnp.PyArray_DATA(<cnp.ndarray>keys)
        first_count = <uint32_t*>cnp.PyArray_DATA(<cnp.ndarray>counts)
        with nogil:
            counter.write(size, first_key, first_count)
        return keys, counts, counter.total()
    finally:
        del counter


def correlate_images(cnp.ndarray a not None, cnp.ndarray b not None, tuple bins, object ignored):
    """Pearson's correlation of what sparse_histogram counts of two images, without the lists."""
    cdef csrc.SparseCounter* first = counter_of(a, None, bins, ignored)
    cdef csrc.SparseCounter* second = NULL
    cdef double value
    try:
        second = counter_of(b, None, bins, ignored)
        with nogil:
            value = csrc.correlation(first[0], second[0])
        return value
    finally:
        del first
        del second
