# Codes of histograms, and exact search by way of them; a part of _core.pyx, whose helpers it uses.

CODE_BYTES = csrc.kCodeBytes
RAW_BYTES = csrc.kRawBytes
LEAF_ROWS = csrc.kLeafRows  # 16 of these are a group, 16 groups a block


class DamagedCodesError(Exception):
    """The codes of part `part` name rows that are not there."""

    def __init__(self, part):
        super().__init__(part)
        self.part = part


def codes_useful(Metric metric not None):
    """Whether rows under this metric have codes: W1 on a line, bins not all at one place."""
    if not metric.metric.is_area():
        return False
    cdef csrc.CdfCoder* coder = new csrc.CdfCoder(metric.metric[0])
    try:
        return coder.is_useful()
    finally:
        del coder


cdef int check_codes(cnp.ndarray codes, size_t size) except -1:
    cdef bint fits = cnp.PyArray_TYPE(codes) == cnp.NPY_UINT8 and cnp.PyArray_ISCARRAY_RO(codes)
    if not fits or <size_t>cnp.PyArray_SIZE(codes) != size:
        raise TypeError(f"codes must be {size} bytes in one piece")
    return 0


cdef int check_bins(Metric metric, const csrc.MassMatrix& rows) except -1:
    if rows.cols != metric.metric.bins():
        raise TypeError(f"rows must have the {metric.metric.bins()} bins of the metric, "
                        f"got {rows.cols}")
    return 0


cdef int check_metric(Metric metric, const csrc.MassMatrix& rows) except -1:
    if not codes_useful(metric):
        raise TypeError("the metric has no codes")
    return check_bins(metric, rows)


def encode_rows(Metric metric not None, cnp.ndarray rows, cnp.ndarray codes, size_t threads):
    """Write the codes of float64 or uint32 rows, shape (n, bins), into n * CODE_BYTES bytes.

    Or into n * RAW_BYTES: behind the codes there is what arrange_codes() needs beside them.
    """
    cdef csrc.MassMatrix masses = masses_of(rows)
    check_metric(metric, masses)
    cdef bint raw = <size_t>cnp.PyArray_SIZE(codes) == masses.rows * csrc.kRawBytes
    check_codes(codes, masses.rows * (csrc.kRawBytes if raw else csrc.kCodeBytes))
    if not cnp.PyArray_ISWRITEABLE(codes):
        raise TypeError("codes must be writeable")
    cdef uint8_t* data = <uint8_t*>cnp.PyArray_DATA(codes)
    cdef uint8_t* remainders = data + masses.rows * csrc.kCodeBytes if raw else NULL
    cdef csrc.Cancel cancel = on_signal()
    cdef csrc.KnnResult result
    with nogil:
        result = csrc.encode_rows(metric.metric[0], masses, threads, cancel, data,
                                  remainders)
    if result.cancelled:
        raise_pending()
    if result.bad_row != csrc.kNoBadRow:
        raise BadMassError(0, result.bad_row)


def arranged_bytes(size_t rows):
    """Bytes of arrange_codes() of so many rows; never as many as their codes take."""
    return csrc.tree_bytes(rows)


def arrange_codes(cnp.ndarray codes, size_t threads):
    """Put the n * RAW_BYTES bytes of encode_rows() in an order in which most need not be read."""
    cdef size_t rows = <size_t>cnp.PyArray_SIZE(codes) // csrc.kRawBytes
    check_codes(codes, rows * csrc.kRawBytes)
    if rows >= 2**32:
        raise TypeError(f"there are codes of {rows} rows, more than 2**32 - 1")
    cdef cnp.npy_intp size = <cnp.npy_intp>csrc.tree_bytes(rows)
    cdef cnp.ndarray tree = cnp.PyArray_SimpleNew(1, &size, cnp.NPY_UINT8)
    cdef const uint8_t* data = <const uint8_t*>cnp.PyArray_DATA(codes)
    cdef uint8_t* to = <uint8_t*>cnp.PyArray_DATA(tree)
    cdef csrc.Cancel cancel = on_signal()
    cdef cbool done
    with nogil:
        done = csrc.arrange_codes(data, rows, threads, cancel, to)
    if not done:
        raise_pending()
    return tree


cdef int add_parts(Metric metric, object parts, vector[csrc.CodedRows]* to) except -1:
    """(rows, codes, skip, ids) each; skip is None or uint8 per row, ids None or int64.

    The caller keeps them alive, and has checked that the metric has codes.

    Codes may be arranged: their length tells. A vector that is returned would be copied where
    nothing catches what its memory throws.
    """
    cdef csrc.CodedRows part
    cdef cnp.ndarray rows, codes, skip, ids
    for rows, codes, left_out, called in parts:
        part.masses = masses_of(rows)
        check_bins(metric, part.masses)
        part.arranged = <size_t>cnp.PyArray_SIZE(codes) == csrc.tree_bytes(part.masses.rows)
        check_codes(codes, csrc.tree_bytes(part.masses.rows) if part.arranged
                    else part.masses.rows * csrc.kCodeBytes)
        if part.masses.rows >= 2**32:
            raise TypeError(f"a part has {part.masses.rows} rows, more than 2**32 - 1")
        part.codes = <const uint8_t*>cnp.PyArray_DATA(codes)
        part.skip = NULL
        if left_out is not None:
            skip = left_out
            if (cnp.PyArray_TYPE(skip) != cnp.NPY_UINT8 or not cnp.PyArray_ISCARRAY_RO(skip)
                    or <size_t>cnp.PyArray_SIZE(skip) != part.masses.rows):
                raise TypeError(f"skip must be {part.masses.rows} bytes")
            part.skip = <const uint8_t*>cnp.PyArray_DATA(skip)
        part.ids = NULL
        if called is not None:
            ids = called
            if (cnp.PyArray_TYPE(ids) != cnp.NPY_INT64 or not cnp.PyArray_ISCARRAY_RO(ids)
                    or <size_t>cnp.PyArray_SIZE(ids) != part.masses.rows):
                raise TypeError(f"ids must be {part.masses.rows} of int64")
            part.ids = <const int64_t*>cnp.PyArray_DATA(ids)
        to.push_back(part)
    return 0


cdef int refuse_coded(const csrc.CodedResult& result) except -1:
    if result.cancelled:
        raise_pending()
    if result.bad_query != csrc.kNoBadRow:
        raise BadMassError(0, result.bad_query)
    if result.bad_row != csrc.kNoBadRow:
        raise BadMassError(1, result.bad_row)
    if result.bad_part != csrc.kNoBadRow:
        raise DamagedCodesError(result.bad_part)
    return 0


def nearest_coded(Metric metric not None, cnp.ndarray queries, tuple parts, size_t k,
                  double radius, size_t threads):
    """(distances, indices, exact distances computed, codes read); inf and -1 where fewer are near.

    parts: (rows, codes, skip, ids) each; codes may be arranged; skip is None or uint8 per row; ids
    are None, then rows are numbered through, or int64 per row.
    """
    cdef csrc.MassMatrix many = masses_of(queries)
    check_metric(metric, many)
    cdef vector[csrc.CodedRows] coded
    add_parts(metric, parts, &coded)
    cdef cnp.npy_intp* shape = [<cnp.npy_intp>many.rows, <cnp.npy_intp>k]
    cdef cnp.ndarray distances = cnp.PyArray_SimpleNew(2, shape, cnp.NPY_DOUBLE)
    cdef cnp.ndarray indices = cnp.PyArray_SimpleNew(2, shape, cnp.NPY_INT64)
    cdef double* to_distances = <double*>cnp.PyArray_DATA(distances)
    cdef int64_t* to_indices = <int64_t*>cnp.PyArray_DATA(indices)
    cdef csrc.Cancel cancel = on_signal()
    cdef csrc.CodedResult result
    with nogil:
        result = csrc.nearest_coded(metric.metric[0], many, coded, k, radius, threads, cancel,
                                    to_distances, to_indices)
    refuse_coded(result)
    return distances, indices, result.looked_at, result.scanned


def within_coded(Metric metric not None, cnp.ndarray query, tuple parts, double radius,
                 size_t threads):
    """(distances, indices) of all rows within the radius of the query, shape (1, bins).

    And the numbers of exact distances computed and of codes read.
    """
    cdef csrc.MassMatrix one = masses_of(query)
    check_metric(metric, one)
    if one.rows != 1:
        raise TypeError(f"there must be one query, got {one.rows}")
    cdef vector[csrc.CodedRows] coded
    add_parts(metric, parts, &coded)
    cdef vector[csrc.Neighbor] found
    cdef csrc.Cancel cancel = on_signal()
    cdef csrc.CodedResult result
    with nogil:
        result = csrc.within_coded(metric.metric[0], one, coded, radius, threads, cancel, &found)
    refuse_coded(result)
    cdef cnp.npy_intp size = <cnp.npy_intp>found.size()
    cdef cnp.ndarray distances = cnp.PyArray_SimpleNew(1, &size, cnp.NPY_DOUBLE)
    cdef cnp.ndarray indices = cnp.PyArray_SimpleNew(1, &size, cnp.NPY_INT64)
    cdef size_t i
    for i in range(found.size()):
        (<double*>cnp.PyArray_DATA(distances))[i] = found[i].distance
        (<int64_t*>cnp.PyArray_DATA(indices))[i] = found[i].index
    return distances, indices, result.looked_at, result.scanned


def sum_words(cnp.ndarray words, size_t threads):
    """Sum of a uint64 array, modulo 2**64: what benchmarks of scans are held against."""
    if cnp.PyArray_TYPE(words) != cnp.NPY_UINT64 or not cnp.PyArray_ISCARRAY_RO(words):
        raise TypeError("words must be a C-contiguous array of uint64")
    cdef const uint64_t* data = <const uint64_t*>cnp.PyArray_DATA(words)
    cdef size_t n = <size_t>cnp.PyArray_SIZE(words)
    cdef uint64_t total = 0
    cdef cbool done
    cdef csrc.Cancel cancel = on_signal()
    with nogil:
        done = csrc.sum_words(data, n, threads, cancel, &total)
    if not done:
        raise_pending()
    return total
