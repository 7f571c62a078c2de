// Random problems of transport for the check programs.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <string>
#include <vector>

#include "check.hpp"
#include "imgsim/transport.hpp"

namespace imgsim {

using Vector = std::vector<double>;

inline double uniform() {
  return static_cast<double>(random_bits() >> 11) * 0x1p-53;
}

enum class Data { real, whole, equal, sparse, wide, kData };

struct Instance {
  Vector supply, demand, x, y, costs;
  TransportProblem problem;
  std::string name;

  Instance(std::size_t n, std::size_t m, std::size_t dims, Ground kind, Data data, Unequal unequal)
      : supply(n), demand(m), x(n * dims), y(m * dims) {
    for (double& value : supply) value = mass(data);
    for (double& value : demand) value = mass(data);
    supply[below(n)] += 1;
    demand[below(m)] += 1;  // the order of draws is the same for every compiler
    const auto total = [](const Vector& v) { return std::accumulate(v.begin(), v.end(), 0.0); };
    if (unequal == Unequal::error) {
      const double difference = total(supply) - total(demand);
      (difference < 0 ? supply : demand)[0] += std::fabs(difference);
    }
    const bool grid = data == Data::whole || data == Data::sparse;
    for (Vector* points : {&x, &y})
      for (double& value : *points)
        value = grid ? static_cast<double>(below(7)) : uniform() * (data == Data::wide ? 1e9 : 1);
    problem.supply = {supply.data(), n};
    problem.demand = {demand.data(), m};
    problem.unequal = unequal;
    GroundDistance& ground = problem.ground;
    ground.kind = kind;
    ground.dims = dims;
    ground.x = x.data();
    ground.y = y.data();
    if (kind == Ground::matrix) {
      costs.resize(n * m);
      for (double& value : costs) {
        value = grid ? static_cast<double>(below(50)) - 9 : uniform();
        if (!grid && below(9) == 0) value -= 1;
      }
      ground.matrix = {costs.data(), n, m, m};
    }
    name = std::to_string(n) + " x " + std::to_string(m) + ", ground " +
           std::to_string(static_cast<int>(kind)) + ", data " +
           std::to_string(static_cast<int>(data)) + ", unequal " +
           std::to_string(static_cast<int>(unequal));
  }

  static double mass(Data data) {
    switch (data) {
      case Data::whole:
        return static_cast<double>(below(100));
      case Data::equal:
        return 1.0;
      case Data::sparse:
        return below(3) == 0 ? static_cast<double>(below(9)) : 0.0;
      case Data::wide: {
        const auto exponent = static_cast<int>(below(90));
        return std::ldexp(uniform(), -exponent);
      }
      default:
        return uniform();
    }
  }

  double cost(std::size_t i, std::size_t j) const {
    const GroundDistance& ground = problem.ground;
    if (ground.kind == Ground::matrix) return ground.matrix.row(i)[j];
    double sum = 0;
    for (std::size_t k = 0; k < ground.dims; ++k) {
      const double step = std::fabs(x[i * ground.dims + k] - y[j * ground.dims + k]);
      sum = ground.kind == Ground::chebyshev   ? std::max(sum, step)
            : ground.kind == Ground::manhattan ? sum + step
                                               : sum + step * step;
    }
    return ground.kind == Ground::euclidean ? std::sqrt(sum) : sum;
  }
};

}  // namespace imgsim
