# Colours: CIELAB and palettes. Part of _core.pyx.
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
