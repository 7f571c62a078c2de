# Colours: CIELAB, palettes, and moving colours. Part of _core.pyx.
from libc.string cimport memcpy


def rgb_to_lab(cnp.ndarray rgb):
    """float64 of the shape of a C-contiguous (..., 3) array of uint8 or float64."""
    cdef int kind = cnp.PyArray_TYPE(rgb)
    cdef int ndim = cnp.PyArray_NDIM(rgb)
    if ndim == 0 or cnp.PyArray_DIM(rgb, ndim - 1) != 3 or not cnp.PyArray_ISCARRAY_RO(rgb):
        raise TypeError("colours lie in a C-contiguous array of shape (..., 3)")
    if kind != cnp.NPY_UINT8 and kind != cnp.NPY_DOUBLE:
        raise TypeError(f"colours must be uint8 or float64, got {rgb.dtype}")
    cdef cnp.ndarray out = cnp.PyArray_SimpleNew(ndim, cnp.PyArray_DIMS(rgb), cnp.NPY_DOUBLE)
    cdef const void* data = cnp.PyArray_DATA(rgb)
    cdef double* lab = <double*>cnp.PyArray_DATA(out)
    cdef size_t pixels = <size_t>cnp.PyArray_SIZE(rgb) // 3
    with nogil:
        if kind == cnp.NPY_UINT8:
            csrc.lab_from_srgb(<const uint8_t*>data, pixels, lab)
        else:
            csrc.lab_from_srgb(<const double*>data, pixels, lab)
    return out


cdef cnp.ndarray table_of(const void* data, size_t rows, size_t cols, int kind):
    """A copy of whole rows."""
    cdef cnp.npy_intp* shape = [<cnp.npy_intp>rows, <cnp.npy_intp>cols]
    cdef cnp.ndarray table = cnp.PyArray_SimpleNew(2, shape, kind)
    if rows:
        memcpy(cnp.PyArray_DATA(table), data, <size_t>cnp.PyArray_NBYTES(table))
    return table


def color_palette(cnp.ndarray image, size_t colors, double position_weight):
    """(counts, points, rgb) of an (h, w, 3) array of uint8 with at least one pixel."""
    cdef csrc.ImageView view = image_view(image)
    if cnp.PyArray_TYPE(image) != cnp.NPY_UINT8 or view.channels < 3:
        raise TypeError("color_palette takes (h, w, 3 or more) uint8")
    cdef csrc.PaletteOptions options
    options.colors = colors
    options.position_weight = position_weight
    cdef csrc.Cancel cancel = on_signal()
    cdef csrc.Palette palette
    with nogil:
        palette = csrc.color_palette(view, options, cancel)
    if palette.cancelled:
        raise_pending()
    cdef size_t found = palette.counts.size()
    return (
        table_of(palette.counts.data(), found, 1, cnp.NPY_INT64).ravel(),
        table_of(palette.points.data(), found, palette.dims, cnp.NPY_DOUBLE),
        table_of(palette.rgb.data(), found, 3, cnp.NPY_UINT8),
    )


cdef csrc.WeightedPoints weighted_points(cnp.ndarray points, cnp.ndarray weights) except *:
    cdef csrc.WeightedPoints view
    for array in (points, weights):
        if cnp.PyArray_TYPE(array) != cnp.NPY_DOUBLE or not cnp.PyArray_ISCARRAY_RO(array):
            raise TypeError("points and weights are C-contiguous float64")
    if (cnp.PyArray_NDIM(points) != 2 or cnp.PyArray_DIM(points, 1) != 3
            or cnp.PyArray_NDIM(weights) != 1
            or cnp.PyArray_DIM(weights, 0) != cnp.PyArray_DIM(points, 0)):
        raise TypeError("points of shape (n, 3) and n weights")
    view.points = <const double*>cnp.PyArray_DATA(points)
    view.weights = <const double*>cnp.PyArray_DATA(weights)
    view.size = <size_t>cnp.PyArray_DIM(points, 0)
    if not 0 < view.size <= csrc.kMostSliced:
        raise TypeError(f"{view.size} points")
    return view


def move_sliced(cnp.ndarray points not None, cnp.ndarray weights not None,
                cnp.ndarray goals not None, cnp.ndarray goal_weights not None,
                cnp.ndarray directions not None):
    """Where points come to lie, (n, 3); directions: (rotations, 3, 3). See sliced_transport.hpp."""
    cdef csrc.WeightedPoints source = weighted_points(points, weights)
    cdef csrc.WeightedPoints to = weighted_points(goals, goal_weights)
    cdef csrc.MatrixView[double] rows = matrix_view(directions.reshape(-1, 3))
    if rows.rows % 3 != 0:
        raise TypeError("three directions for each rotation")
    cdef cnp.ndarray out = cnp.PyArray_SimpleNew(2, cnp.PyArray_DIMS(points), cnp.NPY_DOUBLE)
    cdef double* moved = <double*>cnp.PyArray_DATA(out)
    cdef csrc.Cancel cancel = on_signal()
    cdef bint done
    with nogil:
        done = csrc.move_sliced(source, to, rows, cancel, moved)
    if not done:
        raise_pending()
    return out
