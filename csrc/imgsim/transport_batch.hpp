// Earth Mover's Distances of many pairs: each pair is solved by one thread, so results do not
// depend on the number of threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "imgsim/transport.hpp"

namespace imgsim {

// What becomes of the cost of a plan where totals differ.
enum class MassRule {
  error,      // totals must agree: the cost
  normalize,  // both sides scaled to total 1: the cost
  partial,    // the cost per mass moved (Rubner, Tomasi, Guibas 2000)
  opencv,     // the cost divided by the larger total (cv2.EMD)
  penalty,    // the cost plus a penalty for each unit that is left over (Pele, Werman 2008)
};

struct DistanceRule {
  MassRule rule = MassRule::error;
  double penalty = 0;  // finite

  void apply_to(TransportProblem* problem) const;
  // The distance of a result that has a plan; may be infinite where that is beyond float64.
  double distance(const TransportResult& result) const;
};

// A set of weighted points, or masses at the places of a shared ground distance.
struct Signature {
  Span<const double> masses;       // checked by the caller: finite, not negative, total above 0
  const double* points = nullptr;  // masses.size x dims; null: the shared ground distance
};

struct TransportBatch {
  Span<const Signature> a, b;
  GroundDistance ground;  // x, y, same_points are set for each pair where signatures have points
  DistanceRule rule;
};

// The first pair, in order, whose distance does not exist; status says why. A bad cost is found
// before any pair is looked at.
struct BatchResult {
  TransportStatus status = TransportStatus::optimal;
  std::size_t a = 0, b = 0;
  std::int64_t blocked_source = -1;
};

// out[i * batch.b.size + j] for all pairs.
BatchResult transport_cdist(const TransportBatch& batch, std::size_t threads, const Cancel& cancel,
                            double* out);
// Pairs i < j of batch.a in the order (0,1), (0,2) ... (1,2) ...
BatchResult transport_pdist(const TransportBatch& batch, std::size_t threads, const Cancel& cancel,
                            double* out);
// The k nearest of batch.b for each of batch.a by solving every pair, ordered by (distance, index);
// distances, indices: a.size x k, k <= b.size.
BatchResult transport_knn(const TransportBatch& batch, std::size_t k, std::size_t threads,
                          const Cancel& cancel, double* distances, std::int64_t* indices);

}  // namespace imgsim
