// Views of memory that somebody else owns: a pointer, sizes and strides. Nothing here allocates.
#pragma once

#include <cstddef>
#include <cstdint>

namespace imgsim {

template <class T>
struct Span {
  T* data = nullptr;
  std::size_t size = 0;

  T& operator[](std::size_t i) const { return data[i]; }
  bool empty() const { return size == 0; }
  T* begin() const { return data; }
  T* end() const { return data + size; }
};

// Rows of `cols` contiguous elements; consecutive rows lie `stride` elements apart (>= cols).
template <class T>
struct MatrixView {
  const T* data = nullptr;
  std::size_t rows = 0;
  std::size_t cols = 0;
  std::size_t stride = 0;

  const T* row(std::size_t i) const { return data + i * stride; }
};

// Pixels of any layout: strides are in bytes and may be negative or zero, as in a NumPy view.
struct ImageView {
  const void* data = nullptr;
  std::size_t height = 0;
  std::size_t width = 0;
  std::size_t channels = 1;
  std::ptrdiff_t row_stride = 0;
  std::ptrdiff_t pixel_stride = 0;
  std::ptrdiff_t channel_stride = 0;
};

// One byte per pixel, nonzero where the pixel counts; strides in bytes. No data: every pixel
// counts.
struct MaskView {
  const std::uint8_t* data = nullptr;
  std::ptrdiff_t row_stride = 0;
  std::ptrdiff_t pixel_stride = 0;
};

}  // namespace imgsim
