// Structural similarity (Wang, Bovik, Sheikh, Simoncelli: Image quality assessment, IEEE Trans.
// Image Process. 13, 2004). With u, v the weighted means, variances and covariance over a window,
//   S = (2 u_x u_y + C1) (2 v_xy + C2) / ((u_x^2 + u_y^2 + C1) (v_x + v_y + C2)),
// and the similarity of two images is the mean of S over the windows inside them, in [-1, 1], 1 for
// equal images. A factor 0 / 0, which needs C1 = 0 or C2 = 0, counts as 1.
#pragma once

#include <cstddef>
#include <vector>

#include "imgsim/histogram.hpp"
#include "imgsim/parallel.hpp"
#include "imgsim/views.hpp"

namespace imgsim {

struct SsimRule {
  std::size_t win = 7;            // odd; the mean leaves out win / 2 pixels along each border
  Span<const double> weights;     // a symmetric separable filter of odd length and sum 1, each half
                                  // at most as long as the image; empty: equal weights over `win`
  double data_range = 255;        // R, positive
  double k1 = 0.01, k2 = 0.03;    // C1 = (K1 R)^2, C2 = (K2 R)^2; not negative
  bool sample_covariance = true;  // variances times win^2 / (win^2 - 1); then win > 1
};

// Images of the same size and channels, no side less than rule.win; the channels count alike. NaN
// if a pixel is not finite. map: null, or height * width * channels values S, channels fastest;
// beyond the borders lie the mirrored images there. 8 bits under equal weights of win <= 127 are
// summed in integers at O(1) per pixel; anything else in float64 at O(win) or O(weights).
double structural_similarity(const ImageView& x, const ImageView& y, PixelType type,
                             const SsimRule& rule, double* map);

// out[i] = structural_similarity(query, images[i], ...); 8-bit images of another size are first
// resized to the query's (see resize.hpp). False when cancelled.
bool structural_similarities(const ImageView& query, const std::vector<ImageView>& images,
                             PixelType type, const SsimRule& rule, std::size_t threads,
                             const Cancel& cancel, double* out);

}  // namespace imgsim
