// Drafts of two sources as one tree.
#pragma once

#include <cstdint>

#include "mtp_rt/drafting.h"

namespace mtp_rt {

/// At most `most` nodes of what heads drafted and of a copied chain, the likeliest first.
///
/// Both are opinions about the same text, taken as independent: where they agree on a token it is likelier
/// than either says, where they differ each makes the other less likely.
[[nodiscard]] Proposal join(const Proposal& drafted, const Proposal& copied, std::int32_t most);

}  // namespace mtp_rt
