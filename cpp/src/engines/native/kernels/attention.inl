// Attention over one context block.

template <Lanes (*kPower)(Lanes)>
void softmax(float* scores, int n, float* max_out, float* sum_out) {
  const int last = (n - 1) / kLanes * kLanes;
  store(first(n - last, load(scores + last), all(scores[0])), scores + last);
  Lanes peak = load(scores);
  for (int i = kLanes; i <= last; i += kLanes) peak = max(peak, load(scores + i));
  const float greatest = lane_max(peak);
  Lanes total = zero();
  for (int i = 0; i < last; i += kLanes) {
    const Lanes weight = kPower(sub(load(scores + i), all(greatest)));
    store(weight, scores + i);
    total = add(total, weight);
  }
  const Lanes weight = first(n - last, kPower(sub(load(scores + last), all(greatest))), zero());
  store(weight, scores + last);
  *max_out = greatest;
  *sum_out = lane_sum(add(total, weight));
}

/// Queries that share every load of a key or value.
template <typename Query>
struct QueryTile {
  alignas(64) Query query[kQueriesAtOnce][kMaxPanels];
  alignas(64) float scores[kQueriesAtOnce][kContextBlock];
  const int* counts;
  float* const* partials;
  int most;  // of the counts
};

inline void ask(const std::byte* memory, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; i += 64) __builtin_prefetch(memory + i, 0, 2);
}

struct AttendF32 {
  struct Query {
    float values[kUnit];
  };
  using Tile = QueryTile<Query>;

  template <int kQueries>
  static void score(const BlockAttention& block, Tile& tile) {
    const std::size_t group = static_cast<std::size_t>(block.panels) * kUnit * kLanes;
    const auto* keys = reinterpret_cast<const float*>(block.keys);
    for (int at = 0; at < tile.most; at += kLanes, keys += group) {
      Lanes acc[kQueries];
      for (int q = 0; q < kQueries; ++q) acc[q] = zero();
      ask(block.next_keys + static_cast<std::size_t>(at / kLanes) * group * sizeof(float),
          group * sizeof(float));
      for (int d = 0; d < block.panels * kUnit; ++d) {
        const Lanes key = load(keys + d * kLanes);
#pragma GCC unroll 12
        for (int q = 0; q < kQueries; ++q) {
          acc[q] = fma(key, all(tile.query[q][d / kUnit].values[d % kUnit]), acc[q]);
        }
      }
      for (int q = 0; q < kQueries; ++q) store(acc[q], tile.scores[q] + at);
    }
  }

  // Adds the values of positions first .. end - 1 of 32 dimensions for queries q0 .. q0 + kQueries - 1.
  template <int kQueries>
  static void add_values(const float* values, std::size_t stride, int first, int end, const Tile& tile,
                         int q0, int panel) {
    Lanes acc[kQueries][2];
    for (int q = 0; q < kQueries; ++q) {
      const float* from = tile.partials[q0 + q] + kLanes + panel * kUnit;
      for (int c = 0; c < 2; ++c) acc[q][c] = first == 0 ? zero() : load(from + c * kLanes);
    }
    for (int i = first; i < end; ++i) {
      const float* row = values + static_cast<std::size_t>(i) * stride;
      const Lanes v[2] = {load(row), load(row + kLanes)};
#pragma GCC unroll 12
      for (int q = 0; q < kQueries; ++q) {
        const Lanes weight = all(tile.scores[q0 + q][i]);
        for (int c = 0; c < 2; ++c) acc[q][c] = fma(v[c], weight, acc[q][c]);
      }
    }
    for (int q = 0; q < kQueries; ++q) {
      float* to = tile.partials[q0 + q] + kLanes + panel * kUnit;
      for (int c = 0; c < 2; ++c) store(acc[q][c], to + c * kLanes);
    }
  }

  template <int kQueries>
  static void weigh(const BlockAttention& block, Tile& tile) {
    const std::size_t stride = static_cast<std::size_t>(block.panels) * kUnit;
    ask(block.next_values, static_cast<std::size_t>(tile.most) * stride * sizeof(float));
    int shared = tile.most;
    for (int q = 0; q < kQueries; ++q) shared = tile.counts[q] < shared ? tile.counts[q] : shared;
    for (int panel = 0; panel < block.panels; ++panel) {
      const float* values = reinterpret_cast<const float*>(block.values) + panel * kUnit;
      add_values<kQueries>(values, stride, 0, shared, tile, 0, panel);
      for (int q = 0; q < kQueries; ++q) {
        if (tile.counts[q] > shared) add_values<1>(values, stride, shared, tile.counts[q], tile, q, panel);
      }
    }
  }
};

struct AttendQ8 {
  using Query = QueryBlock;
  using Tile = QueryTile<Query>;

  template <int kQueries>
  static void score(const BlockAttention& block, Tile& tile) {
    const auto* keys = reinterpret_cast<const std::uint8_t*>(block.keys);
    const std::byte* ahead = block.next_keys;
    for (int at = 0; at < tile.most; at += kLanes) {
      Lanes acc[kQueries];
      for (int q = 0; q < kQueries; ++q) acc[q] = zero();
      for (int p = 0; p < block.panels; ++p, keys += kKeyTileQ8, ahead += kKeyTileQ8) {
        ask(ahead, kKeyTileQ8);
        IntLanes sums[kQueries];
        for (int q = 0; q < kQueries; ++q) sums[q] = no_values(tile.query[q][p].offset);
#pragma GCC unroll 8
        for (int j = 0; j < kUnit / 4; ++j) {
          const Bytes key = load_bytes(keys + 64 * j);
#pragma GCC unroll 12
          for (int q = 0; q < kQueries; ++q)
            sums[q] = dot_values(sums[q], key, tile.query[q][p].codes + 4 * j);
        }
        const Lanes scale = load(reinterpret_cast<const float*>(keys + 512));
        for (int q = 0; q < kQueries; ++q) {
          acc[q] = fma(to_float(sums[q]), mul(scale, all(tile.query[q][p].scale)), acc[q]);
        }
      }
      for (int q = 0; q < kQueries; ++q) store(acc[q], tile.scores[q] + at);
    }
  }

  /// Weights times the values' scales as 15 bits of the greatest product, in pairs; returns a code's worth.
  static float quantize_weights(const float* weights, const float* scales, int n, std::int32_t* codes) {
    Lanes product[kContextBlock / kLanes];
    Lanes greatest_of = zero();
    const int groups = (n + kUnit - 1) / kUnit * 2;
    for (int g = 0; g < groups; ++g) {
      const int left = n - g * kLanes;
      product[g] = mul(load(weights + g * kLanes), load(scales + g * kLanes));
      if (left < kLanes) product[g] = first(left > 0 ? left : 0, product[g], zero());
      greatest_of = peak(greatest_of, product[g]);
    }
    const float greatest = lane_peak(greatest_of);
    const Lanes inverse = all(greatest > 1e-30F ? 32767.0F / greatest : 0.0F);
    for (int g = 0; g < groups; g += 2) {
      store(pair(round(mul(product[g], inverse)), round(mul(product[g + 1], inverse))),
            codes + g / 2 * kLanes);
    }
    return greatest * (1.0F / 32767.0F);
  }

  /// Sums over positions for 16 of a panel's dimensions: half the sums at a time, which registers hold
  /// sooner. Asks for every other line of as many pairs from `ahead` on: many requests at once would stall.
  template <int kQueries>
  static void weigh_half(const std::int8_t* values, const std::byte* ahead, int pairs,
                         const std::int32_t (*codes)[kContextBlock / 2], const float* unit,
                         float* const* out) {
    IntLanes acc[kQueries];
    for (int q = 0; q < kQueries; ++q) acc[q] = all_int(0);
#pragma GCC unroll 4
    for (int i = 0; i < pairs; ++i, values += kValuePairQ8) {
      if (i % 2 == 0) __builtin_prefetch(ahead + i * kValuePairQ8, 0, 2);
      const Words v = load_words(values);
#pragma GCC unroll 12
      for (int q = 0; q < kQueries; ++q) acc[q] = dot_words(acc[q], v, codes[q][i]);
    }
    for (int q = 0; q < kQueries; ++q) store(mul(to_float(acc[q]), all(unit[q])), out[q]);
  }

  template <int kQueries>
  static void weigh(const BlockAttention& block, Tile& tile) {
    alignas(64) std::int32_t codes[kQueries][kContextBlock / 2];
    float unit[kQueries];
    float* out[kQueries];
    const int pairs = (tile.most + kUnit - 1) / kUnit * kLanes;
    for (int p = 0; p < block.panels; ++p) {
      const std::byte* panel = block.values + p * kValuePanelQ8;
      const std::byte* ahead = block.next_values + p * kValuePanelQ8;
      ask(ahead + kValueScalesQ8, static_cast<std::size_t>(tile.most) * sizeof(float));
      const auto* scales = reinterpret_cast<const float*>(panel + kValueScalesQ8);
      for (int q = 0; q < kQueries; ++q) {
        unit[q] = quantize_weights(tile.scores[q], scales, tile.counts[q], codes[q]);
        for (int i = (tile.counts[q] + kUnit - 1) / kUnit * kLanes; i < pairs; ++i) codes[q][i] = 0;
      }
      const auto* values = reinterpret_cast<const std::int8_t*>(panel);
      for (int c = 0; c < 2; ++c) {
        for (int q = 0; q < kQueries; ++q) out[q] = tile.partials[q] + kLanes + p * kUnit + c * kLanes;
        weigh_half<kQueries>(values + c * kUnit, ahead + c * kValuePairQ8, pairs, codes, unit, out);
      }
    }
  }
};

template <typename Kind, int kQueries>
void attend_queries(const BlockAttention& block, int first_query) {
  typename Kind::Tile tile;
  tile.counts = block.counts + first_query;
  tile.partials = block.partials + first_query;
  tile.most = 0;
  for (int q = 0; q < kQueries; ++q) {
    const std::size_t bytes = static_cast<std::size_t>(block.panels) * sizeof(typename Kind::Query);
    __builtin_memcpy(tile.query[q], block.query[first_query + q], bytes);
    tile.most = tile.counts[q] > tile.most ? tile.counts[q] : tile.most;
  }
  Kind::template score<kQueries>(block, tile);
  for (int q = 0; q < kQueries; ++q) {
    softmax<exp2>(tile.scores[q], tile.counts[q], tile.partials[q], tile.partials[q] + 1);
  }
  Kind::template weigh<kQueries>(block, tile);
}

/// Runs the largest compiled number of queries not above `count`; returns it.
template <typename Kind, int kQueries>
int attend_some(const BlockAttention& block, int first_query, int count) {
  if constexpr (kQueries > 1) {
    if (count < kQueries) return attend_some<Kind, kQueries - 1>(block, first_query, count);
  }
  attend_queries<Kind, kQueries>(block, first_query);
  return kQueries;
}

template <typename Kind>
void attend(const BlockAttention& block) {
  for (int q = 0; q < block.queries;) q += attend_some<Kind, kQueriesAtOnce>(block, q, block.queries - q);
}
