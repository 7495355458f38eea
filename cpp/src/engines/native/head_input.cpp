// What a head reads: states, and the tokens behind them.
#include <algorithm>

#include "engines/native/head_step.h"

namespace mtp_rt::native {

void HeadStep::load_states() const {
  const auto row_state = [this](int r) {
    const BatchRow& row = stage_.batch.rows[static_cast<std::size_t>(r)];
    return h_.memory_.state(stage_.batch.segments[static_cast<std::size_t>(row.segment)].slot, row.position);
  };
  const Product& fuse = h_.weights_.fuse();
  const bool fuses = !h_.heads_.taps.empty();
  const Range mine = share(fuses ? fuse.blocks : blocks_, thread_, h_.pool_.threads());
  for (auto block = static_cast<int>(mine.begin); block < mine.end; ++block) {
    for (int r = 0; r < rows_; ++r) {
      std::copy_n(row_state(r).data() + static_cast<std::ptrdiff_t>(block) * kUnit, kUnit,
                  layer_.values() + r * kUnit);
    }
    if (fuses) {
      emit(k_, layer_.values(), rows_, block, fuse, w_.tapped.view());
    } else {
      put_origin(block);
    }
  }
  if (!fuses) return;
  h_.pool_.barrier();
  for (const Unit& unit : fuse.units[static_cast<std::size_t>(thread_)]) {
    unit.dot(unit.tiles, w_.tapped.view(), l_.ones.data(), 0, rows_, layer_.values());
    put_origin(unit.index);
  }
}

void HeadStep::put_origin(int block) const {
  scatter(columns(w_.origin, block));
  set_state(block, rows_, h_.weights_.ones());
}

const AlignedBuffer& HeadStep::source() const {
  return h_.heads_.wiring == HeadWiring::parallel ? w_.origin : l_.residual;
}

void HeadStep::read_input() const {
  if (h_.heads_.wiring == HeadWiring::sequential) {
    embed();
    h_.pool_.barrier();
    return read_pair();
  }
  if (h_.window_.attends) return;  // run_block() reads the state itself
  const Range mine = my_blocks();
  for (auto block = static_cast<int>(mine.begin); block < mine.end; ++block) {
    gather(columns(source(), block));
    emit(k_, layer_.values(), rows_, block, m_.first(h_.heads_), w_.input.view());
  }
}

Token HeadStep::token_of(const BatchRow& row) const {
  if (row.token >= 0) return row.token;
  const HeadRow& sequence = sequences_[static_cast<std::size_t>(row.segment)];
  const auto draft = static_cast<std::size_t>(-1 - row.token);
  return outputs_.tokens[sequence.output + draft * static_cast<std::size_t>(sequence.width)];
}

void HeadStep::embed() const {
  const Range mine = my_blocks();
  for (auto block = static_cast<int>(mine.begin); block < mine.end; ++block) {
    float* values = layer_.values();
    for (const BatchRow& row : stage_.batch.rows) {
      h_.trunk_.embed(token_of(row), block, values);
      values += kUnit;
    }
    float* const embedded = columns(w_.embedded, block);
    for (int r = 0; r < rows_; ++r) std::fill_n(embedded + static_cast<std::size_t>(r) * width_, kUnit, 0.0F);
    k_.add_residual(layer_.values(), rows_, h_.weights_.ones().data(), embedded, width_,
                    w_.embedded_squares.data() + block, static_cast<std::size_t>(blocks_));
  }
}

void HeadStep::read_pair() const {
  const auto blocks = static_cast<std::size_t>(blocks_);
  const Range mine = my_blocks();
  const auto read = [&](const AlignedBuffer& vectors, std::span<const float> squares,
                        std::span<const float> gain, int first) {
    for (std::size_t r = 0; r < static_cast<std::size_t>(rows_); ++r) {
      s_.row_scale[r] = row_scale(squares.subspan(r * blocks, blocks), h_.config_.rms_norm_eps);
    }
    for (auto block = static_cast<int>(mine.begin); block < mine.end; ++block) {
      gather(columns(vectors, block));
      normalise(gain, block, std::span(s_.row_scale).first(static_cast<std::size_t>(rows_)));
      emit(k_, layer_.values(), rows_, first + block, m_.first(h_.heads_), w_.input.view());
    }
  };
  read(l_.residual, l_.squares, m_.state_gain, 0);
  read(w_.embedded, w_.embedded_squares, m_.embed_gain, blocks_);
}

}  // namespace mtp_rt::native
