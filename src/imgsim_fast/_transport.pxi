# Optimal transport; a part of _core.pyx, whose helpers it uses.

STATUS = ("optimal", "infeasible", "stopped", "cancelled", "unbalanced", "too large", "bad cost",
          "out of range")
RULES = ("error", "normalize", "partial", "opencv", "penalty")
GROUNDS = ("matrix", "cityblock", "euclidean", "chebyshev", "sqeuclidean")


@cython.final
cdef class Ground:
    """A ground distance: a float64 matrix, or a metric's number and float64 points (n, dims).

    y None: the targets are the sources, point by point. x None: signatures bring their points.
    """

    cdef csrc.GroundDistance ground
    cdef readonly cnp.ndarray matrix
    cdef readonly cnp.ndarray x
    cdef readonly cnp.ndarray y

    def __cinit__(self, int kind, cnp.ndarray matrix, cnp.ndarray x, cnp.ndarray y, size_t dims,
                  double threshold, bint is_metric):
        self.ground.kind = <csrc.Ground>kind
        self.ground.threshold = threshold
        self.ground.dims = dims
        self.matrix, self.x, self.y = matrix, x, y
        if matrix is not None:
            self.ground.matrix = matrix_view(matrix)
            self.ground.matrix_is_metric = is_metric
        elif x is not None:
            if not (is_plain_f64(x) and (y is None or is_plain_f64(y))):
                raise TypeError("points must be C-contiguous float64")
            self.ground.x = <const double*>cnp.PyArray_DATA(x)
            self.ground.y = <const double*>cnp.PyArray_DATA(x if y is None else y)
            self.ground.same_points = y is None

    @property
    def is_metric(self):
        """Whether mass at the same place stays: targets are sources, under a metric."""
        return bool(self.ground.common_mass_stays())

    @property
    def is_on_line(self):
        """Whether distances are differences: no simplex is needed for equal totals."""
        return (self.matrix is None and self.ground.dims == 1 and self.ground.threshold == np.inf
                and self.ground.kind != csrc.Ground.squared)

    def cut_matrix(self):
        """The matrix with the threshold applied."""
        if self.ground.threshold == np.inf:
            return self.matrix
        return np.where(self.matrix == np.inf, np.inf,
                        np.minimum(self.matrix, self.ground.threshold))

    def as_matrix(self):
        """The distances of all sources and targets, (n, m)."""
        cdef size_t n = <size_t>cnp.PyArray_DIM(self.x, 0)
        cdef size_t m = n if self.y is None else <size_t>cnp.PyArray_DIM(self.y, 0)
        cdef cnp.ndarray out = np.empty((n, m), dtype=np.float64)
        cdef double* data = <double*>cnp.PyArray_DATA(out)
        cdef csrc.Cancel cancel = on_signal()
        cdef cbool done
        with nogil:
            done = csrc.fill_distances(self.ground, n, m, cancel, data)
        if not done:
            raise_pending()
        return out

    def bytes(self, size_t n, size_t m):
        """About how much memory one problem needs."""
        return csrc.transport_bytes(n, m, self.ground)


cdef csrc.MatrixView[double] matrix_view(cnp.ndarray matrix) except *:
    cdef csrc.MatrixView[double] view
    if cnp.PyArray_NDIM(matrix) != 2 or not is_plain_f64(matrix):
        raise TypeError("costs must be a C-contiguous float64 matrix")
    view.data = <const double*>cnp.PyArray_DATA(matrix)
    view.rows = <size_t>cnp.PyArray_DIM(matrix, 0)
    view.cols = <size_t>cnp.PyArray_DIM(matrix, 1)
    view.stride = view.cols
    return view


cdef inline bint is_distribution(csrc.Span[const double] masses) noexcept nogil:
    """Finite, not negative, some of it positive."""
    cdef double total = 0
    cdef bint good = True
    cdef size_t k
    for k in range(masses.size):
        good = good and 0 <= masses.data[k] <= LARGEST
        total += masses.data[k]
    return good and total > 0


def is_mass(cnp.ndarray masses not None):
    """Tell whether a plain float64 vector is finite, not negative and not all 0."""
    return is_distribution(span_of(masses))


def is_metric(cnp.ndarray matrix not None):
    cdef csrc.MatrixView[double] view = matrix_view(matrix)
    cdef csrc.Cancel cancel = on_signal()
    cdef csrc.Metricity answer
    with nogil:
        answer = csrc.is_metric(view, cancel)
    if answer == csrc.Metricity.cancelled:
        raise_pending()
    return answer == csrc.Metricity.yes


def transport(cnp.ndarray supply not None, cnp.ndarray demand not None, Ground ground not None,
              int rule, double penalty, int64_t max_pivots, bint plan, bint steps):
    """(status, distance, result) of checked masses; result: a dict, empty unless plan."""
    cdef csrc.TransportProblem problem
    cdef csrc.TransportOptions options
    cdef csrc.TransportResult result
    cdef csrc.TransportSolver solver
    cdef csrc.DistanceRule finish
    problem.supply = span_of(supply)
    problem.demand = span_of(demand)
    problem.ground = ground.ground
    finish.rule = <csrc.MassRule>rule
    finish.penalty = penalty
    finish.apply_to(&problem)
    options.max_pivots = max_pivots
    options.plan = options.proof = plan
    options.steps = steps
    options.cancel = on_signal()
    with nogil:
        solver.solve(problem, options, &result)
    if result.status == csrc.TransportStatus.cancelled:
        raise_pending()
    cdef double distance = finish.distance(result)
    cdef dict more = {"blocked_source": result.blocked_source}
    cdef size_t k
    cdef cnp.ndarray source, target, amount, u, v
    if plan:
        source = np.empty(result.arcs.size(), dtype=np.int64)
        target = np.empty(result.arcs.size(), dtype=np.int64)
        amount = np.empty(result.arcs.size(), dtype=np.float64)
        u = np.empty(result.u.size(), dtype=np.float64)
        v = np.empty(result.v.size(), dtype=np.float64)
        for k in range(result.arcs.size()):
            (<int64_t*>cnp.PyArray_DATA(source))[k] = result.arcs[k].source
            (<int64_t*>cnp.PyArray_DATA(target))[k] = result.arcs[k].target
            (<double*>cnp.PyArray_DATA(amount))[k] = result.arcs[k].mass
        for k in range(result.u.size()):
            (<double*>cnp.PyArray_DATA(u))[k] = result.u[k]
        for k in range(result.v.size()):
            (<double*>cnp.PyArray_DATA(v))[k] = result.v[k]
        more.update(flow=(source, target, amount), potentials=(u, v),
                    lower_bound=result.lower_bound, left_over=result.left_over,
                    pivots=result.pivots)
    if steps:
        more.update(pivots=result.pivots, steps={
            "start": result.steps.start, "pricing": result.steps.pricing,
            "cycle": result.steps.cycle, "tree": result.steps.tree,
            "rows_priced": result.steps.rows_priced, "cycle_nodes": result.steps.cycle_nodes})
    return <int>result.status, distance, more


ctypedef fused Number:
    double
    float
    int64_t
    int32_t
    uint16_t
    uint8_t


cdef int widen(const Number* values, size_t size, vector[double]& out) except -1:
    """False for what float64 does not hold."""
    cdef size_t k
    cdef bint exact = True
    out.resize(size)
    for k in range(size):
        out[k] = <double>values[k]
        if Number is int64_t:
            exact = exact and -MOST_EXACT <= values[k] <= MOST_EXACT
    return exact


cdef int masses_from(object masses, vector[double]& room,
                     csrc.Span[const double]* out) except -1:
    """A vector of common numbers in C order, widened where it has to be; False for others."""
    if type(masses) is not cnp.ndarray:
        return False
    cdef cnp.ndarray array = <cnp.ndarray>masses
    if cnp.PyArray_NDIM(array) != 1 or not cnp.PyArray_ISCARRAY_RO(array):
        return False
    cdef int kind = cnp.PyArray_TYPE(array)
    cdef void* data = cnp.PyArray_DATA(array)
    cdef size_t size = <size_t>cnp.PyArray_SIZE(array)
    cdef bint good
    if kind == cnp.NPY_DOUBLE:
        out.data = <const double*>data
        out.size = size
        return True
    if size > 4194304:  # the slow way looks at the memory first
        return False
    if kind == cnp.NPY_INT64:
        good = widen(<const int64_t*>data, size, room)
    elif kind == cnp.NPY_UINT8:
        good = widen(<const uint8_t*>data, size, room)
    elif kind == cnp.NPY_FLOAT:
        good = widen(<const float*>data, size, room)
    elif kind == cnp.NPY_INT32:
        good = widen(<const int32_t*>data, size, room)
    elif kind == cnp.NPY_UINT16:
        good = widen(<const uint16_t*>data, size, room)
    else:
        good = False
    out.data = room.data()
    out.size = size
    return good


cdef const double* points_from(cnp.ndarray points, vector[double]& room) except? NULL:
    """Float64 or int64 points of any strides in C order; NULL for others."""
    cdef int kind = cnp.PyArray_TYPE(points)
    cdef size_t n = <size_t>cnp.PyArray_DIM(points, 0), dims = <size_t>cnp.PyArray_DIM(points, 1)
    cdef size_t i, k
    cdef const char* at
    if is_plain_f64(points):
        return <const double*>cnp.PyArray_DATA(points)
    if ((kind != cnp.NPY_DOUBLE and kind != cnp.NPY_INT64) or not cnp.PyArray_ISALIGNED(points)
            or not cnp.PyArray_ISNOTSWAPPED(points) or n * dims > 4194304):
        return NULL
    room.resize(n * dims)
    for i in range(n):
        at = <const char*>cnp.PyArray_DATA(points) + <ptrdiff_t>i * cnp.PyArray_STRIDE(points, 0)
        for k in range(dims):
            if kind == cnp.NPY_DOUBLE:
                room[i * dims + k] = (<const double*>at)[0]
            else:
                if not -MOST_EXACT <= (<const int64_t*>at)[0] <= MOST_EXACT:
                    return NULL
                room[i * dims + k] = <double>(<const int64_t*>at)[0]
            at += cnp.PyArray_STRIDE(points, 1)
    return room.data()


cdef int ground_of(object cost, object positions, object metric, size_t n, size_t m,
                   vector[double]& room, csrc.GroundDistance* ground) except -1:
    """1 if these are plain float64 costs or plain shared points, 0 if the slow way must look."""
    cdef cnp.ndarray array
    cdef size_t k
    if type(metric) is not str:
        return 0
    if cost is not None:
        if positions is not None or metric != "euclidean" or not is_plain_f64(cost):
            return 0
        array = <cnp.ndarray>cost
        if cnp.PyArray_NDIM(array) != 2:
            return 0
        ground.matrix = matrix_view(array)
        return ground.matrix.rows == n and ground.matrix.cols == m
    if n != m:
        return 0
    if positions is None and metric == "euclidean":  # bins one unit apart
        for k in range(n):
            room.push_back(<double>k)
        ground.kind = csrc.Ground.euclidean
        ground.dims = 1
        ground.x = ground.y = room.data()
        ground.same_points = True
        return 1
    if type(positions) is not cnp.ndarray:
        return 0
    array = <cnp.ndarray>positions
    if cnp.PyArray_NDIM(array) != 2 or <size_t>cnp.PyArray_DIM(array, 0) != n:
        return 0
    if metric == "euclidean":
        ground.kind = csrc.Ground.euclidean
    elif metric == "cityblock":
        ground.kind = csrc.Ground.manhattan
    elif metric == "sqeuclidean":
        ground.kind = csrc.Ground.squared
    else:
        return 0
    ground.dims = <size_t>cnp.PyArray_DIM(array, 1)
    ground.x = ground.y = points_from(array, room)
    ground.same_points = True
    return ground.dims > 0 and ground.x != NULL and are_finite(ground.x, n * ground.dims)


def emd_plain(object a, object b, object cost, object positions, object metric, object mass):
    """The distance for common arguments, or None where the slow way must look.

    Whatever could be wrong with the arguments makes it None, so that all messages are elsewhere.
    """
    if type(mass) is not str:
        return None
    cdef vector[double] room_a, room_b, room_points
    cdef csrc.TransportProblem problem
    cdef csrc.TransportOptions options
    cdef csrc.TransportResult result
    cdef csrc.TransportSolver solver
    if mass == "normalize":
        problem.unequal = csrc.Unequal.normalize
    elif mass != "error":
        return None
    if not (masses_from(a, room_a, &problem.supply) and masses_from(b, room_b, &problem.demand)):
        return None
    cdef size_t n = problem.supply.size, m = problem.demand.size
    if not ground_of(cost, positions, metric, n, m, room_points, &problem.ground):
        return None
    if not (is_distribution(problem.supply) and is_distribution(problem.demand)):
        return None
    # Small problems keep the GIL: they take less time than releasing it may cost.
    if n * m <= 1024:
        solver.solve(problem, options, &result)
    elif n * m <= 4194304:
        options.cancel = on_signal()
        with nogil:
            solver.solve(problem, options, &result)
    else:  # the slow way looks at the memory first
        return None
    if result.status == csrc.TransportStatus.cancelled:
        raise_pending()
    if result.status != csrc.TransportStatus.optimal or not result.cost <= LARGEST:
        return None
    return result.cost


cdef inline bint are_finite(const double* values, size_t size) noexcept nogil:
    cdef double sum = 0
    cdef size_t k
    for k in range(size):
        sum += values[k] * 0
    return sum == 0


# ---- signatures with their own points, as of cv2.EMD ----------------------------------------

cdef inline void split_signature(cnp.ndarray signature, double* masses, double* points) noexcept:
    """Rows (weight, coordinates ...) of float32 or float64."""
    cdef size_t rows = <size_t>cnp.PyArray_DIM(signature, 0)
    cdef size_t cols = <size_t>cnp.PyArray_DIM(signature, 1)
    cdef size_t i, k
    cdef const float* single = <const float*>cnp.PyArray_DATA(signature)
    cdef const double* twice = <const double*>cnp.PyArray_DATA(signature)
    if cnp.PyArray_TYPE(signature) == cnp.NPY_FLOAT:
        for i in range(rows):
            masses[i] = single[i * cols]
            for k in range(1, cols):
                points[i * (cols - 1) + k - 1] = single[i * cols + k]
    else:
        for i in range(rows):
            masses[i] = twice[i * cols]
            for k in range(1, cols):
                points[i * (cols - 1) + k - 1] = twice[i * cols + k]


cdef int costs_from(object cost, int kind, size_t n, size_t m, vector[double]& room,
                    csrc.MatrixView[double]* out) except -1:
    """Plain costs of the same type as the signatures, widened where they are float32."""
    if type(cost) is not cnp.ndarray:
        return False
    cdef cnp.ndarray array = <cnp.ndarray>cost
    if (cnp.PyArray_TYPE(array) != kind or cnp.PyArray_NDIM(array) != 2
            or not cnp.PyArray_ISCARRAY_RO(array)
            or <size_t>cnp.PyArray_DIM(array, 0) != n or <size_t>cnp.PyArray_DIM(array, 1) != m):
        return False
    if kind == cnp.NPY_DOUBLE:
        out.data = <const double*>cnp.PyArray_DATA(array)
    else:
        widen(<const float*>cnp.PyArray_DATA(array), n * m, room)
        out.data = room.data()
    out.rows = n
    out.cols = out.stride = m
    return True


def emd_signatures(object first, object second, object metric, object cost):
    """(distance, None, flow) of two plain signatures for cv2's metrics 1, 2, 3 and -1, or None."""
    if type(metric) is not int or not -1 <= metric <= 3 or metric == 0:
        return None
    cdef int number = metric
    if (number == -1) != (cost is not None):
        return None
    if type(first) is not cnp.ndarray or type(second) is not cnp.ndarray:
        return None
    cdef cnp.ndarray s1 = <cnp.ndarray>first
    cdef cnp.ndarray s2 = <cnp.ndarray>second
    cdef int kind = cnp.PyArray_TYPE(s1)
    if kind != cnp.PyArray_TYPE(s2) or (kind != cnp.NPY_FLOAT and kind != cnp.NPY_DOUBLE):
        return None
    if not (cnp.PyArray_ISCARRAY_RO(s1) and cnp.PyArray_ISCARRAY_RO(s2)
            and cnp.PyArray_NDIM(s1) == 2 and cnp.PyArray_NDIM(s2) == 2):
        return None
    cdef size_t n = <size_t>cnp.PyArray_DIM(s1, 0), m = <size_t>cnp.PyArray_DIM(s2, 0)
    cdef size_t cols = <size_t>cnp.PyArray_DIM(s1, 1)
    if cols < (1 if number == -1 else 2) or cols != <size_t>cnp.PyArray_DIM(s2, 1):
        return None
    if n == 0 or m == 0:
        return None
    if n * m > 4194304:  # the slow way looks at the memory first
        return None
    cdef double on_stack[512]
    cdef vector[double] on_heap
    cdef double* room = on_stack
    if (n + m) * cols > 512:
        on_heap.resize((n + m) * cols)
        room = on_heap.data()
    cdef double* points1 = room + n + m
    cdef double* points2 = points1 + n * (cols - 1)
    split_signature(s1, room, points1)
    split_signature(s2, room + n, points2)
    cdef csrc.TransportProblem problem
    cdef csrc.TransportOptions options
    cdef csrc.TransportResult result
    cdef csrc.TransportSolver solver
    problem.supply.data = room
    problem.supply.size = n
    problem.demand.data = room + n
    problem.demand.size = m
    cdef vector[double] room_costs
    if number == -1:
        if not costs_from(cost, kind, n, m, room_costs, &problem.ground.matrix):
            return None
    else:
        problem.ground.kind = (csrc.Ground.manhattan if number == 1 else
                               csrc.Ground.euclidean if number == 2 else csrc.Ground.chebyshev)
        problem.ground.x = points1
        problem.ground.y = points2
        problem.ground.dims = cols - 1
        if not are_finite(points1, (n + m) * (cols - 1)):
            return None
    problem.unequal = csrc.Unequal.partial
    problem.divisor = csrc.Divisor.larger_total
    options.plan = True
    options.in_order = False
    if not (is_distribution(problem.supply) and is_distribution(problem.demand)):
        return None
    if n * m <= 1024:
        solver.solve(problem, options, &result)
    else:
        options.cancel = on_signal()
        with nogil:
            solver.solve(problem, options, &result)
    if result.status == csrc.TransportStatus.cancelled:
        raise_pending()
    if result.status != csrc.TransportStatus.optimal:
        return None
    cdef double distance = result.cost
    if kind == cnp.NPY_FLOAT and not distance <= LARGEST_SINGLE:
        return None
    cdef cnp.npy_intp* shape = [<cnp.npy_intp>n, <cnp.npy_intp>m]
    cdef cnp.ndarray flow = cnp.PyArray_ZEROS(2, shape, kind, 0)
    cdef csrc.TransportArc arc
    if kind == cnp.NPY_FLOAT:
        for arc in result.arcs:
            (<float*>cnp.PyArray_DATA(flow))[<size_t>arc.source * m + <size_t>arc.target] = \
                <float>arc.mass
        distance = <double><float>distance
    else:
        for arc in result.arcs:
            (<double*>cnp.PyArray_DATA(flow))[<size_t>arc.source * m + <size_t>arc.target] = \
                arc.mass
    return distance, None, flow


# ---- many pairs -----------------------------------------------------------------------------

@cython.final
cdef class Signatures:
    """Rows of masses (n, bins), or lists of masses and of points, checked by the caller."""

    cdef vector[csrc.Signature] items
    cdef readonly object kept

    def __cinit__(self, object masses, object points):
        self.kept = (masses, points)
        cdef csrc.Signature one
        cdef cnp.ndarray array
        cdef size_t cols, k
        one.points = NULL
        if points is None:
            array = masses
            if cnp.PyArray_NDIM(array) != 2 or not is_plain_f64(array):
                raise TypeError("rows must be a C-contiguous float64 matrix")
            cols = <size_t>cnp.PyArray_DIM(array, 1)
            for k in range(<size_t>cnp.PyArray_DIM(array, 0)):
                one.masses.data = <const double*>cnp.PyArray_DATA(array) + k * cols
                one.masses.size = cols
                self.items.push_back(one)
            return
        for array, place in zip(masses, points, strict=True):
            if not (is_plain_f64(array) and is_plain_f64(place)):
                raise TypeError("masses and points must be C-contiguous float64")
            one.masses = span_of(array)
            one.points = <const double*>cnp.PyArray_DATA(<cnp.ndarray>place)
            self.items.push_back(one)

    def __len__(self):
        return self.items.size()

    def first_bad(self):
        """The first item that is no distribution, or -1."""
        cdef size_t k
        for k in range(self.items.size()):
            if not is_distribution(self.items[k].masses):
                return k
        return -1


cdef csrc.TransportBatch batch_of(Signatures a, Signatures b, Ground ground, int rule,
                                  double penalty) noexcept:
    cdef csrc.TransportBatch batch
    batch.a.data = a.items.data()
    batch.a.size = a.items.size()
    batch.b.data = b.items.data()
    batch.b.size = b.items.size()
    batch.ground = ground.ground
    batch.rule.rule = <csrc.MassRule>rule
    batch.rule.penalty = penalty
    return batch


cdef tuple outcome(const csrc.BatchResult& result):
    if result.status == csrc.TransportStatus.cancelled:
        raise_pending()
    return <int>result.status, result.a, result.b, result.blocked_source


def transport_cdist(Signatures a not None, Signatures b not None, Ground ground not None, int rule,
                    double penalty, size_t threads, cnp.ndarray out not None):
    """(status, i, j, blocked source); out: C-contiguous float64 of shape (len(a), len(b))."""
    cdef csrc.TransportBatch batch = batch_of(a, b, ground, rule, penalty)
    cdef csrc.Cancel cancel = on_signal()
    cdef csrc.BatchResult result
    cdef double* data = <double*>cnp.PyArray_DATA(out)
    with nogil:
        result = csrc.transport_cdist(batch, threads, cancel, data)
    return outcome(result)


def transport_pdist(Signatures a not None, Ground ground not None, int rule, double penalty,
                    size_t threads, cnp.ndarray out not None):
    cdef csrc.TransportBatch batch = batch_of(a, a, ground, rule, penalty)
    cdef csrc.Cancel cancel = on_signal()
    cdef csrc.BatchResult result
    cdef double* data = <double*>cnp.PyArray_DATA(out)
    with nogil:
        result = csrc.transport_pdist(batch, threads, cancel, data)
    return outcome(result)


def transport_knn(Signatures a not None, Signatures b not None, Ground ground not None, int rule,
                  double penalty, size_t k, size_t threads, cnp.ndarray distances not None,
                  cnp.ndarray indices not None):
    cdef csrc.TransportBatch batch = batch_of(a, b, ground, rule, penalty)
    cdef csrc.Cancel cancel = on_signal()
    cdef csrc.BatchResult result
    cdef double* to_distances = <double*>cnp.PyArray_DATA(distances)
    cdef int64_t* to_indices = <int64_t*>cnp.PyArray_DATA(indices)
    with nogil:
        result = csrc.transport_knn(batch, k, threads, cancel, to_distances, to_indices)
    return outcome(result)
