// The end of a kernel file: includes the loops and exports them as `kernels_<IMGSIM_ISA>`, the only
// symbol that leaves the file.
#include "kernels/assignment-inl.hpp"
#include "kernels/codes-inl.hpp"
#include "kernels/color-inl.hpp"
#include "kernels/comparison-inl.hpp"
#include "kernels/histogram-inl.hpp"
#include "kernels/sparse-inl.hpp"
#include "kernels/ssim-inl.hpp"
#include "kernels/transport-inl.hpp"
#include "kernels/wasserstein-inl.hpp"

#define IMGSIM_CONCAT_(a, b) a##b
#define IMGSIM_CONCAT(a, b) IMGSIM_CONCAT_(a, b)
#define IMGSIM_STRING_(a) #a
#define IMGSIM_STRING(a) IMGSIM_STRING_(a)

namespace imgsim {

extern const KernelTable IMGSIM_CONCAT(kernels_, IMGSIM_ISA);
const KernelTable IMGSIM_CONCAT(kernels_, IMGSIM_ISA) = {
    IMGSIM_STRING(IMGSIM_ISA),
    kFewThresholds,
    count_at_least_u8,
    tally_u8,
    tally_u8_pairs,
    grey_rgb3,
    grey_rgb4,
    any_sign_bit,
    cumulate<double>,
    cumulate<std::uint32_t>,
    cumulate_two,
    w1_one_to_many,
    w1_short_rows,
    minima,
    find_difference,
    cheapest,
    add_where,
    to_single,
    minima_single,
    find_single,
    cheapest_single,
    add_where_single,
    lower,
    nearest_free,
    to_keys,
    lower_keys,
    nearest_free_key,
    scan,
    all_finite,
    manhattan,
    chebyshev,
    squared,
    euclidean,
    near_codes,
    box_bounds,
    outline,
    widen<float>,
    widen<std::uint32_t>,
    centred_moments,
    sum_of<Chi2>,
    sum_of<Chi2Alt>,
    sum_of<Smaller>,
    sum_of<RootGap>,
    divergence,
    slide_columns,
    box_row,
    filtered_row,
    square_rows,
    weighted_sum,
    add_weighted_u8,
    color_numbers,
    dot_u8,
    pack_counts,
};

}  // namespace imgsim
