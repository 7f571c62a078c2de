# The C++ core as Cython sees it, in the order of the headers in csrc/imgsim.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.string cimport string
from libcpp.vector cimport vector


cdef extern from "imgsim/views.hpp" namespace "imgsim" nogil:
    cdef cppclass Span[T]:
        T* data
        size_t size

    cdef cppclass MatrixView[T]:
        const T* data
        size_t rows
        size_t cols
        size_t stride

    cdef struct ImageView:
        const void* data
        size_t height
        size_t width
        size_t channels
        ptrdiff_t row_stride
        ptrdiff_t pixel_stride
        ptrdiff_t channel_stride

    cdef struct MaskView:
        const uint8_t* data
        ptrdiff_t row_stride
        ptrdiff_t pixel_stride


cdef extern from "imgsim/cpu.hpp" namespace "imgsim":
    vector[string] available_isas() except +
    const char* active_isa() except +
    void set_isa(const string& name) except +


cdef extern from "imgsim/parallel.hpp" namespace "imgsim" nogil:
    cdef struct Cancel:
        cbool (*poll)(void* context) noexcept
        void* context

    long this_process()
    double set_thread_worth(double nanoseconds)


cdef extern from "imgsim/grey.hpp" namespace "imgsim" nogil:
    void grey_from_rgb(const ImageView& rgb, uint8_t* out) except +


cdef extern from "imgsim/histogram.hpp" namespace "imgsim" nogil:
    cdef enum class PixelType:
        u8
        u16
        f32
        f64

    cdef cppclass BinAxis:
        double first
        double last
        size_t bins
        const double* edges
        cbool single_precision

    void histogram(const ImageView& image, PixelType type, const MaskView& mask,
                   const BinAxis& axis, int64_t* counts) except +
    void histogram_joint(const ImageView& image, PixelType type, const MaskView& mask,
                         Span[const BinAxis] axes, int64_t* counts) except +
    void histogram_grey(const ImageView& rgb, const BinAxis& axis, int64_t* counts) except +
    cbool histograms(const vector[ImageView]& images, PixelType type, const BinAxis& axis,
                     size_t threads, const Cancel& cancel, int64_t* counts) except +


cdef extern from "imgsim/sparse_histogram.hpp" namespace "imgsim" nogil:
    cdef cppclass SparseView:
        const uint32_t* keys
        const uint32_t* counts
        size_t size

    cdef cppclass SparseRows:
        const uint32_t* packed
        const int64_t* offsets
        size_t rows

    const size_t kMostKeyedChannels
    const uint64_t kNoKey

    cdef cppclass SparseCounter:
        SparseCounter(const ImageView& image, const MaskView& mask, const size_t* bins,
                      uint64_t ignored) except +
        size_t size()
        uint64_t total()
        void write(size_t size, uint32_t* keys, uint32_t* counts)

    double correlation(const SparseCounter& a, const SparseCounter& b)


cdef extern from "imgsim/histogram_comparison.hpp" namespace "imgsim" nogil:
    cdef enum class Comparison:
        correlation

    cdef enum class ComparisonStatus:
        good
        bad_first
        bad_second
        out_of_range

    cdef enum class BinType "imgsim::BinRows::Type":
        f64
        f32
        u32
        i64

    cdef cppclass BinRows:
        BinType type
        const void* data
        size_t rows
        size_t bins

    cdef cppclass ComparisonResult:
        ComparisonStatus status
        double value

    cdef cppclass ComparisonBatch:
        cbool cancelled
        ComparisonStatus status
        size_t row

    ComparisonResult compare_histograms(Comparison method, cbool normalize, const BinRows& a,
                                        const BinRows& b) except +
    ComparisonBatch compare_one_to_many(Comparison method, cbool normalize, const BinRows& query,
                                        const BinRows& rows, size_t threads, const Cancel& cancel,
                                        double* out) except +
    ComparisonResult compare_sparse(Comparison method, cbool normalize, const SparseView& a,
                                    const SparseView& b, uint64_t bins) except +
    ComparisonBatch compare_sparse_one_to_many(Comparison method, cbool normalize,
                                               const SparseView& query, const SparseRows& rows,
                                               uint64_t bins, size_t threads, const Cancel& cancel,
                                               double* out) except +


cdef extern from "imgsim/wasserstein_1d.hpp" namespace "imgsim" nogil:
    cdef enum class MassType "imgsim::MassMatrix::Type":
        f64
        u32

    cdef cppclass MassMatrix:
        MassType type
        const void* data
        size_t rows
        size_t cols
        size_t stride

    const size_t kNoBadRow

    cdef cppclass CdfMatrix:
        size_t assign(const MassMatrix& masses, size_t begin, size_t end) except +
        size_t rows()
        const double* row(size_t i)
        double total(size_t i)

    cdef cppclass Wasserstein1d:
        Wasserstein1d(size_t bins, const double* positions, double spacing, double p,
                      double period) except +
        size_t bins()
        cbool is_area()

    cbool pairs(const Wasserstein1d& metric, const CdfMatrix& a, const CdfMatrix& b,
                const int64_t* index_a, const int64_t* index_b, size_t n, size_t threads,
                const Cancel& cancel, double* out) except +
    cbool cdist(const Wasserstein1d& metric, const CdfMatrix& a, const CdfMatrix& b,
                size_t threads, const Cancel& cancel, double* out) except +
    cbool pdist(const Wasserstein1d& metric, const CdfMatrix& a, size_t threads,
                const Cancel& cancel, double* out) except +
    double wasserstein_1d_unit(const double* a, const double* b, size_t bins) except +

    cdef cppclass Sample:
        Span[const double] positions
        Span[const double] weights

    cdef struct CouplingPiece:
        int64_t source
        int64_t target
        double mass

    cdef enum class Totals:
        normalize
        keep

    double sample_coupling(const Sample& x, const Sample& y, double p, Totals totals,
                           vector[CouplingPiece]* plan) except +


cdef extern from "imgsim/knn.hpp" namespace "imgsim" nogil:
    cdef cppclass KnnResult:
        cbool cancelled
        size_t bad_query
        size_t bad_row

    KnnResult knn(const Wasserstein1d& metric, const MassMatrix& queries,
                  const MassMatrix& database, const uint8_t* skip, size_t k, size_t threads,
                  const Cancel& cancel, double* distances, int64_t* indices) except +


cdef extern from "imgsim/cdf_codes.hpp" namespace "imgsim" nogil:
    const size_t kCodeBytes
    const size_t kRawBytes

    cdef cppclass CdfCoder:
        CdfCoder(const Wasserstein1d& metric) except +
        cbool is_useful()


cdef extern from "imgsim/code_tree.hpp" namespace "imgsim" nogil:
    const size_t kLeafRows
    size_t tree_bytes "imgsim::CodeTree<uint8_t>::bytes"(size_t n)
    cbool arrange_codes(const uint8_t* raw, size_t n, size_t threads, const Cancel& cancel,
                        uint8_t* tree) except +


cdef extern from "imgsim/top_k.hpp" namespace "imgsim" nogil:
    cdef struct Neighbor:
        double distance
        int64_t index


cdef extern from "imgsim/coded_search.hpp" namespace "imgsim" nogil:
    cdef cppclass CodedRows:
        MassMatrix masses
        const uint8_t* codes
        const uint8_t* skip
        cbool arranged
        const int64_t* ids

    cdef cppclass CodedResult:
        cbool cancelled
        size_t bad_query
        size_t bad_row
        size_t bad_part
        uint64_t looked_at
        uint64_t scanned

    KnnResult encode_rows(const Wasserstein1d& metric, const MassMatrix& rows, size_t threads,
                          const Cancel& cancel, uint8_t* codes, uint8_t* remainders) except +
    CodedResult nearest_coded(const Wasserstein1d& metric, const MassMatrix& queries,
                              const vector[CodedRows]& parts, size_t k, double radius,
                              size_t threads, const Cancel& cancel, double* distances,
                              int64_t* indices) except +
    CodedResult within_coded(const Wasserstein1d& metric, const MassMatrix& query,
                             const vector[CodedRows]& parts, double radius, size_t threads,
                             const Cancel& cancel, vector[Neighbor]* found) except +


cdef extern from "imgsim/sum_words.hpp" namespace "imgsim" nogil:
    cbool sum_words(const uint64_t* words, size_t n, size_t threads, const Cancel& cancel,
                    uint64_t* sum) except +


cdef extern from "imgsim/ground_distance.hpp" namespace "imgsim" nogil:
    cdef enum class Ground:
        matrix
        manhattan
        euclidean
        chebyshev
        squared

    cdef cppclass GroundDistance:
        Ground kind
        MatrixView[double] matrix
        const double* x
        const double* y
        size_t dims
        double threshold
        cbool same_points
        cbool matrix_is_metric
        cbool common_mass_stays()

    cdef enum class Metricity:
        no
        yes
        cancelled

    cbool fill_distances(const GroundDistance& ground, size_t n, size_t m, const Cancel& cancel,
                         double* out) except +
    Metricity is_metric(const MatrixView[double]& matrix, const Cancel& cancel) except +


cdef extern from "imgsim/transport.hpp" namespace "imgsim" nogil:
    cdef enum class TransportStatus:
        optimal
        infeasible
        stopped
        cancelled
        unbalanced
        too_large
        bad_cost
        out_of_range

    cdef enum class Unequal:
        error
        normalize
        partial

    cdef enum class Divisor:
        none
        moved
        larger_total

    cdef cppclass TransportProblem:
        Span[const double] supply
        Span[const double] demand
        GroundDistance ground
        Unequal unequal
        Divisor divisor

    cdef cppclass TransportOptions:
        int64_t max_pivots
        cbool plan
        cbool in_order
        cbool proof
        cbool steps
        Cancel cancel

    cdef struct TransportArc:
        int64_t source
        int64_t target
        double mass

    cdef cppclass TransportSteps:
        double start
        double pricing
        double cycle
        double tree
        int64_t rows_priced
        int64_t cycle_nodes

    cdef cppclass TransportResult:
        TransportStatus status
        double cost
        double left_over
        int64_t pivots
        int64_t blocked_source
        vector[TransportArc] arcs
        vector[double] u
        vector[double] v
        double lower_bound
        TransportSteps steps

    cdef cppclass TransportSolver:
        TransportSolver() except +
        void solve(const TransportProblem& problem, const TransportOptions& options,
                   TransportResult* result) except +

    size_t transport_bytes(size_t n, size_t m, const GroundDistance& ground)


cdef extern from "imgsim/transport_batch.hpp" namespace "imgsim" nogil:
    cdef enum class MassRule:
        error
        normalize
        partial
        opencv
        penalty

    cdef cppclass DistanceRule:
        MassRule rule
        double penalty
        void apply_to(TransportProblem* problem)
        double distance(const TransportResult& result)

    cdef cppclass Signature:
        Span[const double] masses
        const double* points

    cdef cppclass TransportBatch:
        Span[const Signature] a
        Span[const Signature] b
        GroundDistance ground
        DistanceRule rule

    cdef cppclass BatchResult:
        TransportStatus status
        size_t a
        size_t b
        int64_t blocked_source

    BatchResult transport_cdist(const TransportBatch& batch, size_t threads, const Cancel& cancel,
                                double* out) except +
    BatchResult transport_pdist(const TransportBatch& batch, size_t threads, const Cancel& cancel,
                                double* out) except +
    BatchResult transport_knn(const TransportBatch& batch, size_t k, size_t threads,
                              const Cancel& cancel, double* distances,
                              int64_t* indices) except +


cdef extern from "imgsim/lab.hpp" namespace "imgsim" nogil:
    void lab_from_srgb(const double* rgb, size_t pixels, double* lab) except +
    void lab_from_srgb(const uint8_t* rgb, size_t pixels, double* lab) except +


cdef extern from "imgsim/palette.hpp" namespace "imgsim" nogil:
    cdef struct PaletteOptions:
        size_t colors
        double position_weight

    cdef cppclass Palette:
        cbool cancelled
        size_t dims
        vector[int64_t] counts
        vector[double] points
        vector[uint8_t] rgb

    Palette color_palette(const ImageView& rgb, const PaletteOptions& options,
                          const Cancel& cancel) except +


cdef extern from "imgsim/sliced_transport.hpp" namespace "imgsim" nogil:
    const size_t kMostSliced

    cdef struct WeightedPoints:
        const double* points
        const double* weights
        size_t size

    cbool move_sliced(const WeightedPoints& source, const WeightedPoints& to,
                      const MatrixView[double]& directions, const Cancel& cancel,
                      double* moved) except +


cdef extern from "imgsim/resize.hpp" namespace "imgsim" nogil:
    const size_t kMostResized

    void resize_area(const ImageView& image, size_t height, size_t width, uint8_t* out) except +


cdef extern from "imgsim/ssim.hpp" namespace "imgsim" nogil:
    cdef cppclass SsimRule:
        size_t win
        Span[const double] weights
        double data_range
        double k1
        double k2
        cbool sample_covariance

    double structural_similarity(const ImageView& x, const ImageView& y, PixelType type,
                                 const SsimRule& rule, double* map) except +
    cbool structural_similarities(const ImageView& query, const vector[ImageView]& images,
                                  PixelType type, const SsimRule& rule, size_t threads,
                                  const Cancel& cancel, double* out) except +
