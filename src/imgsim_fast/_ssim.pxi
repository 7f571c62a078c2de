# Structural similarity and area interpolation; a part of _core.pyx, whose helpers it uses.

@cython.final
cdef class SsimRule:
    """Window, weights (float64 vector of odd length, or None) and constants."""

    cdef csrc.SsimRule rule
    cdef readonly cnp.ndarray weights

    def __cinit__(self, size_t win, cnp.ndarray weights, double data_range, double k1, double k2,
                  bint sample_covariance):
        if weights is not None and not is_plain_f64(weights):
            raise TypeError("weights must be a float64 vector")
        self.weights = weights
        self.rule.win = win
        self.rule.weights = span_of(weights)
        self.rule.data_range = data_range
        self.rule.k1 = k1
        self.rule.k2 = k2
        self.rule.sample_covariance = sample_covariance

    @property
    def win(self):
        return self.rule.win


cdef int check_windows(csrc.ImageView view, SsimRule rule) except -1:
    cdef size_t side = min(view.height, view.width)
    if view.channels == 0 or side < rule.rule.win or side < rule.rule.weights.size // 2:
        raise TypeError("the image is smaller than the window")
    return 0


def structural_similarity(cnp.ndarray x, cnp.ndarray y, SsimRule rule not None, bint full):
    """(similarity, map (h, w, channels) or None) of images of one type, shape (h, w, channels)."""
    cdef csrc.ImageView view_x = image_view(x)
    cdef csrc.ImageView view_y = image_view(y)
    cdef csrc.PixelType kind = pixel_type(x)
    check_windows(view_x, rule)
    if pixel_type(y) != kind or np.shape(x) != np.shape(y):
        raise TypeError("images must have one type and shape")
    cdef cnp.ndarray map_ = None
    cdef double* data = NULL
    if full:
        map_ = np.empty((view_x.height, view_x.width, view_x.channels), dtype=np.float64)
        data = <double*>cnp.PyArray_DATA(map_)
    cdef double similarity
    with nogil:
        similarity = csrc.structural_similarity(view_x, view_y, kind, rule.rule, data)
    return similarity, map_


def structural_similarities(cnp.ndarray query, list images, SsimRule rule not None,
                            size_t threads):
    """images: of the query's type and channels; 8 bits may have any size, others the query's."""
    cdef csrc.ImageView view = image_view(query)
    cdef csrc.PixelType kind = pixel_type(query)
    cdef vector[csrc.ImageView] views
    cdef csrc.ImageView other
    cdef cnp.ndarray image
    check_windows(view, rule)
    views.reserve(len(images))
    for image in images:
        other = image_view(image)
        if pixel_type(image) != kind or other.channels != view.channels:
            raise TypeError("images must have the query's type and channels")
        if other.height != view.height or other.width != view.width:
            check_resized(other, view.height, view.width)
            if kind != csrc.PixelType.u8:
                raise TypeError("only 8-bit images can be resized")
        views.push_back(other)
    cdef cnp.ndarray out = np.empty(len(images), dtype=np.float64)
    cdef double* data = <double*>cnp.PyArray_DATA(out)
    cdef csrc.Cancel cancel = on_signal()
    cdef cbool done
    with nogil:
        done = csrc.structural_similarities(view, views, kind, rule.rule, threads, cancel, data)
    if not done:
        raise_pending()
    return out


MOST_RESIZED = csrc.kMostResized


cdef int check_resized(csrc.ImageView view, size_t height, size_t width) except -1:
    if not (0 < min(view.height, view.width, height, width)
            and max(view.height, view.width, height, width) < csrc.kMostResized):
        raise TypeError("a side is 0 or too long")
    return 0


def resize_area(cnp.ndarray image, size_t height, size_t width):
    """image: uint8 of shape (h, w) or (h, w, channels)."""
    cdef csrc.ImageView view = image_view(image)
    if pixel_type(image) != csrc.PixelType.u8:
        raise TypeError("only 8-bit images can be resized")
    check_resized(view, height, width)
    cdef tuple shape = (height, width) + np.shape(image)[2:]
    cdef cnp.ndarray out = np.empty(shape, dtype=np.uint8)
    cdef uint8_t* data = <uint8_t*>cnp.PyArray_DATA(out)
    with nogil:
        csrc.resize_area(view, height, width, data)
    return out
