// Weights of one unit as tiles, and back.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "engines/native/kernels/kernel_table.h"
#include "mtp_rt/model_dir.h"

namespace mtp_rt::native {

/// Rows of a matrix that make a unit; -1 is a row of zeros.
using UnitRows = std::array<std::int64_t, kUnit>;

/// Bytes of one tile (16 outputs x 32 inputs); of a q8 tile, both halves.
[[nodiscard]] std::size_t tile_bytes(Quant quant) noexcept;

/// Writes the tiles of `rows` of `weight`. `tiles` says where (q8: both planes).
void pack_unit(const WeightView& weight, const UnitRows& rows, const UnitTiles& tiles);

/// Inputs 32 * block .. + 31 of output `row` (0 .. 31) of a packed unit with `blocks` blocks, as floats.
void unpack_block(const UnitTiles& tiles, Quant quant, int blocks, int row, int block, float* out);

}  // namespace mtp_rt::native
